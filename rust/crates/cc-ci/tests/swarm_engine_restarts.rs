//! The engine restarts while a run is under way: never a red recipe, and nothing left after one sweep.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_testkit::engine::Signal;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::{TestEngine, Testbed};
use cc_ci_testkit::{can_start_engines, canaries, witness};

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// Where in a run the engine goes, by the event that comes before, and how.
const RESTARTS: [(&str, Signal); 3] = [
    ("\"tier_started\",\"tier\":\"install\"", Signal::Term),
    ("\"tier_ended\",\"tier\":\"install\"", Signal::Kill),
    ("\"tier_started\",\"tier\":\"teardown\"", Signal::Term),
];

/// Identity of the witness's objects and what somebody asked for of its service. An engine that restarts makes its container
/// anew, and writes the service again without a change.
fn witness_looks(engine: &TestEngine) -> Vec<String> {
    let service = format!("{}_app", witness::STACK);
    let (network, volume) = (format!("{}_default", witness::STACK), format!("{}_marker", witness::STACK));
    let asked = [
        ["service", "inspect", "--format", "{{.ID}} {{json .Spec}}", &service],
        ["network", "inspect", "--format", "{{.Id}} {{json .Labels}}", &network],
        ["volume", "inspect", "--format", "{{.CreatedAt}} {{json .Labels}}", &volume],
    ];
    asked.map(|words| Onlooker::of(engine).ask(&words).unwrap()).into()
}

#[test]
fn an_engine_that_restarts_turns_no_recipe_red_and_leaves_nothing() {
    if !can_start_engines() {
        return;
    }
    let mut bed = Testbed::start(Proxy::Without).unwrap();
    let engine = bed.description.clone();
    let prefix: Vec<String> =
        bed.engine.nsenter_prefix().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let host = RunHost::new(CC_CI, &engine).started_by(&prefix);
    let arguments = host.prepare(&canaries::sound(&engine));
    witness::deploy(&engine, &engine.image("probe:1.0").reference).unwrap();
    let looked = witness_looks(&engine);
    for (words, signal) in RESTARTS {
        let mut run = host.start(&arguments);
        run.wait_for_event(words);
        bed.engine.restart(signal).unwrap();
        let ended = run.wait();
        assert!(matches!(ended.code, 0 | 2), "an engine that went is not the recipe's fault: {ended}");
        let sweep = janitor(&host, &engine);
        assert_eq!(sweep.status.code(), Some(0), "{words}: {ended}\n{}{}", sweep.stdout, sweep.stderr);
        leaves_nothing(&engine, &host);
        assert_eq!(witness_looks(&engine), looked, "{words}: {ended}");
    }
    drop(host);
    bed.stop().unwrap();
}
