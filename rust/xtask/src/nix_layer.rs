//! The layer nix: the checks of `modules/tests`, and the faults planted against them, counted by their lines.

use std::process::Command;

use anyhow::Context;
use cc_ci_testkit::packages;
use cc_ci_testkit::progress::say;

use crate::test_binaries::Count;
use crate::workspace;

/// The programs that read the configuration files which the modules write.
const READERS: [&str; 4] = ["cc-ci", "cc-ci-bridge", "cc-ci-dashboard", "cc-ci-activate"];

/// Runs them on this machine, with Nix as an evaluator alone.
pub(crate) fn run() -> anyhow::Result<Count> {
    packages::ensure(packages::NIX)?;
    let programs = workspace::build_programs(&READERS)?;
    let folder = workspace::root().join("modules/tests");
    let mut count = Count::default();
    for name in ["check", "faults"] {
        let script = folder.join(name);
        let output = Command::new(&script)
            .env("CCCI_NIX_PROGRAMS", &programs)
            .output()
            .with_context(|| format!("starting {}", script.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            say(format!("nix {line}"));
        }
        count += counted(&text, output.status.success());
    }
    Ok(count)
}

/// Counts the lines of a check; one that fails without a word is a failure too.
fn counted(text: &str, is_good: bool) -> Count {
    let lines = |word: &str| text.lines().filter(|line| line.starts_with(word)).count() as u64;
    let (passed, said, skipped) = (lines("ok "), lines("FAILED "), lines("SKIP "));
    let is_silent = !is_good || passed + skipped == 0;
    Count { passed, failed: if is_silent { said.max(1) } else { said }, skipped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_breaks_off_or_says_nothing_has_failed() {
        let count = |passed, failed, skipped| Count { passed, failed, skipped };
        assert_eq!(counted("ok level 0: a\nSKIP level 0: b\n", true), count(1, 0, 1));
        assert_eq!(counted("ok level 0: a\nFAILED level 0: b\n", false), count(1, 1, 0));
        assert_eq!(counted("ok level 0: a\n", false), count(1, 1, 0));
        assert_eq!(counted("", true), count(0, 1, 0));
    }
}
