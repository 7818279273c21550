//! What a run costs is measured while it runs: memory by tier, seconds to the first good answer, size of the images.

use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::{canaries, engine_or_skip};

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

#[test]
fn each_tier_shows_the_memory_that_its_app_took_and_how_soon_it_answered() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canaries::takes_memory(&engine, 96));
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    let footprint = ended.result().footprint;
    let memory = |tier: &str| footprint.tier_memory_bytes.get(tier).copied();
    let (install, upgrade) = memory("install").zip(memory("upgrade")).unwrap_or_else(|| panic!("{ended}"));
    // The base takes a few MiB; the upgrade ends with head, which takes what it was told to.
    let told = 96 << 20;
    assert!(install < told / 2, "{install}: {ended}");
    assert!((told..told * 2).contains(&upgrade), "{upgrade}: {ended}");
    assert_eq!(footprint.peak_memory_bytes, Some(upgrade), "{ended}");
    assert!(footprint.image_bytes.is_some_and(|bytes| bytes > 0), "{ended}");
    for tier in ["install", "upgrade"] {
        let (answer, whole) = (footprint.first_answer_seconds.get(tier), footprint.seconds.get(tier));
        let (answer, whole) = answer.zip(whole).unwrap_or_else(|| panic!("no answer in {tier}: {ended}"));
        assert!(*answer > 0.0 && answer < whole, "{tier}: {answer} of {whole}: {ended}");
    }
    let shown = host.run(&["show"]);
    for words in ["largest memory", "first good answer", " MiB on disk"] {
        assert!(shown.stdout.contains(words), "{words:?} is not shown: {shown}");
    }
}
