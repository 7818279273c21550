//! `cargo xtask bench run --parallel N`: what runs beside each other cost each other.

use std::time::Instant;

use anyhow::anyhow;
use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::progress::say;

use super::whole_run::{Bench, median};
use crate::out;

/// What four runs at once may take, as a multiple of one alone.
const LIMIT: f64 = 1.6;

/// Measures one run and `count` runs of as many domains in turn, and is good if those took little longer.
pub(super) fn measure(bench: &Bench<'_>, rounds: usize, count: u32) -> anyhow::Result<ExitStatus> {
    // What is read from disk for the first time is nobody's fault.
    bench.by_cc_ci(1)?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        alone.push(bench.by_cc_ci(1)?.whole);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let runs: Vec<_> = (1..=count).map(|pr| scope.spawn(move || bench.by_cc_ci(pr))).collect();
            runs.into_iter().try_for_each(|run| {
                run.join().map_err(|_| anyhow!("a thread that held a run broke off"))?.map(|_| ())
            })
        })?;
        together.push(begin.elapsed().as_secs_f64());
        let last = |values: &[f64]| values.last().copied().unwrap_or_default();
        say(format!("round {round}: one {:.1} s, {count} at once {:.1} s", last(&alone), last(&together)));
    }
    let (alone, together) = (median(alone), median(together));
    let ratio = together / alone;
    let verdict = if ratio <= LIMIT { "reached" } else { "missed" };
    out::line(format!("one run alone      {alone:>8.1} s"));
    out::line(format!("{count} runs at once     {together:>8.1} s"));
    out::line(format!("ratio              {ratio:>8.2}   aim {LIMIT}: {verdict}"));
    Ok(if ratio <= LIMIT { ExitStatus::Good } else { ExitStatus::Red })
}
