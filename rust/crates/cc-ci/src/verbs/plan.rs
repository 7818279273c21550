//! `cc-ci plan`: what a run would do and why; nothing on the swarm is touched.

use anyhow::{Context, Result};
use cc_ci_harness::prepare::{PrepareError, prepare};
use cc_ci_harness::setup::Setup;
use cc_ci_model::plan::{Decision, PlannedPart};
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Cell, Printer, Style, Table};
use cc_ci_swarm::programs::Programs;

use super::BadArgument;
use super::setup::setup;
use crate::args::PlanArgs;

pub(super) fn plan(args: PlanArgs, masker: &Masker) -> Result<ExitStatus> {
    print(&setup(args.request)?, args.json, masker)
}

/// Prints the plan of what was set up.
pub(super) fn print(setup: &Setup, json: bool, masker: &Masker) -> Result<ExitStatus> {
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let folder =
        tempfile::Builder::new().prefix("cc-ci-plan-").tempdir().context("making a folder for the clone")?;
    let programs = Programs::new(folder.path(), &folder.path().join("abra"), &cancellation, masker);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (clone, config) = (folder.path().join("recipe"), folder.path().join("gitconfig"));
    let prepared = match runtime.block_on(prepare(setup, &programs, &clone, &config)) {
        Ok(prepared) => prepared,
        Err(PrepareError::BadArgument(what)) => return Err(BadArgument(what).into()),
        Err(PrepareError::Trouble(trouble)) => anyhow::bail!("{}: {}", trouble.place, trouble.what),
    };
    let plan = &prepared.plan;
    let customisation = cc_ci_harness::customisation::of(setup, plan);
    let mut printer = Printer::stdout(masker);
    if json {
        let base = plan.base.as_ref().map(
            |base| serde_json::json!({ "version": base.name, "commit": base.commit, "reason": base.reason }),
        );
        printer.line(&serde_json::to_string_pretty(&serde_json::json!({
            "recipe": setup.request.recipe, "head": prepared.head, "base": base, "tiers": plan.tiers,
            "elsewhere": plan.elsewhere,
            "expected_deploys": plan.expected_deploys, "customisation": customisation,
        }))?);
    } else {
        let from = plan.base.as_ref().map_or(String::new(), |base| format!("{} → ", base.name));
        let title = format!("{}  {from}{}", setup.request.recipe, prepared.head.short());
        printer.line(&printer.style(Style::Strong, &title));
        let mut table = Table::new(["tier", "plan", "why"]);
        for tier in &plan.tiers {
            table.row([tier.tier.word().into(), cell(&tier.decision), tier.reason.clone().into()]);
            if tier.tier == Tier::Restore {
                let PlannedPart { decision, reason } = &plan.elsewhere;
                table.row(["  elsewhere".into(), cell(decision), reason.clone().into()]);
            }
        }
        printer.table(&table);
        printer.line(&format!("deploys   {}", plan.expected_deploys));
        for line in customisation {
            printer.line(&format!("customised {line}"));
        }
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}

fn cell(decision: &Decision) -> Cell {
    let (word, style) = match decision {
        Decision::Run => ("run", Style::Ok),
        Decision::NotApplicable => ("not applicable", Style::Dim),
        Decision::NotPlanned => ("not planned", Style::Dim),
    };
    Cell::styled(style, word)
}
