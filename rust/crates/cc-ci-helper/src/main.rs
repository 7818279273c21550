//! The program of the helper container: arguments in, one verb done, exit status out.
//!
//! It is process 1 there, and the kernel drops signals that process 1 does not wait for. So the verb works in a
//! thread while the first thread waits for TERM, and the container ends at once when it is told to.

mod ask;
mod ends;
mod fault;
mod listening;
mod order;
mod relay;
mod volume;

use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use fault::Fault;
use order::Order;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Order::parse(&words).and_then(obey) {
        Ok(output) => match std::io::stdout().write_all(&output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        },
        Err(fault) => {
            // Standard error being gone leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "cc-ci-helper: {fault}");
            ExitCode::from(fault.exit_status())
        }
    }
}

/// Carries the order out in a thread; a signal that asks for the end comes first.
fn obey(order: Order) -> Result<Vec<u8>, Fault> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1]);
    signals.thread_block().map_err(|error| Fault::ours("blocking signals", error.into()))?;
    let ends_by_signal = order.ends_by_signal();
    let left_behind = order.left_behind();
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let sent = done.send(order.carry_out());
        // Wakes the first thread; where that is gone, so is the program.
        let _ = sent.is_ok() && kill(Pid::this(), Signal::SIGUSR1).is_ok();
    });
    loop {
        let signal = signals.wait().map_err(|error| Fault::ours("waiting for signals", error.into()))?;
        if signal != Signal::SIGUSR1 {
            left_behind.map(std::fs::remove_file);
            return if ends_by_signal { Ok(Vec::new()) } else { Err(Fault::Ended) };
        }
        // Anybody may send SIGUSR1; only a result ends the wait.
        if let Ok(result) = result.try_recv() {
            return result;
        }
    }
}
