//! Canaries whose defect is a line or two put into a file of the sound recipe, or into what we say about it.

use cc_ci_model::tier::Tier;

use super::{Canary, Expected, NOTE, RECIPE_TOML, owned, sound};
use crate::testbed::TestEngine;

/// They fail in one tier.
pub(super) fn all(engine: &TestEngine) -> Vec<Canary> {
    vec![
        crashes_late(engine),
        out_of_memory(engine),
        check_fails(engine),
        secret_cannot_be_made(engine),
        name_too_long(engine),
        name_too_long_at_head(engine),
        config_without_new_version(engine),
    ]
}

/// Swarm stops looking after the monitor window (a second here) and calls the update completed.
fn crashes_late(engine: &TestEngine) -> Canary {
    let edits = [
        ("      - PROBE_TEXT=sound\n", "      - PROBE_TEXT=sound\n      - PROBE_CRASH_AFTER_MS=2500\n"),
        ("order: start-first", "order: stop-first"),
    ];
    let words = ["_app: restart loop", "non-zero exit (3)", "crashing as told"];
    let defect = "its process ends by itself after swarm has stopped looking";
    edited(engine, "canary-crashes-late", defect, &edits, Tier::Upgrade, &words)
}

fn out_of_memory(engine: &TestEngine) -> Canary {
    let edits = [
        ("      - PROBE_TEXT=sound\n", "      - PROBE_TEXT=sound\n      - PROBE_MEMORY_MB=200\n"),
        ("    deploy:\n", "    deploy:\n      resources: { limits: { memory: 32M } }\n"),
    ];
    let words = ["_app: out of memory", "raise its memory limit"];
    let defect = "head needs more memory than it allows itself";
    edited(engine, "canary-out-of-memory", defect, &edits, Tier::Upgrade, &words)
}

/// Everything is sound but what the recipe's own check finds.
fn check_fails(engine: &TestEngine) -> Canary {
    let words = ["the answer is another one", "GET /", "another"];
    let mut canary =
        edited(engine, "canary-check-fails", "its own check finds fault", &[], Tier::Custom, &words);
    canary.recipe_toml.push_str(ANOTHER_ANSWER);
    canary
}

const ANOTHER_ANSWER: &str = "
[[check]]
tier = \"custom\"
name = \"the answer is another one\"
http = { path = \"/\", contains = [\"another\"] }
";

fn secret_cannot_be_made(engine: &TestEngine) -> Canary {
    let edits = [(
        "networks:\n  proxy:\n",
        "secrets:\n  api_key: { external: true, name: \"${STACK_NAME}_api_key_v1\" }\n\nnetworks:\n  proxy:\n",
    )];
    let words = ["secret api_key cannot be made", ".env.sample has no SECRET_"];
    let defect = "no line of its sample says how to make its secret";
    first_release(edited(engine, "canary-secret", defect, &edits, Tier::Install, &words))
}

fn name_too_long(engine: &TestEngine) -> Canary {
    first_release(Canary {
        name: "canary-long-name",
        expected: Expected { failing: Some(Tier::Install), ..name_too_long_at_head(engine).expected },
        ..name_too_long_at_head(engine)
    })
}

/// Before anything is deployed, so install is not reached.
fn name_too_long_at_head(engine: &TestEngine) -> Canary {
    let edits = [(
        "networks:\n  proxy:\n",
        "configs:\n  a_config_with_a_name_that_nobody_would_type_twice: { file: README.md }\n\nnetworks:\n  proxy:\n",
    )];
    let words = ["compose.yml:", "a_config_with_a_name_that_nobody_would_type_twice", "Docker allows 64"];
    let defect = "the name of its config is too long for Docker";
    before_deploy(edited(engine, "canary-long-name-at-head", defect, &edits, Tier::Upgrade, &words))
}

/// Swarm's configs never change: the new text under the old name would be refused late and obscurely.
fn config_without_new_version(engine: &TestEngine) -> Canary {
    let section =
        "configs:\n  page: { name: \"${STACK_NAME}_page_v1\", file: page.txt }\n\nnetworks:\n  proxy:\n";
    let edits = [("networks:\n  proxy:\n", section)];
    let words = ["config page: its content changed", "_page_v1", "raise its version"];
    let defect = "its config has another text and the same version";
    let mut canary = edited(engine, "canary-config", defect, &edits, Tier::Upgrade, &words);
    for (files, text) in [(canary.base.as_mut(), "old\n"), (Some(&mut canary.head), "new\n")] {
        let Some(files) = files else { continue };
        files.push(("page.txt".to_owned(), text.to_owned()));
        if let Some((_, compose)) = files.iter_mut().find(|(name, _)| name == "compose.yml")
            && !compose.contains(section)
        {
            *compose = compose.replacen(edits[0].0, section, 1);
        }
    }
    before_deploy(canary)
}

/// It is found when the files are read: no tier has passed by then.
fn before_deploy(canary: Canary) -> Canary {
    let expected = Expected { passing: Vec::new(), ..canary.expected };
    Canary { expected, ..canary }
}

/// It binds the host's root folder.
pub fn binds_root(engine: &TestEngine) -> Canary {
    refused(engine, "canary-binds-root", "/:/host:ro")
}

/// It binds the socket of the engine that runs it.
pub fn binds_socket(engine: &TestEngine) -> Canary {
    refused(engine, "canary-binds-socket", "/var/run/docker.sock:/var/run/docker.sock")
}

fn refused(engine: &TestEngine, name: &'static str, bind: &str) -> Canary {
    let with = format!("volumes: [\"data:/data\", \"{bind}\"]");
    let edits = [("volumes: [\"data:/data\"]", with.as_str())];
    let mut canary = edited(engine, name, "it reaches for the host", &edits, Tier::Install, &[]);
    let path = bind.split(':').next().unwrap_or_default();
    canary.expected =
        Expected { exit: 3, failing: None, passing: Vec::new(), words: owned(&["compose.yml:", path]) };
    canary
}

/// Not a defect that a run could see: the Docker CLI ends a default at its first brace, so the inner variable is never
/// looked up. What reaches the app is what the CLI leaves, and lint names the line.
pub fn nested_default(engine: &TestEngine) -> Canary {
    let edits = [(
        "      - PROBE_TEXT=sound\n",
        "      - PROBE_TEXT=sound\n      - NESTED=${OUTER:-${INNER:-deep}}\n",
    )];
    let mut canary =
        edited(engine, "canary-nested", "a default holds another variable", &edits, Tier::Install, &[]);
    canary.recipe_toml.push_str(NESTED);
    canary.expected = Expected {
        exit: 0,
        failing: None,
        passing: vec![Tier::Install, Tier::Upgrade, Tier::Custom],
        words: Vec::new(),
    };
    canary
}

const NESTED: &str = "
[[check]]
tier = \"custom\"
name = \"the default as the CLI leaves it\"
http = { path = \"/env\", contains = [\"NESTED=${INNER:-deep}\\n\"] }
";

/// The sound recipe with a few texts of its compose file replaced at head, red in one tier.
fn edited(
    engine: &TestEngine,
    name: &'static str,
    defect: &'static str,
    edits: &[(&str, &str)],
    failing: Tier,
    words: &[&str],
) -> Canary {
    let mut canary = sound(engine);
    for (file, text) in &mut canary.head {
        if file == "compose.yml" {
            for (from, to) in edits {
                *text = text.replacen(from, to, 1);
            }
        }
    }
    let passing = canary.expected.passing.iter().copied().take_while(|tier| *tier != failing).collect();
    let recipe_toml = format!("{RECIPE_TOML}{NOTE}");
    let expected = Expected { exit: 1, failing: Some(failing), passing, words: owned(words) };
    Canary { name, defect, recipe_toml, expected, ..canary }
}

/// The canary without a release: install is judged at head.
fn first_release(canary: Canary) -> Canary {
    Canary { base: None, ..canary }
}
