//! What a sweep measures beside a real proxy.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_testkit::engine_or_skip;

mod support;
use support::Ground;

#[test]
fn days_of_the_proxys_certificate_are_in_the_health_file() {
    let engine = engine_or_skip!();
    let Some(proxy) = engine.traefik.clone() else {
        let say = cc_ci_testkit::progress::say;
        say(
            "SKIP days_of_the_proxys_certificate_are_in_the_health_file: no proxy (run cargo xtask test swarm)",
        );
        return;
    };
    let ground = Ground::new(engine);
    let health = || {
        let text = std::fs::read_to_string(ground.host.path("state/health.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let settings = |port: u16| {
        let keep = "[keep]\nimages_below_percent = 100\n";
        ground.host.write_settings(&format!("{keep}[proxy]\naddress = \"127.0.0.1:{port}\"\n"));
    };
    settings(proxy.https_port);
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    let shown = health()["certificate_days"].as_i64().expect("the proxy shows a certificate");
    // What somebody with openssl reads from the same proxy.
    let end = std::process::Command::new("sh")
        .args(["-c", "openssl s_client -connect \"$0\" -servername \"$1\" < /dev/null 2> /dev/null | openssl x509 -noout -enddate -dateopt iso_8601"])
        .arg(format!("127.0.0.1:{}", proxy.https_port))
        .arg(format!("cc-ci-health.{}", ground.zone))
        .output()
        .unwrap();
    let end = String::from_utf8_lossy(&end.stdout).trim().replace("notAfter=", "").replace(' ', "T");
    let end: jiff::Timestamp = end.parse().unwrap_or_else(|error| panic!("{error}: {end}"));
    let days = (end.as_second() - jiff::Timestamp::now().as_second()).div_euclid(86_400);
    assert!((days..=days + 1).contains(&shown), "{shown}, and openssl says {days}");
    // A warning exactly where somebody has to act.
    assert_eq!(Ground::codes(&ended).contains(&"warn certificate".to_owned()), shown < 14, "{ended}");

    // Without a proxy there is nothing to say, and no old number stays.
    settings(9);
    let ended = ground.sweep();
    assert_eq!((ended.code, Ground::codes(&ended)), (0, Vec::new()), "{ended}");
    assert!(health()["certificate_days"].is_null());
}
