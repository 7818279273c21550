//! The page of one run: its whole story, in the order in which it happened.

use cc_ci_model::dashboard::{Face, Live, seconds};
use cc_ci_model::names::RunId;
use cc_ci_model::plan::Decision;
use cc_ci_model::result::{RunResult, RunState, Teardown, TierReport};
use maud::{Markup, html};

use crate::log_text;
use crate::page::{level, moment, pill};

/// Lines of the log's end on the page; the rest is one link away.
const LAST_LINES: usize = 60;

/// What stands on the page beside the result.
pub(crate) struct Beside {
    /// Files that may be shown.
    pub(crate) files: Vec<String>,
    /// The log, as far as it goes.
    pub(crate) log: Option<String>,
}

/// A run whose result cannot be read, or shows what it must not.
pub(crate) fn only(face: Face, sentence: &str) -> Markup {
    html! { p { (pill(face)) " " (sentence) "." } }
}

/// The story of a run.
pub(crate) fn story(id: &RunId, result: &RunResult, beside: &Beside) -> Markup {
    let is_running = result.run.state == RunState::Running;
    html! {
        @if is_running {
            @let place = beside.log.as_deref().map(Live::behind).unwrap_or_default();
            p.small { span id="live" data-source={ "/runs/" (id) "/live?from=" (place) } { "Under way: " }
                span id="live-state" role="status" { "this page is renewed every few seconds" } "." }
        }
        div id="facts" { (facts(id, result)) }
        @if is_running || beside.log.is_some() {
            div id="log-lines" { (last_lines(id, beside.log.as_deref().unwrap_or_default())) }
        }
        (files(id, &beside.files))
    }
}

/// Everything that the result says, without log and files.
pub(crate) fn facts(id: &RunId, result: &RunResult) -> Markup {
    html! {
        (head(result))
        (asked(result))
        @if !result.plan.is_empty() { (plan(result)) }
        @if !result.tiers.is_empty() {
            section { h2 { "Tiers" } @for report in &result.tiers { (tier(id, report)) } }
        }
        @if let Some(teardown) = &result.teardown { (evidence(teardown, result)) }
        (images(result))
        (sentences("Customisation", &result.customisation))
        (sentences("Limits of this host", &result.limits))
        (sentences("Done more than once", &result.retries))
        (tools(result))
        @if !result.replay.is_empty() {
            section { h2 { "The same again" } pre.replay { (result.replay) } }
        }
    }
}

fn head(result: &RunResult) -> Markup {
    let face = Face::of_run(result.run.state, result.verdict);
    let started: Option<jiff::Timestamp> = result.run.started.parse().ok();
    html! {
        p.lead { (pill(face)) " " (level(Some(result.level))) " "
            a href={ "/recipe/" (result.request.recipe) } { (result.request.recipe) } ", " (moment(started)) }
        @if !result.level_reason.is_empty() { p { "Level: " (result.level_reason) "." } }
        @if let Some(trouble) = &result.trouble {
            p.fault { (pill(Face::Trouble)) " in " (trouble.place) ": " (trouble.what)
                @if trouble.retry { " — worth another try" } }
        }
        @if result.run.state == RunState::Interrupted && result.verdict.is_none() {
            p { "Its program was killed before there was a verdict; what it left is removed by the janitor." }
        }
    }
}

fn row(name: &str, value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value { dt { (name) } dd { (value) } } }
}

fn asked(result: &RunResult) -> Markup {
    let request = &result.request;
    let commit = request.reference.as_ref().map(ToString::to_string);
    let pr = (request.pr.0 > 0).then(|| format!("#{}", request.pr.0));
    let build = request.receipt.build.map(|number| number.to_string());
    let attempt = request.receipt.attempt.map(|number| number.to_string());
    let deployer = format!("{:?}", result.run.deployer).to_lowercase();
    html! {
        section { h2 { "Request" } dl {
            (row("source", request.src.as_deref())) (row("commit", commit.as_deref()))
            (row("pull request", pr.as_deref())) (row("upgrade from", request.from.as_deref()))
            (row("asked by", request.receipt.by.as_deref())) (row("by right of", request.receipt.right.as_deref()))
            (row("asked at", request.receipt.at.as_deref())) (row("attempt", attempt.as_deref()))
            (row("build", build.as_deref())) (row("host", Some(&result.run.host)))
            (row("deployer", Some(&deployer))) (row("route", result.run.via.as_deref()))
            (row("domain", result.run.domain.as_deref())) (row("stack", result.run.stack.as_deref()))
            (row("started", Some(&result.run.started))) (row("ended", result.run.finished.as_deref()))
        } }
    }
}

fn plan(result: &RunResult) -> Markup {
    html! {
        section { h2 { "Plan" }
            @if let Some(base) = &result.base {
                p { "The upgrade starts from " strong { (base.version) } " (" code { (base.commit) } "): " (base.reason) "." }
            }
            ul { @for planned in &result.plan { li {
                strong { (planned.tier) } ": "
                (match planned.decision {
                    Decision::Run => "runs",
                    Decision::NotApplicable => "not applicable",
                    Decision::NotPlanned => "not planned",
                })
                @if !planned.reason.is_empty() { " — " (planned.reason) }
            } } }
        }
    }
}

fn tier(id: &RunId, report: &TierReport) -> Markup {
    let face = Face::of_status(report.status);
    html! {
        details id={ "tier-" (report.name) } open[face != Face::Pass] {
            summary { (pill(face)) " " strong { (report.name) } " " span.small { (seconds(report.seconds)) } }
            @if !report.reason.is_empty() { p { (report.reason) } }
            ul.checks { @for check in &report.checks { li {
                (pill(Face::of_status(check.status))) " " (check.name) " " span.small { (seconds(check.seconds)) }
                @if !check.message.is_empty() { pre.message { (check.message) } }
                @if let Some(log) = &check.log
                    && cc_ci_model::dashboard::RunFile::parse(log).is_some() {
                    a href={ "/runs/" (id) "/" (log) } { "output" }
                }
            } } }
        }
    }
}

fn evidence(teardown: &Teardown, result: &RunResult) -> Markup {
    let evidence = &teardown.evidence;
    let is_clean = evidence.left.is_empty() && evidence.witness_changed.is_empty();
    html! {
        section { h2 { "Teardown" }
            p { (pill(if is_clean { Face::Pass } else { Face::Fail })) " "
                @if is_clean { "nothing is left" } @else { "something is left or changed" } "." }
            table { caption.unseen { "Objects by kind" }
                thead { tr { th scope="col" { "kind" } th scope="col" { "created" } th scope="col" { "removed" } } }
                tbody { @for (kind, created) in &evidence.created { tr {
                    th scope="row" { (kind.word()) } td data-label="created" { (created) }
                    td data-label="removed" { (evidence.removed.get(kind).copied().unwrap_or(0)) } } } }
            }
            @if !evidence.left.is_empty() { p { "Left:" } ul { @for name in &evidence.left { li { (name) } } } }
            @if !evidence.witness_changed.is_empty() {
                p { "Changed:" } ul { @for name in &evidence.witness_changed { li { (name) } } }
            }
            p { "Witness: " (teardown.witness.word()) ". Other people's objects that changed meanwhile: " (evidence.others_changed)
                ". Deploys: " (result.deploys.counted) " of " (result.deploys.expected) " planned." }
        }
    }
}

fn images(result: &RunResult) -> Markup {
    html! { @if !result.images.is_empty() {
        section { h2 { "Images" } table { caption.unseen { "Images that ran" }
            thead { tr { th scope="col" { "service" } th scope="col" { "side" } th scope="col" { "image" } th scope="col" { "digest" } } }
            tbody { @for image in &result.images { tr {
                th scope="row" { (image.service) } td data-label="side" { (image.side) }
                td data-label="image" { code { (image.name) } }
                td data-label="digest" { code { (image.digest.as_deref().unwrap_or("–")) } } } } }
        } }
    } }
}

fn sentences(title: &str, sentences: &[String]) -> Markup {
    html! { @if !sentences.is_empty() {
        section { h2 { (title) } ul { @for sentence in sentences { li { (sentence) } } } }
    } }
}

fn tools(result: &RunResult) -> Markup {
    let tools = &result.tools;
    let memory = result.footprint.peak_memory_bytes.map(|bytes| format!("{} MiB", bytes / 1_048_576));
    let images = result.footprint.image_bytes.map(|bytes| format!("{} MiB", bytes / 1_048_576));
    html! {
        section { h2 { "Tools and footprint" } dl {
            (row("cc-ci", Some(&tools.cc_ci))) (row("revision", tools.revision.as_deref()))
            (row("abra", tools.abra.as_deref())) (row("docker", tools.docker.as_deref()))
            (row("docker CLI", tools.docker_cli.as_deref())) (row("restic", tools.restic.as_deref()))
            (row("largest memory", memory.as_deref())) (row("images", images.as_deref()))
            @for (tier, bytes) in &result.footprint.tier_memory_bytes {
                dt { "memory in " (tier) } dd { (bytes / 1_048_576) " MiB" }
            }
            @for (chapter, time) in &result.footprint.seconds { dt { (chapter) } dd { (seconds(*time)) } }
            dt { "masked" } dd { (result.redaction.masked) }
        } }
    }
}

fn last_lines(id: &RunId, log: &str) -> Markup {
    let count = log.lines().count();
    let first = count.saturating_sub(LAST_LINES);
    let end: String = log.lines().skip(first).flat_map(|line| [line, "\n"]).collect();
    html! {
        section { h2 id="log" { "Log" }
            p { @if first > 0 { "The last " (LAST_LINES) " of " (count) " lines; " } a href={ "/runs/" (id) "/log" } { "the whole log" } }
            (log_text::lines(&end, first + 1))
        }
    }
}

fn files(id: &RunId, files: &[String]) -> Markup {
    html! { @if !files.is_empty() {
        section { h2 { "Files" }
            @if files.iter().any(|file| file == "screenshot.png") {
                img.screenshot src={ "/runs/" (id) "/screenshot.png" } alt="screenshot of the app" loading="lazy";
            }
            ul { @for file in files { li { a href={ "/runs/" (id) "/" (file) } { (file) } } } }
        }
    } }
}
