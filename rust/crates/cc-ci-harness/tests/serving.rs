//! Serving is proved by the app's own answer, never by a status or a certificate alone.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod origin;

use std::net::SocketAddr;
use std::time::Duration;

use cc_ci_harness::door::{Door, Patience, Target};
use cc_ci_harness::evidence::Evidence;
use cc_ci_harness::http::{Client, Scheme};
use cc_ci_harness::serving::{Eyes, serving, unknown_host};
use cc_ci_harness::way::Way;
use cc_ci_model::names::Zone;
use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::Health;
use cc_ci_model::result::CheckReport;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use origin::{OWN, Origin};

const LONG: Duration = Duration::from_secs(20);
const QUICK: Duration = Duration::from_millis(600);
const APP: &str = "<h1>Notes</h1><p>Welcome, these are the notes of our cooperative. Sign in to write.</p>";

fn page(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A proxy's answer for a name without a route (Traefik's very words).
fn proxy_404() -> String {
    page("404 Not Found", "text/plain; charset=utf-8", "404 page not found\n")
}

async fn judge(
    app: &Client,
    task: &Client,
    unknown: Option<&Client>,
    limit: Duration,
) -> (CheckReport, String) {
    let folder = tempfile::tempdir().unwrap();
    let evidence = Evidence::new(folder.path(), Tier::Install, Masker::new());
    let way = Way { unknown, ..Way::default() };
    let eyes = Eyes { app, task: Some(task), way };
    let report = serving(eyes, &Health::default(), limit, &Cancellation::new(), &evidence).await;
    let log = report.log.as_ref().map(|log| std::fs::read_to_string(folder.path().join(log)).unwrap());
    (report, log.unwrap_or_default())
}

fn plain(origin: &Origin, name: &str) -> Client {
    Client::new(name, origin.address, &Scheme::Http).unwrap()
}

fn nobody() -> String {
    unknown_host(&Zone::parse("ci.example").unwrap())
}

#[tokio::test]
async fn the_apps_own_answer_through_the_door_is_serving() {
    let proxy = Origin::replying(|head| {
        if head.to_lowercase().contains(&format!("host: {OWN}")) {
            page("200 OK", "text/html", APP)
        } else {
            proxy_404()
        }
    })
    .await;
    let task = Origin::plain(&page("200 OK", "text/html; charset=utf-8", APP)).await;
    let door = Door::open(&[OWN], Target::Tcp(proxy.address), Patience::default()).await.unwrap();
    let app = Client::new(OWN, door.address(), &Scheme::Http).unwrap();
    let (report, _) = judge(&app, &plain(&task, OWN), Some(&plain(&proxy, &nobody())), LONG).await;
    assert_eq!(report.status, Status::Pass, "{}", report.message);
    assert_eq!(report.message, "/ answers 200, the same from the task itself");
}

#[tokio::test]
async fn proxy_404_and_default_certificate_are_not_serving() {
    let task = Origin::plain(&page("200 OK", "text/html", APP)).await;
    // A dead route: the proxy answers for it as for any unknown name.
    let proxy = Origin::plain(&proxy_404()).await;
    let (report, log) =
        judge(&plain(&proxy, OWN), &plain(&task, OWN), Some(&plain(&proxy, &nobody())), QUICK).await;
    assert_eq!(report.status, Status::Fail);
    assert!(report.message.contains("the one the proxy gives for any unknown name"), "{}", report.message);
    assert!(log.contains("404 page not found"), "{log}");
    // The certificate a proxy makes up for itself: valid for no domain of ours, by no authority of ours.
    let made_up = Origin::tls(&["TRAEFIK.DEFAULT.CERT.example"], &page("200 OK", "text/html", APP)).await;
    let ours = Origin::tls(&[OWN], "").await;
    let app = Client::new(OWN, made_up.address, &Scheme::Https { ca: Some(ours.pem()) }).unwrap();
    let (report, _) = judge(&app, &plain(&task, OWN), None, QUICK).await;
    assert_eq!(report.status, Status::Fail);
    assert!(report.message.contains("the certificate is not accepted"), "{}", report.message);
}

#[tokio::test]
async fn the_page_of_another_app_is_not_serving() {
    let other =
        Origin::plain(&page("200 OK", "text/html", "<h1>Wiki</h1> edit this page, history, discussion"))
            .await;
    let task = Origin::plain(&page("200 OK", "text/html", APP)).await;
    let (report, _) = judge(&plain(&other, OWN), &plain(&task, OWN), None, QUICK).await;
    assert_eq!(report.status, Status::Fail);
    assert!(report.message.contains("is not the one its task gives"), "{}", report.message);
}

#[tokio::test]
async fn slow_first_boot_inside_its_budget_is_green() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let task = Origin::replying(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..=5 => page("503 Service Unavailable", "text/plain", "migrating"),
        _ => page("200 OK", "text/html", APP),
    })
    .await;
    let app = plain(&task, OWN);
    let (report, _) = judge(&app, &app, None, LONG).await;
    assert_eq!(report.status, Status::Pass, "{}", report.message);
    let never = Origin::plain(&page("503 Service Unavailable", "text/plain", "migrating")).await;
    let app = plain(&never, OWN);
    let (report, _) = judge(&app, &app, None, QUICK).await;
    assert_eq!(report.status, Status::Fail);
    assert!(
        report.message.contains("not so after 600ms") && report.message.contains("status 503"),
        "{}",
        report.message
    );
}

#[tokio::test]
async fn a_cancelled_look_says_nothing_about_the_app() {
    let task = Origin::silent().await;
    let app = plain(&task, OWN);
    let folder = tempfile::tempdir().unwrap();
    let evidence = Evidence::new(folder.path(), Tier::Install, Masker::new());
    let cancellation = Cancellation::new();
    cancellation.cancel(cc_ci_process::cancel::Cause::Term);
    let eyes = Eyes { app: &app, task: None, way: Way::default() };
    let report = serving(eyes, &Health::default(), LONG, &cancellation, &evidence).await;
    assert_eq!(report.status, Status::Unverified);
}

/// Judges through a door before the proxy, as a run does.
async fn judge_through_door(proxy: SocketAddr, scheme: &Scheme) -> CheckReport {
    let task = Origin::plain(&page("200 OK", "text/html", APP)).await;
    let door = Door::open(&[OWN], Target::Tcp(proxy), Patience::default()).await.unwrap();
    let app = Client::new(OWN, door.address(), scheme).unwrap();
    let unknown = Client::new(&nobody(), proxy, scheme).unwrap();
    let (folder, task) = (tempfile::tempdir().unwrap(), plain(&task, OWN));
    let evidence = Evidence::new(folder.path(), Tier::Install, Masker::new());
    let way = Way { unknown: Some(&unknown), door: Some(&door), relay: None };
    let eyes = Eyes { app: &app, task: Some(&task), way };
    serving(eyes, &Health::default(), QUICK, &Cancellation::new(), &evidence).await
}

#[tokio::test]
async fn expired_certificate_of_the_proxy_is_never_the_apps_failure() {
    let expired = Origin::tls_expired(&["*.ci.example"], &page("200 OK", "text/html", APP)).await;
    let scheme = Scheme::Https { ca: Some(expired.pem()) };
    let report = judge_through_door(expired.address, &scheme).await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
    assert!(report.message.contains("the proxy's certificate is not accepted"), "{}", report.message);
    assert!(report.message.contains("renew it"), "{}", report.message);
    // One by an authority that the host does not know.
    let other = Origin::tls(&["*.ci.example"], "").await;
    let report = judge_through_door(expired.address, &Scheme::Https { ca: Some(other.pem()) }).await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
}

#[tokio::test]
async fn certificate_of_the_apps_own_behind_a_sound_proxy_is_its_own_fault() {
    let proxy = Origin::tls(&["*.ci.example"], &proxy_404()).await;
    let own = Origin::tls_expired(&[OWN], &page("200 OK", "text/html", APP)).await;
    let task = Origin::plain(&page("200 OK", "text/html", APP)).await;
    let both: Vec<u8> = [proxy.pem(), own.pem()].concat();
    let scheme = Scheme::Https { ca: Some(both) };
    let app = Client::new(OWN, own.address, &scheme).unwrap();
    let unknown = Client::new(&nobody(), proxy.address, &scheme).unwrap();
    let (report, _) = judge(&app, &plain(&task, OWN), Some(&unknown), QUICK).await;
    assert_eq!(report.status, Status::Fail, "{}", report.message);
    assert!(report.message.contains("the certificate is not accepted"), "{}", report.message);
}

#[tokio::test]
async fn proxy_that_is_gone_is_never_the_apps_failure() {
    // A port that was free a moment ago: whoever asks there is refused.
    let nobody_there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for scheme in [Scheme::Http, Scheme::Https { ca: None }] {
        let report = judge_through_door(nobody_there, &scheme).await;
        assert_eq!(report.status, Status::Unverified, "{}", report.message);
        assert!(report.message.contains("the proxy does not answer"), "{}", report.message);
        assert!(report.message.contains("start it"), "{}", report.message);
    }
}

#[tokio::test]
async fn proxy_that_took_the_connection_and_hangs_is_never_the_apps_failure() {
    // The kernel takes connections for a listener that nobody serves, as for a proxy that was stopped.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let report = judge_through_door(listener.local_addr().unwrap(), &Scheme::Https { ca: None }).await;
    assert_eq!(report.status, Status::Unverified, "{}", report.message);
    assert!(report.message.contains("did not answer within 10 s"), "{}", report.message);
}

#[tokio::test]
async fn app_that_hangs_up_behind_a_sound_proxy_is_at_fault() {
    let proxy = Origin::replying(|head| {
        if head.to_lowercase().contains(&format!("host: {OWN}")) { String::new() } else { proxy_404() }
    })
    .await;
    let report = judge_through_door(proxy.address, &Scheme::Http).await;
    assert_eq!(report.status, Status::Fail, "{}", report.message);
}
