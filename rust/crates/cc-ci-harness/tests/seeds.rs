//! Seeds and markers: fresh values that are there again, or the check fails.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod app;
mod origin;

use app::{App, Folders, Step};
use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::RecipeToml;
use origin::Origin;

const SEED: &str = r#"
schema = 1
[[seed]]
name = "page"
plant = { exec = { service = "app", command = ["tee", "/data/page"], stdin = "page {{marker}} of {{domain}}" } }
expect = { exec = { service = "app", command = ["cat", "/data/page"], contains = ["{{marker}}"] } }
"#;

#[tokio::test]
async fn a_seed_is_fresh_each_time_and_found_only_where_it_survived() {
    let server = Origin::silent().await;
    let app = App::at(&server);
    let recipe = RecipeToml::parse("recipe.toml", SEED).unwrap();
    let (planted, reports) = app.looking().plant(&recipe.seed).await;
    assert_eq!((planted.len(), reports[0].status), (1, Status::Pass));
    let first = app.hands.data.lock().unwrap().clone();
    assert!(first.starts_with("page ccci") && first.ends_with(&format!(" of {}", origin::OWN)), "{first}");
    let reports = app.looking().expect(&planted, "upgrade").await;
    assert_eq!(
        (reports[0].name.as_str(), reports[0].status),
        ("seed page is there after upgrade", Status::Pass)
    );

    // The same seed of another run does not count, so an old snapshot cannot pass for this one.
    let (_, _) = app.looking().plant(&recipe.seed).await;
    assert_ne!(*app.hands.data.lock().unwrap(), first);
    let reports = app.looking().expect(&planted, "restore").await;
    assert_eq!(reports[0].status, Status::Fail, "{}", reports[0].message);
}

#[tokio::test]
async fn a_seed_that_was_not_planted_is_a_failure_and_is_not_looked_for() {
    let server = Origin::silent().await;
    let mut app = App::at(&server);
    app.hands.answers([Step::Done(1, "read-only file system")]);
    let recipe = RecipeToml::parse("recipe.toml", SEED).unwrap();
    let (planted, reports) = app.looking().plant(&recipe.seed).await;
    assert!(planted.is_empty());
    assert_eq!(reports[0].status, Status::Fail);
    assert!(reports[0].message.contains("read-only file system"), "{}", reports[0].message);
}

#[tokio::test]
async fn a_marker_must_survive_in_each_volume() {
    let server = Origin::silent().await;
    let (app, folder) = (App::at(&server), tempfile::tempdir().unwrap());
    let names: Vec<String> =
        ["kept", "emptied", "changed"].map(|name| format!("cust-c95a69_ci_example_{name}")).into();
    for name in &names {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let volumes = Folders(folder.path());
    let (planted, reports) = app.looking().plant_markers(&volumes, &names).await;
    assert!(reports.iter().all(|report| report.status == Status::Pass));
    std::fs::remove_file(folder.path().join(&names[1]).join(&planted[1].file)).unwrap();
    std::fs::write(folder.path().join(&names[2]).join(&planted[2].file), "mutated").unwrap();
    let reports = app.looking().expect_markers(&volumes, &planted, "upgrade").await;
    let statuses: Vec<Status> = reports.iter().map(|report| report.status).collect();
    assert_eq!(statuses, [Status::Pass, Status::Fail, Status::Fail]);
    assert!(reports[1].message.contains("its data is lost"), "{}", reports[1].message);
    assert!(reports[2].message.contains("its data was changed"), "{}", reports[2].message);
}
