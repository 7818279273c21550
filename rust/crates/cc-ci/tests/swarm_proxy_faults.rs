//! A broken proxy is our trouble and never the recipe's failure; a route that the recipe does not ask for is the recipe's.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::certificate::Validity;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::Testbed;
use cc_ci_testkit::traefik::{start_traefik_with, stop_traefik};
use cc_ci_testkit::{can_start_engines, canaries};

mod support;
use support::{CC_CI, leaves_nothing};

/// No tier fails, and the trouble says what is wrong with the proxy.
fn is_trouble(ended: &Ended, words: &str) {
    assert_eq!(ended.code, 2, "{ended}");
    let result = ended.result();
    assert!(result.tiers.iter().all(|tier| tier.status != Status::Fail), "{ended}");
    let trouble = result.trouble.unwrap_or_else(|| panic!("no trouble is stored: {ended}"));
    assert!(trouble.what.contains(words) && trouble.retry, "{trouble:?}");
}

#[test]
fn a_broken_proxy_is_trouble_and_a_missing_route_is_the_recipes_fault() {
    if !can_start_engines() {
        return;
    }
    let bed = Testbed::start(Proxy::Traefik).unwrap();
    let engine = bed.description.clone();
    let prefix: Vec<String> =
        bed.engine.nsenter_prefix().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let host = RunHost::behind_proxy(CC_CI, &engine).started_by(&prefix);
    let arguments = |canary: &canaries::Canary| -> Vec<String> {
        let mut words = host.prepare(canary);
        words.iter_mut().filter(|word| *word == "direct").for_each(|word| *word = "proxy".to_owned());
        words
    };
    let sound = canaries::sound(&engine);

    // Without its label the app has no router, and Traefik answers 404: the recipe's fault.
    let mut unrouted = sound.clone();
    unrouted.name = "canary-unrouted";
    unrouted.base = None;
    for (_, text) in &mut unrouted.head {
        *text = text.replace("traefik.enable=true", "traefik.enable=false");
    }
    let ended = host.run(&arguments(&unrouted));
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.words_of(Tier::Install).contains("for any unknown name"), "{ended}");

    // The proxy ends in the middle of a run.
    let arguments = arguments(&sound);
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    stop_traefik(&bed.engine).unwrap();
    let ended = run.wait();
    is_trouble(&ended, "the proxy does not answer");
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");

    // Its certificate ran out.
    start_traefik_with(&bed.engine, &engine.zone, Validity::Expired).unwrap();
    let ended = host.run(&arguments);
    is_trouble(&ended, "the proxy's certificate is not accepted");
    stop_traefik(&bed.engine).unwrap();
    leaves_nothing(&engine, &host);
    drop(host);
    bed.stop().unwrap();
}
