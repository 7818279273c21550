//! What recipe.toml accepts and how it refuses the rest.

use super::*;

const WHOLE: &str = r#"
schema = 1
[app]
health = { path = "/healthz", status = [200] }
timeouts = { deploy = "20m", http = "90s" }
env = { LOG_LEVEL = "debug" }
memory = "512MiB"
service = "app"
port = 8080
serves = "http"
[upgrade]
env = { COMPOSE_FILE = "compose.yml:compose.ports.yml" }
base = "1.0.0+2.3.4"
[not_applicable]
backup = "keeps no data"
restore = "keeps no data"
[[ready]]
name = "office"
http = { service = "collabora", port = 9980, path = "/hosting/discovery" }
[[ready]]
name = "voice"
tcp = { service = "voice", port = 64738 }
[[check]]
tier = "install"
name = "says hello"
http = { path = "/", contains = ["hello"], headers = { Accept = "text/html" }, json = { "/a/0" = 1 } }
[[check]]
tier = "install"
name = "voice port"
within = "2m"
tcp = { service = "voice", port = 64738 }
[[check]]
tier = "custom"
name = "version"
exec = { service = "app", command = ["nginx", "-v"], exit = 0 }
[[check]]
tier = "custom"
name = "start page"
browser = { contains = ["Welcome"] }
[[seed]]
name = "page"
plant = { exec = { service = "app", command = ["tee", "/data/x"], stdin = "{{marker}}" } }
expect = { http = { path = "/x", contains = ["{{marker}}"] } }
[[needs]]
recipe = "keycloak"
env = { OIDC = "https://{{domain}}/realms/x" }
"#;

fn message(text: &str) -> String {
    RecipeToml::parse("recipes/demo/recipe.toml", text).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read_into_its_types() {
    let recipe = RecipeToml::parse("recipe.toml", WHOLE).unwrap();
    assert_eq!(recipe.app.health.path.as_str(), "/healthz");
    assert_eq!(recipe.app.memory, Some(ByteSize::mebibytes(512)));
    assert_eq!(recipe.app.timeouts.http, Some(HumanDuration::seconds(90)));
    assert_eq!(recipe.checks(Tier::Install).count(), 2);
    assert!(matches!(&recipe.check[1].look, Look::Tcp(look) if look.stable.get() == 3));
    assert_eq!(recipe.check[1].within, HumanDuration::seconds(120));
    assert!(matches!(&recipe.seed[0].plant, SeedStep::Exec(look) if look.stdin.is_some()));
    assert_eq!(recipe.not_applicable.reason(Tier::Backup).unwrap().as_str(), "keeps no data");
    assert_eq!(recipe.not_applicable.reason(Tier::Upgrade), None);
    let tiers: Vec<Tier> = recipe.not_applicable.declared().into_iter().map(|(tier, _)| tier).collect();
    assert_eq!(tiers, [Tier::Backup, Tier::Restore]);
}

#[test]
fn without_a_file_the_defaults_hold() {
    let recipe = RecipeToml::parse("recipe.toml", "schema = 1").unwrap();
    assert_eq!(recipe, RecipeToml::absent());
    let statuses: Vec<u16> = recipe.app.health.status.iter().map(|status| status.get()).collect();
    assert_eq!(statuses, [200, 301, 302]);
}

#[test]
fn unknown_key_or_wrong_type_in_recipe_settings_is_refused() {
    for (text, start, end) in [
        ("schema = 1\n[app]\nhelth = {}", "recipes/demo/recipe.toml, line 3: key app.helth: ", "`health`?"),
        (
            "schema = 1\n[app.health]\n\npth = \"/\"",
            "recipes/demo/recipe.toml, line 4: key app.health.pth: ",
            "`path`?",
        ),
        ("schema = 1\nchecks = []", "recipes/demo/recipe.toml, line 2: key checks: ", "`check`?"),
        (
            "schema = 1\n[[check]]\ntier = \"install\"\nname = \"x\"\nhttp = { pathh = \"/\" }",
            "recipes/demo/recipe.toml, line 5: key check[0].http.pathh: ",
            "`path`?",
        ),
        ("schema = 1\n[app]\nport = \"80\"", "recipes/demo/recipe.toml, line 3: key app.port: ", ""),
        (
            "schema = 1\n[app.timeouts]\ndeploy = 600",
            "recipes/demo/recipe.toml, line 3: key app.timeouts.deploy: ",
            "",
        ),
        (
            "schema = 1\n[app.timeouts]\nhttp = \"10\"",
            "recipes/demo/recipe.toml, line 3: key app.timeouts.http: ",
            "s, ms behind it",
        ),
        (
            "schema = 1\n[not_applicable]\nlint = \"no\"",
            "recipes/demo/recipe.toml, line 3: key not_applicable.lint: ",
            "",
        ),
        (
            "schema = 1\n[not_applicable]\ninstall = \"no\"",
            "recipes/demo/recipe.toml, line 3: key not_applicable.install: ",
            "",
        ),
        ("schema = 2", "recipes/demo/recipe.toml, line 1: key schema: ", "reads schema 1"),
        ("[app]", "recipes/demo/recipe.toml, line 1: ", "missing field `schema`"),
        ("schema = 1\n[app", "recipes/demo/recipe.toml, line 2: ", ""),
        ("schema = 1\nschema = 1", "recipes/demo/recipe.toml, line 2: ", ""),
    ] {
        let message = message(text);
        assert!(message.starts_with(start), "{text}\n→ {message}");
        assert!(message.ends_with(end), "{text}\n→ {message}");
        assert!(!message.contains('\n'), "one line: {message}");
    }
}

#[test]
fn a_ready_probe_is_exactly_one_look_at_one_place() {
    let ready = |look: &str| message(&format!("schema = 1\n[[ready]]\nname = \"x\"\n{look}"));
    assert!(ready("").contains("ready x needs exactly one of http and tcp"));
    assert!(ready("http = {}\ntcp = { port = 1 }").contains("exactly one"));
    assert!(ready("http = { service = \"db\" }").contains("service and port together"));
    assert!(ready("http = { port = 80 }").contains("service and port together"));
    assert!(ready("tcp = {}").contains("missing field `port`"));
    let twice = "schema = 1\n[[ready]]\nname = \"x\"\nhttp = {}\n[[ready]]\nname = \"x\"\nhttp = {}";
    assert!(message(twice).contains("\"x\" is there twice"));
}

#[test]
fn an_app_without_a_page_is_not_asked_for_one() {
    let check = "[[check]]\ntier = \"custom\"\nname = \"start page\"\nhttp = {}";
    for serves in ["tcp", "none"] {
        let message = message(&format!("schema = 1\n[app]\nserves = \"{serves}\"\n{check}"));
        assert!(
            message.contains("line 3: key app.serves") && message.contains("check start page"),
            "{message}"
        );
        let ready = "[[ready]]\nname = \"office\"\nhttp = { service = \"office\", port = 80 }";
        assert!(
            RecipeToml::parse("f", &format!("schema = 1\n[app]\nserves = \"{serves}\"\n{ready}")).is_ok()
        );
    }
    assert!(message("schema = 1\n[app]\nserves = \"udp\"").contains("key app.serves"));
}

#[test]
fn a_check_is_exactly_one_look() {
    let both = "schema = 1\n[[check]]\ntier = \"install\"\nname = \"x\"\nhttp = {}\ntcp = { port = 1 }";
    let none = "schema = 1\n[[check]]\ntier = \"install\"\nname = \"x\"";
    let lint = "schema = 1\n[[check]]\ntier = \"lint\"\nname = \"x\"\nhttp = {}";
    for text in [both, none] {
        assert!(message(text).contains("exactly one of http, tcp, exec and browser"), "{}", message(text));
    }
    assert!(message(lint).contains("lint has no checks of its own"), "{}", message(lint));
}

#[test]
fn names_are_unique_where_results_are_told_apart_by_them() {
    let check = "[[check]]\ntier = \"install\"\nname = \"x\"\nhttp = {}\n";
    assert!(message(&format!("schema = 1\n{check}{check}")).contains("\"x\" is there twice"));
    let other = check.replace("install", "custom");
    assert!(RecipeToml::parse("f", &format!("schema = 1\n{check}{other}")).is_ok());
}

#[test]
fn a_tier_with_a_check_cannot_be_declared_as_not_applicable() {
    let text = "schema = 1\n[not_applicable]\ncustom = \"no\"\n[[check]]\ntier = \"custom\"\nname = \"x\"\nhttp = {}";
    let message = message(text);
    assert!(message.contains("line 2") && message.contains("not_applicable.custom"), "{message}");
}

#[test]
fn a_seed_that_could_not_fail_does_not_exist() {
    let seed = |plant: &str, expect: &str| {
        let step = |text: &str| format!("{{ exec = {{ service = \"app\", command = [\"x\"], {text} }} }}");
        format!("schema = 1\n[[seed]]\nname = \"s\"\nplant = {}\nexpect = {}", step(plant), step(expect))
    };
    assert!(RecipeToml::parse("f", &seed("stdin = \"{{marker}}\"", "contains = [\"{{marker}}\"]")).is_ok());
    assert!(
        message(&seed("stdin = \"fixed\"", "contains = [\"{{marker}}\"]"))
            .contains("plant puts no {{marker}}")
    );
    assert!(message(&seed("stdin = \"{{marker}}\"", "contains = [\"x\"]")).contains("it could not fail"));
}

#[test]
fn the_key_table_knows_every_table() {
    let table = recipe_key_table();
    for row in [
        "| `schema` |",
        "| `app.health.path` | string; default `\"/\"` |",
        "| `app.serves` | `\"http\"`, `\"tcp\"`, `\"none\"` |",
        "| `[[ready]].tcp.stable` | number; default `3` |",
        "| `[[ready]].http.path` | string; default `\"/\"` |",
        "| `app.memory` | bytes, e.g. `\"512MiB\"` |",
        "| `app.timeouts.deploy` | time, e.g. `\"90s\"` |",
        "| `upgrade.env` | table of values |",
        "| `not_applicable.backup` |",
        "| `[[check]].http.method` | `\"GET\"`",
        "| `[[check]].tcp.stable` | number; default `3` |",
        "| `[[check]].exec.command` | list of string |",
        "| `[[seed]].plant.exec.stdin` |",
        "| `[[needs]].recipe` |",
    ] {
        assert!(table.contains(row), "{row} is missing in\n{table}");
    }
    assert!(table.lines().all(|line| !line.ends_with("|  |")), "every key has a meaning:\n{table}");
}
