//! What a run says of itself is what somebody else sees: its files while it runs, its counts, its neighbours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::event::{Event, Happening};
use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::{RunResult, RunState};
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::patience;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;
use serde_json::Value;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// The bundled recipe without test data of ours: it has a secret, a config and a volume to be removed.
fn bundled(host: &RunHost, engine: &TestEngine) -> Vec<String> {
    let folder = host.path("repositories/custom-html");
    let made = RecipeRepository::bundled("custom-html", &folder, &engine.registry);
    let (repository, head) = made.expect("the bundled recipe");
    host.set_test_data(
        "custom-html",
        "schema = 1\napp.health.path = \"/health\"\nnot_applicable.elsewhere = \"not asked here\"\n",
    );
    host.arguments_for("custom-html", &repository, &head)
}

fn stack_of(ended: &Ended) -> String {
    ended.result().run.stack.expect("a run that reached the swarm has a stack")
}

fn is_gone(engine: &TestEngine, ended: &Ended) {
    let left = Onlooker::of(engine).everything_with(&stack_of(ended));
    assert_eq!(left, Vec::<String>::new(), "{ended}");
}

/// The app's `.env` in a run's folder.
fn env_file(folder: &Path, result: &RunResult) -> Option<PathBuf> {
    let domain = result.run.domain.as_ref()?;
    Some(folder.join(format!("abra/servers/default/{domain}.env")))
}

#[test]
fn result_is_whole_at_any_moment_and_the_run_folder_tells_one_story() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&host.prepare(&canaries::sound(&engine)));
    let mut readings = 0;
    let mut states = Vec::new();
    // Each reading is parsed: a reader that meets half a file ends the wait with a panic that shows it.
    run.wait_until("the end of the run", |_, result| {
        readings += 1;
        if states.last() != Some(&result.run.state) {
            states.push(result.run.state);
        }
        (result.run.state == RunState::Finished).then_some(())
    });
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(readings > 20, "only {readings} readings");
    assert_eq!(states, [RunState::Running, RunState::Finished]);

    let text = ended.file("result.json");
    let value: Value = serde_json::from_str(&text).expect("result.json is JSON");
    let schema: Value = serde_json::from_str(&RunResult::schema_json()).expect("the schema is JSON");
    assert_eq!(deviations(&schema, &schema, &value, "result"), Vec::<String>::new());

    let events: Vec<Event> = ended
        .file("events.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(matches!(
        events.last().map(|event| &event.what),
        Some(Happening::Finished { verdict: VerdictWord::Pass, .. })
    ));
    let told: Vec<Tier> = events
        .iter()
        .filter_map(|event| match event.what {
            Happening::TierEnded { tier, .. } => Some(tier),
            _ => None,
        })
        .collect();
    let reported: Vec<Tier> = ended.result().tiers.iter().map(|report| report.name).collect();
    for tier in [Tier::Install, Tier::Upgrade, Tier::Custom, Tier::Teardown] {
        assert!(told.contains(&tier), "{tier} is missing in {told:?}");
    }
    assert_eq!(told, reported, "the events tell of the tiers that the result reports");

    let log = ended.file("log.txt");
    let last = log.lines().last().and_then(|line| line.strip_prefix("cc-ci-result: "));
    let last: Value =
        serde_json::from_str(last.expect("the result line is the last")).expect("JSON in the line");
    assert_eq!(last, value, "the line says what the file says");
}

/// Where a value is not what the schema says: missing keys, wrong types, unknown words.
fn deviations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#'));
        return match target {
            Some(target) => deviations(root, target, value, at),
            None => vec![format!("{at}: the schema has no {name}")],
        };
    }
    for branches in ["anyOf", "oneOf"] {
        if let Some(all) = schema.get(branches).and_then(Value::as_array) {
            let fits = all.iter().any(|branch| deviations(root, branch, value, at).is_empty());
            return if fits { Vec::new() } else { vec![format!("{at}: {value} fits no branch")] };
        }
    }
    let mut found = Vec::new();
    if schema.get("const").is_some_and(|only| only != value)
        || schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value))
    {
        found.push(format!("{at}: {value} is not allowed"));
    }
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_of = |kind: &Value| kind == name || (kind == "number" && name == "integer");
    match schema.get("type") {
        Some(Value::Array(kinds)) if !kinds.iter().any(is_of) => {
            found.push(format!("{at}: {name}, not {kinds:?}"))
        }
        Some(kind @ Value::String(_)) if !is_of(kind) => found.push(format!("{at}: {name}, not {kind}")),
        _ => {}
    }
    for key in
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if value.is_object() && value.get(key).is_none() {
            found.push(format!("{at}: {key} is missing"));
        }
    }
    for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.get(key) {
            found.extend(deviations(root, inner, value, &format!("{at}.{key}")));
        }
    }
    if let Some(inner) = schema.get("items") {
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(deviations(root, inner, value, &format!("{at}[{index}]")));
        }
    }
    found
}

#[test]
fn teardown_counts_what_docker_shows_and_the_bystander_is_untouched() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let onlooker = Onlooker::of(&engine);
    let bystander = Bystander::deploy(&engine);
    let before = onlooker.portrait_of_stack(&bystander.stack);
    assert!(before.contains("service") && before.contains("volume"), "{before}");
    // The upgrade comes last: what stands after it is what is torn down.
    let mut arguments = bundled(&host, &engine);
    arguments.extend(["--tiers".to_owned(), "install,upgrade".to_owned()]);
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"upgrade\"");
    // Standing still, so that the onlooker counts what the run has counted.
    run.signal(Signal::SIGSTOP);
    let stack = run.wait_until("its stack", |_, result| result.run.stack.clone());
    let seen = onlooker.counts_of_stack(&stack);
    run.signal(Signal::SIGCONT);
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    let evidence = ended.result().teardown.expect("there is evidence").evidence;
    let created = serde_json::to_value(&evidence.created).expect("counts are JSON");
    let created: std::collections::BTreeMap<String, usize> = serde_json::from_value(created).expect("counts");
    for kind in ["service", "task", "volume", "secret", "config"] {
        assert_eq!(seen.get(kind), created.get(kind), "{kind}, seen {seen:?}: {ended}");
    }
    for (kind, least) in [("service", 1), ("task", 2), ("container", 1), ("config", 2), ("secret", 1)] {
        assert!(created.get(kind).is_some_and(|count| *count >= least), "{kind}: {ended}");
    }
    assert_eq!(evidence.created, evidence.removed, "{ended}");
    is_gone(&engine, &ended);
    assert_eq!(onlooker.portrait_of_stack(&bystander.stack), before, "the bystander was touched");
}

/// Somebody's stack on the same engine; removed when dropped.
struct Bystander<'a> {
    engine: &'a TestEngine,
    stack: String,
}

impl<'a> Bystander<'a> {
    fn deploy(engine: &'a TestEngine) -> Self {
        let stack = format!("bystander-{:08x}", std::process::id());
        let compose = format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: {}\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n",
            engine.image("probe:1.0").reference
        );
        let deploy = engine.docker().args(["stack", "deploy", "--resolve-image=never", "-c", "-", &stack]);
        deploy.input(compose).run().expect("a bystander");
        let bystander = Self { engine, stack };
        let runs = || {
            let all = ["stack", "ps", "--format", "{{.CurrentState}}", &bystander.stack];
            let states = Onlooker::of(engine).ask(&all).map_err(|error| error.to_string())?;
            if states.starts_with("Running") { Ok(()) } else { Err(states) }
        };
        let limit = Duration::from_secs(60);
        patience::until("the bystander to run", limit, Duration::from_millis(100), runs).expect("it runs");
        bystander
    }
}

impl Drop for Bystander<'_> {
    fn drop(&mut self) {
        let onlooker = Onlooker::of(self.engine);
        let _ = onlooker.ask(&["stack", "rm", &self.stack]);
        let volume = format!("{}_data", self.stack);
        let removed =
            || onlooker.ask(&["volume", "rm", "--force", &volume]).map_err(|error| error.to_string());
        let _ =
            patience::until("its volume to go", Duration::from_secs(60), Duration::from_millis(300), removed);
    }
}

#[test]
fn env_file_is_removed_last_and_only_after_proof() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&bundled(&host, &engine));
    run.wait_until("the app's .env", |folder, result| env_file(folder, result)?.is_file().then_some(()));
    let stack = run.wait_until("the .env to go", |folder, result| {
        let gone = !env_file(folder, result)?.is_file();
        gone.then(|| result.run.stack.clone()).flatten()
    });
    // Looked at after the .env had gone: whatever is there now was there then.
    assert_eq!(Onlooker::of(&engine).everything_with(&stack), Vec::<String>::new());
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn cancel_removes_a_stack_that_lost_its_env_file_and_a_second_term_changes_nothing() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&bundled(&host, &engine));
    let file = run.wait_until("the app's .env", |folder, result| {
        env_file(folder, result).filter(|file| file.is_file())
    });
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    std::fs::remove_file(&file).expect("the .env was there");
    run.signal(Signal::SIGTERM);
    run.wait_for_event("\"tier_started\",\"tier\":\"teardown\"");
    run.signal(Signal::SIGTERM);
    let ended = run.wait();
    assert_eq!(ended.code, 143, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Cancelled), "{ended}");
    assert_eq!(result.run.state, RunState::Finished);
    is_gone(&engine, &ended);
}

#[test]
fn next_run_of_a_domain_removes_what_a_killed_one_left_and_is_green() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = bundled(&host, &engine);
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    run.signal(Signal::SIGKILL);
    let killed = run.wait();
    assert_eq!(killed.code, 137);
    let left = killed.result();
    assert_eq!((left.run.state, left.verdict), (RunState::Running, None), "a killed run has no verdict");
    let stack = stack_of(&killed);
    assert!(!Onlooker::of(&engine).everything_with(&stack).is_empty(), "it left its stack behind");
    // Its folder goes as well: the name of the stack alone has to do.
    std::fs::remove_dir_all(killed.folder.as_ref().expect("a run folder")).expect("the folder was there");
    let next = host.run(&arguments);
    assert_eq!(next.code, 0, "{next}");
    assert_eq!(stack_of(&next), stack);
    assert!(next.file("log.txt").contains("earlier run"), "{next}");
    assert_eq!(next.result().deploys.counted, 1, "{next}");
    is_gone(&engine, &next);
}

#[test]
fn hung_run_hits_the_deadline_tears_down_and_exits_142() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("limits.run = \"6s\"\n");
    // It never serves and may take long for it, so it hangs as far as the run can know.
    let mut canary = canaries::all(&engine).remove(1);
    canary.recipe_toml = canary.recipe_toml.replace("http = \"4s\"", "http = \"10m\"");
    let ended = host.run(&host.prepare(&canary));
    assert_eq!(ended.code, 142, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Trouble), "{ended}");
    assert!(result.trouble.is_some_and(|trouble| trouble.what.contains("deadline")), "{ended}");
    is_gone(&engine, &ended);
}
