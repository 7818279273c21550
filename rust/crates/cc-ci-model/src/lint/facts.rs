//! What the rules look at: the recipe's files read once, alone and with each of its optional overlays.

use std::collections::BTreeMap;

use crate::abra_sh;
use crate::compose::gate;
use crate::compose::used::{self, VariableUse};
use crate::compose::{self, Compose, ComposeError, ComposeSource};
use crate::env_file::{EnvFile, steers_programs};
use crate::names::{StackName, quoted};
use crate::serves::Serves;

use super::LintInput;
use super::findings::{Checked, Finding};
use super::recipe_files::{OWN_OVERLAY, RecipeFiles};

/// More variables than this without value in one recipe, and reading gives up.
const MOST_MISSING: usize = 100;

/// Compose files read together.
pub(super) struct View {
    /// The optional overlay that was added; `None` for what the sample's `COMPOSE_FILE` names.
    pub(super) overlay: Option<String>,
    /// What they say.
    pub(super) compose: Compose,
}

/// Everything the rules look at.
pub(super) struct Facts<'a> {
    pub(super) head: &'a RecipeFiles,
    pub(super) base: Option<&'a RecipeFiles>,
    pub(super) stack: &'a StackName,
    /// What the app offers, where our data says so.
    pub(super) serves: Option<Serves>,
    /// The sample, if there is one.
    pub(super) sample: Option<EnvFile>,
    /// What `abra.sh` exports.
    pub(super) exports: BTreeMap<String, String>,
    /// All compose files that the recipe offers and that could be parsed, with the variables they use.
    pub(super) uses: Vec<(ComposeSource, Vec<VariableUse>)>,
    /// The default view first, if it can be read.
    pub(super) views: Vec<View>,
    /// Why files cannot be read.
    pub(super) unreadable: Vec<Finding>,
    /// Required variables that the sample leaves without value.
    pub(super) missing: Vec<Finding>,
}

impl<'a> Facts<'a> {
    pub(super) fn gather(input: LintInput<'a>) -> Self {
        let LintInput { head, base, stack, serves } = input;
        let mut facts = Self {
            head,
            base,
            stack,
            serves,
            sample: head.text(".env.sample").map(EnvFile::parse),
            exports: abra_sh::exports(head.text("abra.sh").unwrap_or_default()),
            uses: Vec::new(),
            views: Vec::new(),
            unreadable: Vec::new(),
            missing: Vec::new(),
        };
        for source in head.compose_files().filter_map(|path| head.source(path)) {
            match used::variables(&source) {
                Ok(uses) => facts.uses.push((source, uses)),
                Err(error) => facts.unreadable.push(Finding::of_error(&error)),
            }
        }
        facts.read_views();
        facts
    }

    fn read_views(&mut self) {
        let mut missing = Vec::new();
        let default = default_files(self.sample.as_ref());
        let env = environment(self.head, self.stack, false);
        match read(self.head, &default, env, &mut missing) {
            Ok(compose) => self.views.push(View { overlay: None, compose }),
            Err(finding) => self.unreadable.push(finding),
        }
        for (source, _) in &self.uses {
            if self.views.is_empty() || default.contains(&source.path) {
                continue;
            }
            let files: Vec<String> = default.iter().cloned().chain([source.path.clone()]).collect();
            let env = environment(self.head, self.stack, true);
            match read(self.head, &files, env, &mut missing) {
                Ok(compose) => self.views.push(View { overlay: Some(source.path.clone()), compose }),
                // A fault in another file is that file's own.
                Err(finding) if finding.at.as_ref().is_some_and(|at| at.file == source.path) => {
                    self.unreadable.push(finding);
                }
                Err(_) => {}
            }
        }
        self.missing = missing;
    }

    /// What every app has unless its operator switches something on.
    pub(super) fn default(&self) -> Option<&Compose> {
        self.views.first().filter(|view| view.overlay.is_none()).map(|view| &view.compose)
    }

    /// Findings over all views; skipped if the files cannot be read.
    pub(super) fn in_each_view<F: IntoIterator<Item = Finding>>(
        &self,
        look: impl Fn(&Compose) -> F,
    ) -> Checked {
        if self.default().is_none() {
            return unread();
        }
        self.views.iter().flat_map(|view| look(&view.compose)).collect()
    }

    /// Findings in what every app has.
    pub(super) fn by_default<F: IntoIterator<Item = Finding>>(
        &self,
        look: impl Fn(&Compose) -> F,
    ) -> Checked {
        self.default().map_or_else(unread, |compose| look(compose).into_iter().collect())
    }

    /// What the gate refuses in what every app has.
    pub(super) fn refusals(&self) -> Vec<Finding> {
        let names = environment(self.head, self.stack, false);
        let steering = names.keys().filter(|key| steers_programs(key)).map(|key| {
            let file = if self.exports.contains_key(key) { "abra.sh" } else { ".env.sample" };
            Finding::in_file(
                file,
                format!(
                    "{key} is refused: it would steer programs of the host; give the variable another name"
                ),
            )
        });
        let compose = self.default().into_iter().flat_map(|compose| refused(compose, self.stack));
        let links = self.head.links_out.iter().map(|path| {
            Finding::in_file(
                path,
                "is refused: it is a link that leads out of the recipe; put the file itself there",
            )
        });
        links.chain(steering).chain(compose).collect()
    }
}

/// The gate's answers as findings.
pub(super) fn refused(compose: &Compose, stack: &StackName) -> Vec<Finding> {
    let refusals = gate::judge(compose, stack);
    let findings = refusals.iter().map(|refusal| {
        let text = refusal.to_string();
        let at = refusal.position.to_string();
        Finding::at(&refusal.position, text.strip_prefix(&format!("{at}: ")).unwrap_or(&text))
    });
    findings.collect()
}

/// The answer of rules that need files nobody can read.
pub(super) fn unread() -> Checked {
    Checked::Skipped("the compose files cannot be read (C001)".to_owned())
}

/// The files of the sample's `COMPOSE_FILE`, without an overlay of ours; `compose.yml` where it names none.
pub(crate) fn default_files(sample: Option<&EnvFile>) -> Vec<String> {
    let value = sample.and_then(|sample| sample.get("COMPOSE_FILE")).unwrap_or_default();
    let files: Vec<String> =
        value.split(':').filter(|file| !file.is_empty() && *file != OWN_OVERLAY).map(str::to_owned).collect();
    if files.is_empty() { vec!["compose.yml".to_owned()] } else { files }
}

/// The variables that an app made from the sample has. With `optional`, also the secrets that stand there commented out.
pub(crate) fn environment(
    files: &RecipeFiles,
    stack: &StackName,
    optional: bool,
) -> BTreeMap<String, String> {
    let text = files.text(".env.sample").unwrap_or_default();
    let mut sample = EnvFile::parse(text);
    if optional {
        for line in text.lines().filter(|line| line.trim_start().starts_with('#')) {
            let bare = line.trim_start().trim_start_matches('#').trim_start();
            if let Some((key, _)) = bare.split_once('=')
                && key.starts_with("SECRET_")
                && key.ends_with("_VERSION")
            {
                sample.uncomment(key);
            }
        }
    }
    let mut values = sample.values();
    values.extend(abra_sh::exports(files.text("abra.sh").unwrap_or_default()));
    values.insert("STACK_NAME".to_owned(), stack.to_string());
    values
}

/// Reads files as one compose. A required variable without value is noted once, and reading goes on without it.
pub(super) fn read(
    files: &RecipeFiles,
    paths: &[String],
    mut env: BTreeMap<String, String>,
    missing: &mut Vec<Finding>,
) -> Result<Compose, Finding> {
    let mut sources = Vec::new();
    for path in paths {
        let file = if path == "compose.yml" { path.as_str() } else { ".env.sample" };
        let absent = || {
            let what =
                format!("{} is not in the recipe; add it or take it out of COMPOSE_FILE", quoted(path));
            Finding::in_file(file, what)
        };
        sources.push(files.source(path).ok_or_else(absent)?);
    }
    for _ in 0..MOST_MISSING {
        match compose::read(&sources, &env, &|path| files.text(path).map(str::to_owned)) {
            Ok(compose) => return Ok(compose),
            Err(ComposeError::MissingVariable { at, variable, message, .. }) => {
                let what = format!("{variable} has no value ({message}); give it one in .env.sample");
                missing.push(Finding::at(&at, what));
                env.insert(variable, "example".to_owned());
            }
            Err(error) => return Err(Finding::of_error(&error)),
        }
    }
    Err(Finding::nowhere("too many required variables have no value; give them one in .env.sample"))
}
