//! The help texts, as people read them.

use cc_ci_testkit::program::Program;

fn help_of(verb: &[&str]) -> String {
    let program = Program::new(env!("CARGO_BIN_EXE_cc-ci")).args(verb).arg("--help");
    // A fixed width, or the text would depend on where the test runs.
    program.env("NO_COLOR", "1").env("COLUMNS", "100").run().expect("help is an answer")
}

#[test]
fn help_of_each_verb_reads_so() {
    for (name, verb) in [
        ("cc-ci", &[][..]),
        ("run", &["run"]),
        ("plan", &["plan"]),
        ("lint", &["lint"]),
        ("show", &["show"]),
        ("runs", &["runs"]),
        ("cancel", &["cancel"]),
        ("release", &["release"]),
        ("drain", &["drain"]),
        ("doctor", &["doctor"]),
        ("enroll", &["enroll"]),
        ("check-config", &["check-config"]),
        ("completions", &["completions"]),
        ("man", &["man"]),
        ("app", &["app"]),
        ("app-exec", &["app", "exec"]),
    ] {
        insta::assert_snapshot!(name, help_of(verb));
    }
}
