//! The layer nix: the checks of `modules/tests`, and the faults planted against them, counted by their lines.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::{cache, packages};

use crate::test_binaries::Count;
use crate::workspace;

/// The programs that read the configuration files which the modules write, and those that the units start.
const PROGRAMS: [&str; 5] = ["cc-ci", "cc-ci-activate", "cc-ci-bridge", "cc-ci-dashboard", "cc-ci-janitor"];

/// What lies in the tree that units are started in; another list makes another tree.
const TREE: [&str; 3] = ["--variant=minbase", "--include=systemd,systemd-sysv,dbus", "bookworm"];

/// Some 250 MB from a mirror, unpacked.
const TREE_LIMIT: Duration = Duration::from_secs(900);

/// Runs them on this machine, with Nix as an evaluator alone.
pub(crate) fn run() -> anyhow::Result<Count> {
    packages::ensure(packages::NIX)?;
    let programs = workspace::build_programs(&PROGRAMS)?;
    let folder = workspace::root().join("modules/tests");
    let mut count = Count::default();
    let tree = tree()?;
    for name in ["check", "faults", "boot"] {
        let script = folder.join(name);
        let mut command = Command::new(&script);
        command.env("CCCI_NIX_PROGRAMS", &programs);
        if let Some(tree) = &tree {
            command.env("CCCI_NIX_ROOT", tree);
        }
        let output = command.output().with_context(|| format!("starting {}", script.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            say(format!("nix {line}"));
        }
        count += counted(&text, output.status.success());
    }
    Ok(count)
}

/// A small system with a systemd, kept in the cache; none for a normal user, who cannot start it.
fn tree() -> anyhow::Result<Option<PathBuf>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    packages::ensure(packages::CONTAINER)?;
    let folder = cache::entry(&cache::key("units-tree", TREE), |folder| -> anyhow::Result<()> {
        say("making the small system that units are started in, once: takes half a minute");
        let program = Program::new("debootstrap").args(&TREE[..2]).arg(TREE[2]);
        program.arg(folder.join("tree")).deadline(TREE_LIMIT).run()?;
        Ok(())
    })?;
    Ok(Some(folder.join("tree")))
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
