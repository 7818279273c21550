//! Checks of a recipe.toml: what is there is judged once, what is not there yet is waited for, our faults are ours.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod app;
mod origin;

use app::{App, Step};
use cc_ci_harness::checks::Looking;
use cc_ci_harness::http::{Client, Scheme};
use cc_ci_harness::way::Way;
use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::result::{CheckReport, Origin as From};
use origin::Origin;

async fn check(app: &App, look: &str) -> CheckReport {
    let text = format!("schema = 1\n[[check]]\ntier = \"custom\"\nname = \"the check\"\n{look}");
    let recipe = RecipeToml::parse("recipe.toml", &text).unwrap();
    let report = app.looking().check(&recipe.check[0]).await;
    assert_eq!((report.name.as_str(), report.origin), ("the check", From::Recipe));
    report
}

#[tokio::test]
async fn proxy_that_is_gone_is_no_failure_of_a_check() {
    let server = Origin::plain(&answer("200 OK", "", "hello")).await;
    let app = App::at(&server);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::new(origin::OWN, gone, &Scheme::Http).unwrap();
    let unknown = Client::new("nobody.ci.example", gone, &Scheme::Http).unwrap();
    let look = |client, unknown| Looking {
        client: Some(client),
        way: Way { unknown, ..Way::default() },
        ..app.looking()
    };
    let text = "schema = 1\n[[check]]\ntier = \"custom\"\nname = \"x\"\nwithin = \"1s\"\nhttp = {}\n";
    let recipe = RecipeToml::parse("recipe.toml", text).unwrap();
    let report = look(&client, Some(&unknown)).check(&recipe.check[0]).await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
    assert!(report.message.contains("the proxy does not answer"), "{}", report.message);
    // The same silence with a proxy that answers for others is the app's own.
    let sound = Client::new("nobody.ci.example", server.address, &Scheme::Http).unwrap();
    let report = look(&client, Some(&sound)).check(&recipe.check[0]).await;
    assert_eq!(report.status, Status::Fail, "{}", report.message);
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn http_expectations_are_each_able_to_fail() {
    let server = Origin::plain(&answer(
        "200 OK",
        "",
        "{\"a\": [1, {\"b\": \"x\"}], \"d\": \"cust-c95a69.ci.example\"}",
    ))
    .await;
    let app = App::at(&server);
    for (look, wrong) in [
        ("http = { path = \"/a\", status = [200, 204] }", None),
        ("http = { status = [201] }", Some("GET / answers 200, expected 201")),
        ("http = { contains = [\"\\\"b\\\"\", \"cust-\"] }", None),
        ("http = { contains = [\"\\\"b\\\"\", \"nowhere\"] }", Some("does not contain \"nowhere\"")),
        ("http = { json = { \"/a/1/b\" = \"x\", \"/a/0\" = 1, \"/d\" = \"{{domain}}\" } }", None),
        ("http = { json = { \"/a/1/b\" = \"y\" } }", Some("/a/1/b in the answer to GET / is \"\\\"x\\\"\"")),
        ("http = { json = { \"/a/9\" = 1 } }", Some("there is no /a/9")),
        ("http = { location = \"/login\" }", Some("redirects nowhere")),
    ] {
        let report = check(&app, look).await;
        match wrong {
            None => assert_eq!(report.status, Status::Pass, "{look}: {}", report.message),
            Some(part) => {
                assert_eq!(report.status, Status::Fail, "{look}");
                assert!(report.message.contains(part), "{look}: {}", report.message);
                assert!(app.kept(&report).contains("HTTP status 200"), "the answer is kept");
            }
        }
    }
}

#[tokio::test]
async fn a_login_redirect_is_judged_by_its_first_target() {
    let server = Origin::plain(&answer("302 Found", "Location: /oauth/authorize?x=1\r\n", "")).await;
    let app = App::at(&server);
    let right = check(&app, "http = { status = [302], location = \"/oauth/authorize\" }").await;
    assert_eq!(right.status, Status::Pass, "{}", right.message);
    let wrong = check(&app, "http = { status = [302], location = \"/login\" }").await;
    assert!(
        wrong.message.contains("redirects to \"/oauth/authorize?x=1\", expected \"/login\""),
        "{}",
        wrong.message
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn wrong_content_is_asked_for_once_and_absence_again() {
    let server = Origin::plain(&answer("200 OK", "", "old content")).await;
    let report = check(&App::at(&server), "within = \"20s\"\nhttp = { contains = [\"new content\"] }").await;
    assert_eq!((report.status, server.connections()), (Status::Fail, 1));

    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Origin::replying(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => answer("502 Bad Gateway", "", ""),
        _ => answer("200 OK", "", "new content"),
    })
    .await;
    let report = check(&App::at(&server), "within = \"20s\"\nhttp = { contains = [\"new content\"] }").await;
    assert_eq!((report.status, server.connections()), (Status::Pass, 2), "{}", report.message);
}

#[tokio::test]
async fn retry_covers_failed_execs_never_wrong_content() {
    let server = Origin::silent().await;
    let look =
        "within = \"20s\"\nexec = { service = \"app\", command = [\"cat\", \"/x\"], contains = [\"right\"] }";
    let mut app = App::at(&server);
    app.hands.answers([Step::NotThere, Step::NotThere, Step::Done(0, "right\n")]);
    let report = check(&app, look).await;
    assert_eq!((report.status, app.hands.asked()), (Status::Pass, 3), "{}", report.message);
    app.hands.answers([Step::Done(0, "wrong\n"), Step::Done(0, "right\n")]);
    let report = check(&app, look).await;
    assert_eq!((report.status, app.hands.asked()), (Status::Fail, 1));
    assert!(report.message.contains("did not print \"right\", but: \"wrong\""), "{}", report.message);
    app.hands.answers([Step::Done(1, "no such file"), Step::Done(0, "right\n")]);
    let report = check(&app, look).await;
    assert_eq!((report.status, app.hands.asked()), (Status::Fail, 1));
    assert!(report.message.contains("ended with 1, expected 0: \"no such file\""), "{}", report.message);
}

#[tokio::test]
async fn what_never_comes_is_the_apps_fault_and_what_we_cannot_see_is_ours() {
    let server = Origin::silent().await;
    let look = "within = \"300ms\"\nexec = { service = \"app\", command = [\"true\"] }";
    let mut app = App::at(&server);
    app.hands.answers(std::iter::repeat_n(Step::NotThere, 100));
    let report = check(&app, look).await;
    assert_eq!(report.status, Status::Fail);
    assert!(
        report.message.contains("not so after 300ms; last seen: no container runs"),
        "{}",
        report.message
    );
    app.hands.answers([Step::CouldNotLook]);
    let report = check(&app, look).await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
    let report = check(&app, "browser = {}").await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
}

#[tokio::test]
async fn a_port_is_asked_for_as_often_as_the_check_says() {
    let server = Origin::silent().await;
    let app = App::at(&server);
    let report = check(&app, "tcp = { service = \"voice\", port = 64738, stable = 5 }").await;
    assert_eq!(report.status, Status::Pass, "{}", report.message);
    assert_eq!(*app.probe.asked.lock().unwrap(), [(Some("voice".to_owned()), 64738, 5)]);
    let report = check(&app, "within = \"300ms\"\ntcp = { port = 1 }").await;
    assert_eq!(report.status, Status::Fail);
    assert!(report.message.contains("connection refused"), "{}", report.message);
}

#[tokio::test]
async fn secrets_in_what_was_seen_are_masked_in_result_and_evidence() {
    let server = Origin::plain(&answer("200 OK", "", "password: correct-horse-battery")).await;
    let app = App::at(&server);
    let secret = cc_ci_process::mask::SecretValue::new("correct-horse-battery".to_owned());
    app.evidence.masker().add("test", &secret).unwrap();
    let report = check(&app, "http = { contains = [\"user correct-horse-battery\"] }").await;
    assert_eq!(report.status, Status::Fail);
    let kept = app.kept(&report);
    assert!(
        !report.message.contains("correct-horse") && !kept.contains("correct-horse"),
        "{}\n{kept}",
        report.message
    );
    assert!(kept.contains("password: [masked]"), "{kept}");
}
