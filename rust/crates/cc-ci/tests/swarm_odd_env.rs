//! Oddities of an `.env.sample`: what the app is given of them, on a real swarm.

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::run_host::RunHost;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A mark of byte order, Windows line ends, quotes, comments, nonsense and no end of the last line.
const SAMPLE: &str = "\u{feff}TYPE=canary\r\nDOMAIN=canary.example.com\r\n\
    this line says nothing\r\n=neither does this\r\n\
    QUOTED=\"two words\"  # a remark\r\nSINGLE='as $it is'\r\nDOLLAR=a$$b\r\n\
    #OPTIONAL=off\r\nexport EXPORTED=yes\r\nLETS_ENCRYPT_ENV=production\r\nLAST=end";

#[test]
fn oddities_of_an_env_sample_reach_the_app_as_their_meaning() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut canary = canaries::sound(&engine);
    canary.base = None;
    for (name, text) in &mut canary.head {
        if name == ".env.sample" {
            *text = SAMPLE.to_owned();
        }
    }
    // The probe shows its environment; the lines end where the values end.
    canary.recipe_toml.push_str(
        r#"
[[check]]
tier = "custom"
name = "values"
http = { path = "/env", contains = ["QUOTED=two words\n", "SINGLE=as $it is\n", "EXPORTED=yes\n", "LAST=end\n"] }

[[check]]
tier = "custom"
name = "certificate resolver"
http = { path = "/env", contains = ["LETS_ENCRYPT_ENV=\n", "DOMAIN={{domain}}\n", "TYPE=canary-sound:"] }
"#,
    );
    let ended = host.run(&host.prepare(&canary));
    assert_eq!(ended.code, 0, "{ended}");
    let custom = ended.tier(Tier::Custom);
    let values = custom.checks.iter().find(|check| check.name == "values").expect("the check ran");
    assert_eq!(values.status, Status::Pass, "{ended}");
}
