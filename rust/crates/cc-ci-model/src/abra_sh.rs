//! The exports of a recipe's `abra.sh`: versions of its configs, merged into the environment of a deploy.
//!
//! The file is a shell script and is never executed: functions in it may be meant for the host. Only plain
//! `export KEY=value` lines at the very start of a line, outside functions by convention, are read (abra.md 1.2, 4.1).

use std::collections::BTreeMap;

use crate::env_file::EnvFile;

/// Reads the exports of an `abra.sh`. Values may use earlier exports (`$KEY`), never a command.
#[must_use]
pub fn exports(text: &str) -> BTreeMap<String, String> {
    let mut lines = String::new();
    for line in text.lines() {
        let bare = line.trim_end();
        if bare.starts_with("export ") && !bare.contains("$(") && !bare.contains('`') {
            lines.push_str(bare.trim_end_matches(';'));
            lines.push('\n');
        }
    }
    EnvFile::parse(&lines).values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read_and_nothing_is_run() {
        let values = exports(
            "#!/bin/bash\nexport APP_CONF_VERSION=v3\nexport PG_VERSION=\"v1\" # note\nexport BOTH=${APP_CONF_VERSION}x;\n\
             export EVIL=$(touch /tmp/x)\nadd_admin() {\n  export INSIDE=1\n  run \"${X}\"\n}\nf() { export ONE=1; }\n# an {open brace\nexport LAST=v9\nPLAIN=1\n",
        );
        let keys: Vec<_> = values.keys().map(String::as_str).collect();
        assert_eq!(keys, ["APP_CONF_VERSION", "BOTH", "LAST", "PG_VERSION"]);
        assert_eq!(values["BOTH"], "v3x");
        assert_eq!(values["PG_VERSION"], "v1");
    }
}
