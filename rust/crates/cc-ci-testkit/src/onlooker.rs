//! What somebody with the Docker CLI sees on a test engine: the second pair of eyes beside the program's own survey.

use std::collections::BTreeMap;

use crate::program::ProgramError;
use crate::testbed::TestEngine;

/// How the CLI lists each kind of object: the kind's word in a result, and the arguments.
const LISTS: [(&str, &[&str]); 6] = [
    ("service", &["service", "ls"]),
    ("container", &["container", "ls", "--all", "--no-trunc"]),
    ("network", &["network", "ls", "--no-trunc"]),
    ("volume", &["volume", "ls"]),
    ("secret", &["secret", "ls"]),
    ("config", &["config", "ls"]),
];

/// Somebody who looks at an engine.
#[derive(Debug)]
pub struct Onlooker<'a> {
    engine: &'a TestEngine,
}

impl<'a> Onlooker<'a> {
    /// Of this engine.
    pub fn of(engine: &'a TestEngine) -> Self {
        Self { engine }
    }

    /// Kind and name of everything whose name or label contains `part`.
    ///
    /// # Panics
    /// The engine cannot be asked: a test must not take that for "nothing there".
    pub fn everything_with(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (kind, _) in LISTS {
            let names = self.names(kind, &[]).into_iter().filter(|name| name.contains(part));
            found.extend(names.map(|name| format!("{kind} {name}")));
            let label = format!("label=cc-ci.run={part}");
            found.extend(
                self.names(kind, &["--filter", &label]).into_iter().map(|name| format!("{kind} {name}")),
            );
        }
        found.sort();
        found.dedup();
        found
    }

    /// How many objects of a stack there are, by kind as a result writes it; kinds without objects are left out. Tasks
    /// are counted with their history.
    ///
    /// # Panics
    /// The engine cannot be asked.
    pub fn counts_of_stack(&self, stack: &str) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let prefix = format!("{stack}_");
        for (kind, _) in LISTS {
            let of_stack = self.names(kind, &[]).into_iter().filter(|name| name.starts_with(&prefix));
            counts.insert(kind.to_owned(), of_stack.count());
        }
        let tasks = self.ask(&["stack", "ps", "--quiet", stack]).unwrap_or_default();
        counts.insert("task".to_owned(), tasks.lines().count());
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Identity, version and labels of everything in a stack, and its containers: equal texts mean that nobody touched it.
    ///
    /// # Panics
    /// The engine cannot be asked.
    pub fn portrait_of_stack(&self, stack: &str) -> String {
        let filter = format!("label=com.docker.stack.namespace={stack}");
        let mut text = String::new();
        for (kind, _) in LISTS {
            for name in self.names(kind, &["--filter", &filter]) {
                let format = match kind {
                    "service" => "{{.ID}} {{.Version.Index}} {{json .Spec.Labels}}",
                    "container" => "{{.Id}} {{.State.Status}} {{.RestartCount}}",
                    "network" => "{{.Id}} {{json .Labels}}",
                    "volume" => "{{.CreatedAt}} {{json .Labels}}",
                    _ => "{{.ID}} {{.Version.Index}}",
                };
                let seen = self.ask(&[kind, "inspect", "--format", format, &name]);
                let seen = seen.unwrap_or_else(|error| panic!("{error}"));
                text.push_str(&format!("{kind} {name} {}\n", seen.trim()));
            }
        }
        text
    }

    /// A `docker` command on the engine and its output.
    ///
    /// # Errors
    /// It fails.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        self.engine.docker().args(arguments).run()
    }

    fn names(&self, kind: &str, more: &[&str]) -> Vec<String> {
        let list = LISTS.iter().find(|(name, _)| *name == kind).map(|(_, list)| *list).unwrap_or_default();
        let name = if kind == "container" { "{{.Names}}" } else { "{{.Name}}" };
        let arguments = [list, &["--format", name], more].concat();
        let text = self.ask(&arguments).unwrap_or_else(|error| panic!("{error}"));
        text.lines().map(str::to_owned).collect()
    }
}
