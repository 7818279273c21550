//! Completions and man pages are made from the command line, so no verb can be missing in them.

use std::path::Path;

use cc_ci_testkit::program::{Ended, Program};

fn cc_ci(arguments: &[&str]) -> Ended {
    Program::new(env!("CARGO_BIN_EXE_cc-ci")).args(arguments).outcome().expect("it ends by itself")
}

/// The verbs, as the help text names them.
fn verbs() -> Vec<String> {
    let help = cc_ci(&["--help"]).stdout;
    let commands = help.split("Commands:").nth(1).expect("a list of verbs");
    let commands = commands.split("\n\n").next().expect("its lines");
    // The lines of verbs stand two characters in; their wrapped texts further.
    let lines = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let words = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    words.filter(|verb| *verb != "help").map(str::to_owned).collect()
}

fn page(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{name}.1")))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_verb_has_a_man_page() {
    let verbs = verbs();
    assert!(verbs.len() >= 12 && verbs.contains(&"doctor".to_owned()), "{verbs:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("share/man/man1");
    let ended = cc_ci(&["man", pages.to_str().expect("a plain path")]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let main = page(&pages, "cc-ci");
    for verb in &verbs {
        assert!(page(&pages, &format!("cc-ci-{verb}")).contains(".SH SYNOPSIS"), "{verb}");
        // roff writes hyphens with a backslash.
        let name = format!("cc-ci-{verb}").replace('-', "\\-");
        assert!(main.contains(&name), "the first page names {verb}");
    }
    assert!(page(&pages, "cc-ci-app-exec").contains("125"), "verbs of verbs have pages too");
}

#[test]
fn bash_sources_the_completions_and_completes_a_verb() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("cc-ci");
    std::fs::write(&script, cc_ci(&["completions", "bash"]).stdout).expect("a script");
    // The function's name is the generator's own business; bash knows it.
    let ask = "set -eu; source \"$1\"; entry=$(complete -p cc-ci); name=${entry##*-F }; \
               COMP_WORDS=(cc-ci doc); COMP_CWORD=1; \"${name%% *}\" cc-ci doc cc-ci; echo \"${COMPREPLY[*]}\"";
    let bash = Program::new("bash").args(["--noprofile", "--norc", "-c", ask, "bash"]).arg(&script);
    let said = bash.run().expect("bash takes it");
    assert_eq!(said.trim(), "doctor");
}

#[test]
fn each_shell_gets_its_completions_and_an_unknown_one_is_a_bad_argument() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = cc_ci(&["completions", shell]);
        assert_eq!(ended.status.code(), Some(0), "{shell}: {}", ended.stderr);
        for verb in verbs() {
            assert!(ended.stdout.contains(&verb), "{shell} knows {verb}");
        }
    }
    assert_eq!(cc_ci(&["completions", "tcsh-ish"]).status.code(), Some(64));
}
