//! `cargo xtask test`: all layers in order, a table at the end, and the closing line that `.ci/run` ends with.

use std::process::ExitCode;
use std::time::Instant;

use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::progress::say;

use crate::out;
use crate::test_binaries::{self, Count};
use crate::test_layers::{self, Layer, Outcome};

/// Which layers run.
#[derive(clap::Args)]
pub(crate) struct TestArguments {
    /// Only the layers that need no Docker
    #[arg(long, conflicts_with = "layers")]
    fast: bool,
    /// The layers to run; all if none is named
    #[arg(value_enum)]
    layers: Vec<Layer>,
}

struct Row {
    layer: Layer,
    outcome: Outcome,
    seconds: f32,
}

/// Runs the layers. Good is: nothing failed, and in CI no layer was skipped.
pub(crate) fn run(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut binaries = None;
    for layer in wanted(arguments) {
        say(format!("== {}", layer.name()));
        let begin = Instant::now();
        if layer.has_tests() && binaries.is_none() {
            binaries = Some(test_binaries::build()?);
        }
        let outcome =
            test_layers::run(layer, binaries.as_deref().unwrap_or_default()).unwrap_or_else(|error| {
                // A layer that breaks off is a failed one; those after it still say something.
                say(format!("layer {}: {error:#}", layer.name()));
                Count { failed: 1, ..Count::default() }.into()
            });
        if let Some(reason) = &outcome.skipped_because {
            say(format!("SKIP layer {}: {reason}", layer.name()));
        }
        rows.push(Row { layer, outcome, seconds: begin.elapsed().as_secs_f32() });
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    Ok(report(&rows, is_ci).into())
}

fn wanted(arguments: &TestArguments) -> Vec<Layer> {
    let is_wanted = |layer: &Layer| match (arguments.fast, arguments.layers.is_empty()) {
        (true, _) => layer.is_fast(),
        (false, true) => true,
        (false, false) => arguments.layers.contains(layer),
    };
    let named =
        [Layer::Concurrency, Layer::Long].into_iter().filter(|layer| arguments.layers.contains(layer));
    Layer::ALL.into_iter().filter(is_wanted).chain(named).collect()
}

/// Prints the table and the closing line.
fn report(rows: &[Row], is_ci: bool) -> ExitStatus {
    out::line(format!("\n{:<12}{:>8}{:>8}{:>9}{:>9}", "layer", "passed", "failed", "skipped", "seconds"));
    let mut total = Count::default();
    for row in rows {
        let count = row.outcome.count;
        total += count;
        let (passed, failed, skipped) = (count.passed, count.failed, count.skipped);
        out::line(format!("{:<12}{passed:>8}{failed:>8}{skipped:>9}{:>9.1}", row.layer.name(), row.seconds));
    }
    let is_empty =
        |row: &&Row| row.outcome.count == Count::default() && row.outcome.skipped_because.is_none();
    let empty: Vec<&str> = rows.iter().filter(is_empty).map(|row| row.layer.name()).collect();
    if !empty.is_empty() {
        out::line(format!("nothing ran in {}, which proves nothing", empty.join(", ")));
    }
    let is_incomplete = is_ci && rows.iter().any(|row| row.outcome.skipped_because.is_some());
    if is_incomplete {
        out::line("a layer was skipped, which CI=true does not allow");
    }
    out::line(format!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped));
    if total.failed > 0 || is_incomplete || !empty.is_empty() { ExitStatus::Red } else { ExitStatus::Good }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(count: Count, skipped_because: Option<&str>) -> Row {
        let outcome = Outcome { count, skipped_because: skipped_because.map(str::to_owned) };
        Row { layer: Layer::Swarm, outcome, seconds: 1.0 }
    }

    #[test]
    fn one_failed_test_makes_the_whole_red() {
        let rows = [row(Count { passed: 9, failed: 1, skipped: 0 }, None)];
        assert_eq!(report(&rows, false), ExitStatus::Red);
    }

    #[test]
    fn suite_that_ran_nothing_fails() {
        let full = row(Count { passed: 9, ..Count::default() }, None);
        assert_eq!(report(&[full], false), ExitStatus::Good);
        let rows = [row(Count { passed: 9, ..Count::default() }, None), row(Count::default(), None)];
        assert_eq!(report(&rows, false), ExitStatus::Red);
    }

    #[test]
    fn self_check_is_required_before_merge() {
        let read = |path: &str| std::fs::read_to_string(crate::workspace::root().join(path)).unwrap();
        let pipelines = read(".drone.yml");
        let own = pipelines.split("---").next().unwrap();
        assert!(own.contains("trigger: {event: [push]}") && own.contains("- .ci/run\n"), "{own}");
        let command = read(".ci/run");
        assert!(command.contains("set -eu") && command.ends_with("\nexec cargo xtask test\n"), "{command}");
        // That command leaves no layer out, format and lints are first, and one of them that is red makes it red.
        let layers = wanted(&TestArguments { fast: false, layers: Vec::new() });
        assert_eq!(layers, Layer::ALL);
        assert_eq!(layers[0], Layer::Check);
        let count = Count { passed: 4, failed: 1, skipped: 0 };
        let red = Row { layer: Layer::Check, ..row(count, None) };
        assert_eq!(report(&[red], false), ExitStatus::Red);
        // Nothing is known to be red and left alone.
        let ignored = concat!("#[", "ignore");
        let mut folders =
            vec![crate::workspace::folder().join("crates"), crate::workspace::folder().join("xtask")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    assert!(!std::fs::read_to_string(&path).unwrap().contains(ignored), "{}", path.display());
                }
            }
        }
    }

    #[test]
    fn a_skipped_layer_is_a_failure_only_in_ci() {
        let rows = [row(Count { passed: 0, failed: 0, skipped: 3 }, Some("not root"))];
        assert_eq!(report(&rows, false), ExitStatus::Good);
        assert_eq!(report(&rows, true), ExitStatus::Red);
    }
}
