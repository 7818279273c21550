//! Killing the bridge at one of its requests.

use std::sync::mpsc;

use cc_ci_testkit::forge::proxy::{Fate, FaultyProxy, Moment, Passing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A request of the bridge: its method, a part of its path, a part that is not in it, and which one since the comment.
pub(crate) type Request = (&'static str, &'static str, &'static str, usize);

/// Stands in no path.
pub(crate) const NONE: &str = "\n";

fn is_it(request: &Request, passing: &Passing) -> bool {
    let (method, part, without, _) = request;
    passing.method == *method && passing.path.contains(part) && !passing.path.contains(without)
}

/// Kills `pid` at the given one of these requests from here on, once; the receiver hears of it.
pub(crate) fn kill_at(
    proxies: &[&FaultyProxy],
    pid: i32,
    request: Request,
    moment: Moment,
) -> mpsc::Receiver<()> {
    let (killed, hears) = mpsc::channel();
    let met = std::sync::Arc::new(std::sync::Mutex::new(0_usize));
    for proxy in proxies {
        let (killed, met) = (killed.clone(), met.clone());
        proxy.judge_by(move |passing, now| {
            if now != moment || !is_it(&request, passing) {
                return Fate::Pass;
            }
            let mut met = met.lock().unwrap();
            *met += 1;
            if *met != request.3 {
                return Fate::Pass;
            }
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            let _ = killed.send(());
            Fate::Drop
        });
    }
    hears
}
