//! A run's result for people: the table of tiers, what failed, the evidence, the replay line.

use cc_ci_model::inventory::Kind;
use cc_ci_model::outcome::{Status, VerdictWord};
use cc_ci_model::plan::Decision;
use cc_ci_model::result::{Elsewhere, Footprint, RunResult, RunState, Teardown};
use cc_ci_model::tier::Tier;
use cc_ci_process::printer::{Cell, Printer, Style, Table};

/// The style of a status.
fn style(status: Status) -> Style {
    match status {
        Status::Pass => Style::Ok,
        Status::Fail => Style::Fail,
        Status::NotApplicable => Style::Dim,
        Status::Unverified => Style::Warn,
    }
}

/// Prints a whole result.
pub fn print_result(printer: &mut Printer, result: &RunResult) {
    let request = &result.request;
    let commit = request.reference.as_ref().map_or("?", |commit| commit.short());
    let base = result.base.as_ref().map_or(String::new(), |base| format!("{} → ", base.version));
    printer.line("");
    let title = format!("{}  {base}{commit}", request.recipe);
    let title = printer.style(Style::Strong, &title);
    printer.line(&format!("{title}  run {}", result.run.id));
    printer.line("");
    let mut table = Table::new(["tier", "status", "seconds", "checks", ""]);
    for tier in &result.tiers {
        let passed = tier.checks.iter().filter(|check| check.status == Status::Pass).count();
        table.row([
            tier.name.word().into(),
            Cell::styled(style(tier.status), tier.status.word()),
            format!("{:7.1}", tier.seconds).into(),
            if tier.checks.is_empty() { String::new() } else { format!("{passed}/{}", tier.checks.len()) }
                .into(),
            tier.reason.clone().into(),
        ]);
        if let Some(elsewhere) = result.elsewhere.as_ref().filter(|_| tier.name == Tier::Restore) {
            elsewhere_row(&mut table, elsewhere);
        }
    }
    for planned in result.plan.iter().filter(|planned| planned.decision == Decision::NotPlanned) {
        table.row([
            planned.tier.word().into(),
            Cell::styled(Style::Dim, "not planned"),
            "".into(),
            "".into(),
            Cell::styled(Style::Dim, planned.reason.clone()),
        ]);
    }
    printer.table(&table);
    if !result.ladder.is_empty() {
        printer.line("");
        let mut table = Table::new(["step", "status", "seconds", ""]);
        for step in &result.ladder {
            table.row([
                format!("{} → {}", step.from, step.to).into(),
                Cell::styled(style(step.status), step.status.word()),
                format!("{:7.1}", step.seconds).into(),
                step.reason.clone().into(),
            ]);
        }
        printer.table(&table);
    }
    print_footprint(printer, &result.footprint);
    for tier in &result.tiers {
        for check in tier.checks.iter().filter(|check| check.status != Status::Pass) {
            let sign = printer.style(style(check.status), check.status.word());
            printer.line(&format!("\n{sign} in {}: {}", tier.name, check.name));
            printer.line(&format!("  {}", check.message));
            if let Some(log) = &check.log {
                printer.line(&format!("  see {log} in the run's folder"));
            }
        }
    }
    printer.line("");
    print_verdict(printer, result);
    if let Some(teardown) = &result.teardown {
        print_evidence(printer, teardown);
    }
    for (label, lines) in
        [("limits", &result.limits), ("customised", &result.customisation), ("retries", &result.retries)]
    {
        for line in lines {
            printer.line(&format!("{label:<10} {line}"));
        }
    }
    printer.line(&format!("replay     {}", result.replay));
}

/// What the app took: memory by tier, and how long it took to answer after each deploy.
fn print_footprint(printer: &mut Printer, footprint: &Footprint) {
    let elsewhere = footprint.first_answer_seconds.keys().any(|name| name == "elsewhere");
    let names = Tier::PLANNABLE.iter().map(|tier| tier.word()).chain(elsewhere.then_some("elsewhere"));
    let mut table = Table::new(["footprint", "largest memory", "first good answer"]);
    let mut is_empty = true;
    for name in names {
        let memory = footprint.tier_memory_bytes.get(name).map(|bytes| mebibytes(*bytes));
        let answer = footprint.first_answer_seconds.get(name).map(|seconds| format!("{seconds:.1} s"));
        if memory.is_some() || answer.is_some() {
            table.row([name.into(), memory.unwrap_or_default().into(), answer.unwrap_or_default().into()]);
            is_empty = false;
        }
    }
    if is_empty {
        return;
    }
    if let Some(bytes) = footprint.image_bytes {
        table.row(["images".into(), format!("{} on disk", mebibytes(bytes)).into(), "".into()]);
    }
    printer.line("");
    printer.table(&table);
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// A part of the restore that is judged with it.
fn elsewhere_row(table: &mut Table, elsewhere: &Elsewhere) {
    let status = match elsewhere.status {
        Some(status) => Cell::styled(style(status), status.word()),
        None if elsewhere.decision == Decision::Run => Cell::styled(Style::Dim, "not reached"),
        None => Cell::styled(Style::Dim, elsewhere.decision.word()),
    };
    let seconds = if elsewhere.seconds > 0.0 { format!("{:7.1}", elsewhere.seconds) } else { String::new() };
    table.row(["  elsewhere".into(), status, seconds.into(), "".into(), elsewhere.reason.clone().into()]);
}

fn print_verdict(printer: &mut Printer, result: &RunResult) {
    let (word, style) = match (result.verdict, result.run.state) {
        (Some(VerdictWord::Pass), _) => ("pass", Style::Ok),
        (Some(VerdictWord::Fail), _) => ("fail", Style::Fail),
        (Some(VerdictWord::Trouble), _) => ("trouble (not the recipe's fault)", Style::Warn),
        (Some(VerdictWord::Refused), _) => ("refused", Style::Warn),
        (Some(VerdictWord::Cancelled), _) => ("cancelled", Style::Warn),
        (None, RunState::Running) => ("running", Style::Dim),
        (None, RunState::Interrupted | RunState::Finished) => ("interrupted", Style::Warn),
    };
    let word = printer.style(style, word);
    printer.line(&format!("verdict    {word}, level {} of 5 ({})", result.level, result.level_reason));
    if let Some(trouble) = &result.trouble {
        printer.line(&format!("trouble    in {}: {}", trouble.place, trouble.what));
    }
}

/// Prints what teardown proves, in one line per question.
fn print_evidence(printer: &mut Printer, teardown: &Teardown) {
    let evidence = &teardown.evidence;
    let list = |counts: &std::collections::BTreeMap<Kind, usize>| {
        let total: usize = counts.values().sum();
        let kinds: Vec<String> =
            counts.iter().map(|(kind, count)| format!("{count} {}", kind.word())).collect();
        if kinds.is_empty() { "0".to_owned() } else { format!("{total} ({})", kinds.join(", ")) }
    };
    let left = if evidence.left.is_empty() { "0".to_owned() } else { evidence.left.join(", ") };
    let (created, removed) = (list(&evidence.created), list(&evidence.removed));
    printer.line(&format!("created    {created}"));
    printer.line(&format!("removed    {removed}"));
    let mark = if evidence.left.is_empty() { Style::Ok } else { Style::Fail };
    let left = printer.style(mark, &left);
    printer.line(&format!("left       {left}"));
    let changed = if evidence.witness_changed.is_empty() {
        String::new()
    } else {
        format!(": {}", evidence.witness_changed.join(", "))
    };
    printer.line(&format!(
        "witness    {}{changed}; objects of others changed: {}",
        teardown.witness.word(),
        evidence.others_changed
    ));
}
