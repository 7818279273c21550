//! The overview of all recipes, and the page of one.

use cc_ci_model::dashboard::{
    Entry, Face, Queue, RecipeRow, Sort, Summary, changes, history, overview, seconds,
};
use cc_ci_model::names::Recipe;
use cc_ci_model::tier::Tier;
use maud::{Markup, html};

use crate::index::{NEWEST, Shelf};
use crate::page::{bars, level, moment, pill, strip};

/// Unfinished and unreadable runs that the overview lists.
const MOST_UNFINISHED: usize = 20;

/// Changes of level that a recipe's page lists.
const MOST_CHANGES: usize = 20;

/// What the reader wants to see.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    /// Part of a recipe's name.
    pub(crate) q: String,
    /// A face, by its key.
    pub(crate) show: String,
    /// `name`, `level` or `age`.
    pub(crate) sort: String,
}

/// `/`.
pub(crate) fn all(shelf: &Shelf, queue: Option<&Queue>, wish: &Wish) -> Markup {
    let rows = wished(overview(shelf.of_all_recipes(), &shelf.enrolled), wish);
    let unfinished: Vec<&Entry> = shelf.unfinished().take(MOST_UNFINISHED).collect();
    html! {
        @if let Some(fault) = &shelf.fault { p.fault { (pill(Face::Trouble)) " " (fault) } }
        @if !unfinished.is_empty() {
            section aria-labelledby="now" {
                h2 id="now" { "Under way or unfinished" }
                ul.cards { @for run in &unfinished { li { (unfinished_run(run)) } } }
            }
        }
        @if let Some(waiting) = queue.map(|queue| queue.waiting().collect::<Vec<_>>()).filter(|waiting| !waiting.is_empty()) {
            section aria-labelledby="queued" {
                h2 id="queued" { "Queued" }
                ol.cards { @for entry in waiting { li {
                    a href={ "/recipe/" (entry.recipe) } { (entry.recipe) } " #" (entry.pr)
                    @if let Some(commit) = &entry.commit { " at " code { (commit) } }
                    @if let Some(attempt) = entry.attempt.filter(|attempt| *attempt > 1) { ", attempt " (attempt) }
                    @if let Some(build) = entry.build { span.small { ", build " (build) } }
                } } }
            }
        }
        (form(wish))
        table {
            caption.unseen { "Recipes" }
            thead { tr { th scope="col" { "recipe" } th scope="col" { "verdict" } th scope="col" { "level" }
                th scope="col" { "from" } th scope="col" { "age" } th scope="col" { "last runs" } } }
            tbody {
                @for row in &rows {
                    tr {
                        th scope="row" { a href={ "/recipe/" (row.recipe) } { (row.recipe) } }
                        td data-label="verdict" { (pill(row.face())) }
                        td data-label="level" { (level(row.level())) }
                        td data-label="from" { (row.latest.and_then(|(_, run)| run.base.as_deref()).unwrap_or("–")) }
                        td data-label="age" { (moment(row.latest.and_then(|(_, run)| run.finished.or(run.started)))) }
                        td data-label="last runs" { (strip(&row.strip)) }
                    }
                }
            }
        }
        @if rows.is_empty() { p { "No recipe to show." } }
        p.small { (shelf.count()) " runs known." }
    }
}

fn wished<'a>(mut rows: Vec<RecipeRow<'a>>, wish: &Wish) -> Vec<RecipeRow<'a>> {
    let part = wish.q.trim().to_lowercase();
    rows.retain(|row| row.recipe.as_str().contains(&part));
    rows.retain(|row| wish.show.is_empty() || row.face().key() == wish.show);
    match Sort::of(&wish.sort) {
        Sort::Name => {}
        Sort::Level => rows.sort_by_key(|row| std::cmp::Reverse(row.level())),
        Sort::Age => rows.sort_by(|a, b| {
            let newest = |row: &RecipeRow<'_>| row.strip.first().map(|entry| entry.id.clone());
            newest(b).cmp(&newest(a))
        }),
    }
    rows
}

fn form(wish: &Wish) -> Markup {
    let sorts = ["name", "level", "age"];
    let faces = [
        Face::Pass,
        Face::Fail,
        Face::Trouble,
        Face::Refused,
        Face::Cancelled,
        Face::Interrupted,
        Face::NoRun,
    ];
    html! {
        form.filter method="get" action="/" role="search" {
            label { "name " input type="search" name="q" value=(wish.q) maxlength="64"; }
            label { "show " select name="show" {
                option value="" { "all" }
                @for face in faces { option value=(face.key()) selected[face.key() == wish.show] { (face.word()) } }
            } }
            label { "sort by " select name="sort" {
                @for sort in sorts { option value=(sort) selected[sort == wish.sort] { (sort) } }
            } }
            button { "show" }
        }
    }
}

fn unfinished_run(run: &Entry) -> Markup {
    html! {
        a href={ "/runs/" (run.id) } {
            @match &run.summary { Ok(summary) => (summary.recipe), Err(_) => (run.id) }
        }
        " " (pill(run.face())) " "
        @match &run.summary {
            Ok(summary) => {
                (moment(summary.started))
                @for tier in &summary.tiers { " " span.tier { (tier.tier) " " (Face::of_status(tier.status).sign()) } }
            }
            Err(why) => { span.small { (why.sentence()) } }
        }
    }
}

/// `/recipe/<name>`.
pub(crate) fn recipe(shelf: &Shelf, recipe: &Recipe) -> Markup {
    let runs: Vec<(&Entry, &Summary)> = shelf
        .of_recipe(recipe)
        .take(NEWEST)
        .filter_map(|entry| Some((entry, entry.summary.as_ref().ok()?)))
        .collect();
    let steadiness = history(runs.iter().map(|(_, summary)| *summary));
    let newest: Vec<&Summary> = runs.iter().take(40).map(|(_, summary)| *summary).collect();
    let oldest_first = || newest.iter().rev();
    let levels: Vec<(f64, Face)> = oldest_first().map(|run| (f64::from(run.level), run.face())).collect();
    let times: Vec<(f64, Face)> =
        oldest_first().map(|run| (run.tiers.iter().map(|tier| tier.seconds).sum(), run.face())).collect();
    let tiers: Vec<(Tier, Vec<(f64, Face)>)> = Tier::PLANNABLE
        .into_iter()
        .map(|tier| {
            let lines = oldest_first().filter_map(|run| run.tiers.iter().find(|line| line.tier == tier));
            (tier, lines.map(|line| (line.seconds, Face::of_status(line.status))).collect())
        })
        .collect();
    let causes = changes(runs.iter().copied());
    #[allow(clippy::cast_precision_loss, reason = "heights of bars")]
    let memory: Vec<(f64, Face)> =
        oldest_first().map(|run| (run.peak_memory_bytes.unwrap_or(0) as f64, run.face())).collect();
    html! {
        p { img src={ "/badge/" (recipe) ".svg" } alt={ "badge of " (recipe) } height="20"; }
        @if runs.is_empty() { p { "No run yet." } }
        div.charts {
            (bars("level, of 5", &levels, 5.0)) (bars("seconds of all tiers", &times, 0.0)) (bars("largest memory", &memory, 0.0))
            @for (tier, values) in &tiers { (bars(&format!("seconds of {tier}"), values, 0.0)) }
        }
        @if !causes.is_empty() {
            section { h2 { "Changes of level" } ul { @for change in causes.iter().take(MOST_CHANGES) { li {
                a href={ "/runs/" (change.entry.id) } { (moment(change.run.started)) } ": level " (change.from) " → " (change.run.level)
                @if !change.run.level_reason.is_empty() { ", because " (change.run.level_reason) }
            } } } }
        }
        @if steadiness.repeated > 0 {
            p { (steadiness.unsteady) " of " (steadiness.repeated) " commits that were judged more than once were red and green." }
        }
        @if !runs.is_empty() { (runs_table(&runs)) }
    }
}

fn runs_table(runs: &[(&Entry, &Summary)]) -> Markup {
    html! {
        table {
            caption.unseen { "Runs, newest first" }
            thead { tr { th scope="col" { "run" } th scope="col" { "verdict" } th scope="col" { "level" }
                th scope="col" { "commit" } th scope="col" { "from" } th scope="col" { "tiers" } } }
            tbody {
                @for (entry, run) in runs {
                    tr {
                        th scope="row" { a href={ "/runs/" (entry.id) } { (moment(run.started)) } }
                        td data-label="verdict" { (pill(run.face())) }
                        td data-label="level" { (level(Some(run.level))) }
                        td data-label="commit" { code { (run.commit.as_deref().unwrap_or("–")) } @if run.pr.0 > 0 { " #" (run.pr.0) } }
                        td data-label="from" { (run.base.as_deref().unwrap_or("–")) }
                        td data-label="tiers" {
                            @for tier in &run.tiers {
                                @let face = Face::of_status(tier.status);
                                span class={ "tier " (face.key()) } title={ (face.word()) ", " (seconds(tier.seconds)) } {
                                    (tier.tier) " " (face.sign()) } " "
                            }
                        }
                    }
                }
            }
        }
    }
}
