//! `cc-ci lint`: recipes judged by their files alone; neither Docker nor the recipe itself is touched.

use std::path::Path;

use anyhow::{Context, Result};
use cc_ci_model::lint::blast_radius::{self, BlastRadius, Risk};
use cc_ci_model::lint::{Lint, LintInput, LintOutcome, OWN_OVERLAY, Row, Severity, State, lint as judge};
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Cell, Printer, Style, Table};
use cc_ci_swarm::programs::Programs;
use tokio::runtime::Runtime;

use super::BadArgument;
use super::lint_source::{Read, Source};
use super::setup;
use crate::args::LintArgs;

/// What every recipe of one call needs.
pub(super) struct Bench {
    runtime: Runtime,
    cancellation: Cancellation,
    masker: Masker,
    scratch: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(cancellation: Cancellation, masker: &Masker) -> Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            cancellation,
            masker: masker.clone(),
            scratch: tempfile::Builder::new()
                .prefix("cc-ci-lint-")
                .tempdir()
                .context("making a folder for clones")?,
        })
    }

    /// Reads a recipe. The error is what could not be done and why; a source that is not there is a bad argument.
    pub(super) fn read(&self, source: &Source, number: usize) -> Result<Result<Read, String>> {
        let folder = self.scratch.path().join(number.to_string());
        std::fs::create_dir(&folder).context("making a folder for a clone")?;
        let programs = Programs::new(&folder, &folder.join("abra"), &self.cancellation, &self.masker);
        match self.runtime.block_on(source.read(&programs, &folder)) {
            Ok(read) => Ok(Ok(read)),
            Err(error) if error.is_bad_argument() => Err(BadArgument(error.to_string()).into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

pub(super) fn lint(args: &LintArgs, masker: &Masker) -> Result<ExitStatus> {
    let settings = setup::settings()?;
    let sources: Vec<Source> =
        args.recipes.iter().map(|text| Source::parse(text)).collect::<Result<_, _>>()?;
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let bench = Bench::new(cancellation, masker)?;
    let mut printer = Printer::stdout(masker);
    let test_data = setup::test_data(&settings);
    let status = if args.blast_radius {
        print_blast_radius(&bench, &sources, &test_data, &settings.zone, args.json, &mut printer)?
    } else {
        let mut statuses = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let stack = source.stack(&settings.zone);
            let lint = bench.read(source, number)?.and_then(|read| {
                let own = own_data(&test_data.join(source.name())).map_err(|error| format!("{error:#}"))?;
                let serves = own.and_then(|own| own.app.serves);
                Ok(judge(LintInput { head: &read.head, base: read.base.as_ref(), stack: &stack, serves }))
            });
            let outcome = match &lint {
                Ok(lint) => lint.outcome(),
                Err(why) => LintOutcome::CouldNot(why.clone()),
            };
            if args.json {
                print_json(&mut printer, &source.name(), lint.as_ref().ok(), &outcome)?;
            } else {
                print_table(&mut printer, &source.name(), lint.as_ref().ok(), &outcome);
            }
            statuses.push(status_of(&outcome));
        }
        worst(&statuses)
    };
    printer.finish()?;
    Ok(status)
}

fn status_of(outcome: &LintOutcome) -> ExitStatus {
    match outcome {
        LintOutcome::Clean => ExitStatus::Good,
        LintOutcome::Errors => ExitStatus::Red,
        LintOutcome::Refused(_) => ExitStatus::Refused,
        LintOutcome::CouldNot(_) => ExitStatus::Trouble,
    }
}

/// Of several recipes: not having looked comes first, then a refusal, then errors.
fn worst(statuses: &[ExitStatus]) -> ExitStatus {
    let order = [ExitStatus::Trouble, ExitStatus::Refused, ExitStatus::Red];
    order.into_iter().find(|status| statuses.contains(status)).unwrap_or(ExitStatus::Good)
}

fn word(outcome: &LintOutcome) -> (&'static str, Style) {
    match outcome {
        LintOutcome::Clean => ("clean", Style::Ok),
        LintOutcome::Errors => ("errors", Style::Fail),
        LintOutcome::Refused(_) => ("refused", Style::Fail),
        LintOutcome::CouldNot(_) => ("could not lint", Style::Warn),
    }
}

fn print_json(printer: &mut Printer, name: &str, lint: Option<&Lint>, outcome: &LintOutcome) -> Result<()> {
    let why = match outcome {
        LintOutcome::CouldNot(why) => Some(why),
        LintOutcome::Clean | LintOutcome::Errors | LintOutcome::Refused(_) => None,
    };
    let word = word(outcome).0.replace(' ', "_");
    let object = serde_json::json!({ "recipe": name, "outcome": word, "why": why, "lint": lint });
    printer.line(&serde_json::to_string(&object)?);
    Ok(())
}

pub(super) fn print_table(printer: &mut Printer, name: &str, lint: Option<&Lint>, outcome: &LintOutcome) {
    let (word, style) = word(outcome);
    let title = printer.style(Style::Strong, name);
    let word = printer.style(style, word);
    printer.line(&format!("{title}  {word}"));
    if let LintOutcome::CouldNot(why) = outcome {
        printer.line(&format!("  {why}"));
    }
    let Some(lint) = lint else { return };
    let mut table = Table::new(["rule", "level", "", "what", ""]);
    for row in &lint.rows {
        let note = match &row.state {
            State::Skipped(why) => why.clone(),
            State::Satisfied | State::Violated => String::new(),
        };
        table.row([
            row.rule.reference.into(),
            row.rule.severity.word().into(),
            Cell::styled(state_style(row), state_sign(row)),
            row.rule.what.into(),
            Cell::styled(Style::Dim, note),
        ]);
    }
    printer.table(&table);
    for row in lint.violated() {
        let heading = format!("{} {}: {}", row.rule.reference, row.rule.severity.word(), row.rule.fix);
        printer.line("");
        printer.line(&printer.style(state_style(row), &heading));
        for finding in &row.findings {
            printer.line(&format!("  {finding}"));
        }
    }
    if !lint.refusals.is_empty() {
        printer.line("");
        printer.line(&printer.style(Style::Fail, "the compose gate refuses this recipe"));
        for finding in &lint.refusals {
            printer.line(&format!("  {finding}"));
        }
    }
}

fn state_sign(row: &Row) -> &'static str {
    match row.state {
        State::Satisfied => "✔",
        State::Violated => "✘",
        State::Skipped(_) => "–",
    }
}

fn state_style(row: &Row) -> Style {
    match (&row.state, row.rule.severity) {
        (State::Satisfied, _) => Style::Ok,
        (State::Violated, Severity::Error) => Style::Fail,
        (State::Violated, Severity::Warn) => Style::Warn,
        (State::Skipped(_), _) => Style::Dim,
    }
}

fn print_blast_radius(
    bench: &Bench,
    sources: &[Source],
    test_data: &Path,
    zone: &cc_ci_model::names::Zone,
    json: bool,
    printer: &mut Printer,
) -> Result<ExitStatus> {
    let mut status = ExitStatus::Good;
    let mut table =
        Table::new(["recipe", "service", "failure_action", "order", "overlay", "upgrade tests", "risk"]);
    for (number, source) in sources.iter().enumerate() {
        let name = source.name();
        let data = test_data.join(&name);
        let overlay = text_of(&data.join(OWN_OVERLAY))?;
        let row = bench.read(source, number)?.and_then(|read| {
            let tests = has_upgrade_tests(&data).map_err(|error| format!("{error:#}"))?;
            let row = blast_radius::of_recipe(&read.head, overlay.as_deref(), tests, &source.stack(zone));
            row.map_err(|finding| finding.to_string())
        });
        if json {
            let object = match &row {
                Ok(row) => serde_json::json!({ "recipe": name, "blast_radius": row }),
                Err(why) => serde_json::json!({ "recipe": name, "why": why }),
            };
            printer.line(&serde_json::to_string(&object)?);
        }
        match row {
            Ok(Some(row)) => table.row(cells(&name, &row)),
            Ok(None) => table.row([name.as_str().into(), "no service".into()]),
            Err(why) => {
                status = ExitStatus::Trouble;
                table.row([name.as_str().into(), Cell::styled(Style::Warn, why)])
            }
        };
    }
    if !json {
        printer.table(&table);
    }
    Ok(status)
}

fn cells(name: &str, row: &BlastRadius) -> [Cell; 7] {
    let style = match row.risk {
        Risk::None | Risk::Low => Style::Ok,
        Risk::Latent => Style::Warn,
        Risk::High => Style::Fail,
    };
    [
        name.into(),
        row.service.as_str().into(),
        row.failure_action.as_str().into(),
        row.order.as_str().into(),
        row.overlay.as_deref().unwrap_or("none").into(),
        if row.has_upgrade_tests { "yes" } else { "no" }.into(),
        Cell::styled(style, row.risk.word()),
    ]
}

/// Whether our test data looks at the upgrade: by a check, a program, or data that has to survive it.
fn has_upgrade_tests(data: &Path) -> Result<bool> {
    let Some(own) = own_data(data)? else { return Ok(false) };
    let has_program = data.join("tests").join(Tier::Upgrade.word()).is_dir();
    Ok(has_program || own.checks(Tier::Upgrade).count() > 0 || !own.seed.is_empty())
}

/// What our test data says about a recipe, where there is any.
fn own_data(data: &Path) -> Result<Option<RecipeToml>> {
    let path = data.join("recipe.toml");
    let text = text_of(&path)?;
    Ok(text.map(|text| RecipeToml::parse(&path.to_string_lossy(), &text)).transpose()?)
}

/// The text of a file that may be missing.
fn text_of(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}
