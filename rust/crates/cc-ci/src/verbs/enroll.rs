//! `cc-ci enroll`: a first recipe.toml from what the recipe declares, then what lint and plan say about it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use cc_ci_model::enroll::draft;
use cc_ci_model::lint::{LintInput, LintOutcome, lint as judge};
use cc_ci_model::names::Recipe;
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::serves::Serves;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Printer, Style};

use super::lint::{Bench, print_table};
use super::lint_source::{Read, Source};
use super::{BadArgument, plan, setup};
use crate::args::{EnrollArgs, RequestArgs};

pub(super) fn enroll(args: &EnrollArgs, masker: &Masker) -> Result<ExitStatus> {
    let settings = setup::settings()?;
    let source = Source::parse(&args.recipe)?;
    let name = args.name.clone().unwrap_or_else(|| source.name());
    let recipe = Recipe::parse(&name)
        .map_err(|error| BadArgument(format!("{error}; say with --name what the recipe is called")))?;
    let folder = args.write.clone().unwrap_or_else(|| setup::test_data(&settings)).join(recipe.as_str());
    let path = folder.join("recipe.toml");
    // Looked at first, so that nobody waits for a clone in vain; the write itself is what decides.
    if !args.force && path.symlink_metadata().is_ok() {
        return Err(taken(&path).into());
    }
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let bench = Bench::new(cancellation, masker)?;
    let read = match bench.read(&source, 0)? {
        Ok(read) => read,
        Err(why) => anyhow::bail!("{why}"),
    };
    let stack = source.stack(&settings.zone);
    let text = draft(&read.head, &recipe, &stack);
    let recipe_toml = RecipeToml::parse(&path.to_string_lossy(), &text)?;
    write(&path, &text, args.force)?;
    let mut printer = Printer::stdout(masker);
    let done = printer.style(Style::Ok, "wrote");
    printer.line(&format!("{done} {}: guesses with their reasons; read it and correct it", path.display()));
    printer.line("");
    print_lint(&mut printer, &name, &read, &stack, recipe_toml.app.serves);
    printer.line("");
    printer.finish()?;
    print_plan(&source, &recipe, recipe_toml, &folder, masker)?;
    Ok(ExitStatus::Good)
}

fn taken(path: &Path) -> BadArgument {
    BadArgument(format!(
        "{} is there already; --force replaces it, and what was in it is lost",
        path.display()
    ))
}

fn write(path: &Path, text: &str, is_forced: bool) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let options = if is_forced {
        options.write(true).create(true).truncate(true)
    } else {
        options.write(true).create_new(true)
    };
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(taken(path).into()),
        Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

fn print_lint(
    printer: &mut Printer,
    name: &str,
    read: &Read,
    stack: &cc_ci_model::names::StackName,
    serves: Option<Serves>,
) {
    let lint = judge(LintInput { head: &read.head, base: read.base.as_ref(), stack, serves });
    let outcome: LintOutcome = lint.outcome();
    print_table(printer, name, Some(&lint), &outcome);
}

/// What a run of the tip would do with the file that was written. That there can be no plan is no failure here.
fn print_plan(
    source: &Source,
    recipe: &Recipe,
    recipe_toml: RecipeToml,
    folder: &Path,
    masker: &Masker,
) -> Result<()> {
    let Some(address) = source.git() else {
        let mut printer = Printer::stdout(masker);
        printer
            .line("no plan: this folder is no git repository, and a run clones one; commit the recipe first");
        return Ok(printer.finish()?);
    };
    let request =
        RequestArgs { recipe: Some(recipe.to_string()), src: Some(address), ..RequestArgs::default() };
    let mut setup = setup::setup(request)?;
    setup.recipe_toml = recipe_toml;
    folder.clone_into(&mut setup.test_data);
    if let Err(error) = plan::print(&setup, false, masker) {
        let mut printer = Printer::stdout(masker);
        printer.line(&format!("no plan: {error:#}"));
        printer.finish()?;
    }
    Ok(())
}
