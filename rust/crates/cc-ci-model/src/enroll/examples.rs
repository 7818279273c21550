//! Checks and seeds as examples: nobody but a person knows what the app is for, so they take effect only uncommented.

use crate::compose::{MountKind, Service};
use crate::names::ServiceName;

use super::Seen;
use super::guesses::web_service;
use super::page::{Page, text};

/// A check of the custom tier.
pub(super) fn check(_seen: &Seen<'_>, page: &mut Page) {
    page.blank();
    page.says("Without a check of its own the recipe stays below level 4. What would a user notice first? For example:");
    page.example("[[check]]");
    page.example("tier = \"custom\"");
    page.example("name = \"the front page shows the app\"");
    page.example("http = { path = \"/\", status = [200], contains = [\"a word of that page\"] }");
}

/// A kind of database that many recipes have.
struct Database {
    /// Words of its image's name.
    images: &'static [&'static str],
    name: &'static str,
    plant: &'static str,
    expect: &'static str,
}

/// Their images set these variables in the container (hub.docker.com, postgres and mariadb, "Environment Variables").
const DATABASES: [Database; 2] = [
    Database {
        images: &["postgres", "pgvector", "postgis", "pgautoupgrade"],
        name: "a row in PostgreSQL",
        plant: "psql -v ON_ERROR_STOP=1 -U \"${POSTGRES_USER:-postgres}\" \"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\" -c \"create table if not exists ccci_seed (marker text); insert into ccci_seed values ('{{marker}}')\"",
        expect: "psql -At -U \"${POSTGRES_USER:-postgres}\" \"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\" -c \"select marker from ccci_seed\"",
    },
    Database {
        images: &["mariadb", "mysql"],
        name: "a row in the database",
        plant: "mysql -u root -p\"$(cat /run/secrets/db_root_password)\" \"$MYSQL_DATABASE\" -e \"create table if not exists ccci_seed (marker text); insert into ccci_seed values ('{{marker}}')\"",
        expect: "mysql -N -u root -p\"$(cat /run/secrets/db_root_password)\" \"$MYSQL_DATABASE\" -e \"select marker from ccci_seed\"",
    },
];

/// A seed: data that has to survive.
pub(super) fn seed(seen: &Seen<'_>, page: &mut Page) {
    let Some(compose) = &seen.compose else { return };
    let named = || compose.services.iter().filter(|(name, _)| ServiceName::parse(name).is_ok());
    page.blank();
    page.says("Data that has to survive upgrade, backup and restore. Best is what a user would write, through the app itself.");
    let database = named().find_map(|(name, service)| Some((name, kind_of(service)?)));
    if let Some((service, database)) = database {
        page.says("This plants a row beside the app's own, by the image of that service; look at user and password first:");
        page.example("[[seed]]");
        page.example(&format!("name = {}", text(database.name)));
        let exec = |script: &str| {
            format!("service = {}, command = [\"sh\", \"-c\", {}]", text(service), text(script))
        };
        page.example(&format!("plant = {{ exec = {{ {} }} }}", exec(database.plant)));
        page.example(&format!(
            "expect = {{ exec = {{ {}, contains = [\"{{{{marker}}}}\"] }} }}",
            exec(database.expect)
        ));
        return;
    }
    let (web, _) = web_service(compose);
    let first = named().filter(|(name, _)| *name == web).chain(named()).find_map(|(name, service)| {
        let mount =
            service.mounts.iter().find(|mount| mount.kind == MountKind::Volume && !mount.read_only)?;
        Some((name, mount.target.trim_end_matches('/')))
    });
    let Some((service, folder)) = first else {
        page.says("No service has a volume to put any into.");
        return;
    };
    page.says("This writes a file into the first volume; the app itself never sees it:");
    let file = text(&format!("{folder}/ccci-seed.txt"));
    let service = text(service);
    page.example("[[seed]]");
    page.example("name = \"a file in the volume\"");
    page.example(&format!(
        "plant = {{ exec = {{ service = {service}, command = [\"tee\", {file}], stdin = \"{{{{marker}}}}\" }} }}"
    ));
    page.example(&format!(
        "expect = {{ exec = {{ service = {service}, command = [\"cat\", {file}], contains = [\"{{{{marker}}}}\"] }} }}"
    ));
}

fn kind_of(service: &Service) -> Option<&'static Database> {
    let image = service.image.as_ref()?.value.to_ascii_lowercase();
    let name = image.split(['@', ' ']).next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    DATABASES.iter().find(|database| database.images.contains(&name))
}
