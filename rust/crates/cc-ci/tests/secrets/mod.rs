//! A recipe with two secrets of which head uses one, and somebody who takes the other away as soon as he can.
#![allow(dead_code, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::patience;
use cc_ci_testkit::testbed::TestEngine;

/// The sound recipe with the secrets `token` and `old`; head does without the second.
pub(crate) fn drops_a_secret(engine: &TestEngine) -> Canary {
    let mut canary = canaries::sound(engine);
    canary.name = "canary-drops-secret";
    let sides = [(canary.base.as_mut().unwrap(), &["token", "old"][..]), (&mut canary.head, &["token"][..])];
    for (files, secrets) in sides {
        let (mut section, mut sample) = ("\nsecrets:\n".to_owned(), String::new());
        for name in secrets {
            let version = format!("SECRET_{}_VERSION", name.to_uppercase());
            section.push_str(&format!(
                "  {name}: {{ external: true, name: \"${{STACK_NAME}}_{name}_${{{version}}}\" }}\n"
            ));
            sample.push_str(&format!("{version}=v1 # length=20\n"));
        }
        let used = format!("    secrets: [{}]\n    volumes: [", secrets.join(", "));
        let compose = text_of(files, "compose.yml");
        *compose = compose.replacen("    volumes: [", &used, 1) + &section;
        text_of(files, ".env.sample").push_str(&sample);
    }
    canary
}

fn text_of<'f>(files: &'f mut canaries::Files, name: &str) -> &'f mut String {
    let found = files.iter_mut().find(|(path, _)| path == name);
    &mut found.unwrap_or_else(|| panic!("the recipe has no {name}")).1
}

/// Removes the secret `old` of a stack as soon as no service uses it any more, which is when head was taken by the swarm.
pub(crate) fn remove_when_dropped(engine: &TestEngine, stack: &str) {
    let (onlooker, secret) = (Onlooker::of(engine), format!("{stack}_old_v1"));
    let remove = || match onlooker.ask(&["secret", "rm", &secret]) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    patience::until(
        "the old secret to be unused",
        Duration::from_secs(60),
        Duration::from_millis(20),
        remove,
    )
    .unwrap();
}
