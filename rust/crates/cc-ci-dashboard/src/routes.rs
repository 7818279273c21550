//! Which address answers with what. Names in addresses become types here; what is none is not found.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use axum::routing::get;
use cc_ci_model::dashboard::{Badge, Entry, Face, Live, Queue, RunFile, Summary, card, overview};
use cc_ci_model::names::{Recipe, RunId};
use cc_ci_model::result::{RunResult, RunState};
use maud::{Markup, html};
use tokio::sync::Semaphore;

use crate::answer::{answer, foreign, harden, json, tagged, with_own_script};
use crate::folder::{self, LONGEST_FILE, LONGEST_RESULT};
use crate::index::{Index, Shelf};
use crate::kept_page::KeptPage;
use crate::live::Following;
use crate::page::{Page, Renewal};
use crate::pages::{self, Wish};
use crate::run_page::{self, Beside};
use crate::{log_text, machine_pages, metrics};

const HTML: &str = "text/html; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A picture that others embed: asked for again after a minute, and then by its tag.
const EMBEDDED: &str = "public, max-age=60";

/// Runs that `/api/runs` lists at most.
const MOST_RUNS: usize = 500;

/// A page of a log shows at most this much of its end.
const LONGEST_LOG: u64 = 2 * 1024 * 1024;

/// What every answer is made from.
#[derive(Debug)]
pub struct Site {
    /// All runs.
    pub index: Arc<Index>,
    /// Name of this server.
    pub title: String,
    /// The state folder, for the janitor's files.
    pub state: PathBuf,
    /// The overview as it was made last.
    pub kept: KeptPage,
    /// One permit for each reader who follows a run while it happens.
    pub readers: Arc<Semaphore>,
}

type Shared = State<Arc<Site>>;
type Answer = Response<Body>;

/// All addresses.
pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(all))
        .route("/recipe/{name}", get(recipe))
        .route("/runs/{id}", get(run))
        .route("/runs/{id}/log", get(log))
        .route("/runs/{id}/live", get(live))
        .route("/runs/{id}/{*file}", get(file))
        .route("/janitor", get(janitor))
        .route("/health", get(health))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/badge/{file}", get(badge))
        .route("/api/runs", get(api_runs))
        .route("/api/recipes", get(api_recipes))
        .route("/api/runs/{id}", get(api_run))
        .route("/style.css", get(style))
        .route("/live.js", get(script))
        .fallback(nothing)
        .with_state(site)
        .layer(axum::middleware::map_response(harden))
}

impl Site {
    fn page(&self, title: &str, renewal: Renewal, content: &Markup) -> Answer {
        let page = Page { site: &self.title, title, renewal };
        let answer = answer(StatusCode::OK, HTML, page.with(content));
        if matches!(renewal, Renewal::Live(_)) { with_own_script(answer) } else { answer }
    }

    async fn queue(&self) -> Option<Queue> {
        let (index, state) = (Arc::clone(&self.index), self.state.clone());
        reading(move || machine_pages::queue(&state, |recipe| index.shows(recipe))).await
    }

    fn not_found(&self) -> Answer {
        let page = Page { site: &self.title, title: "Not found", renewal: Renewal::Never };
        answer(StatusCode::NOT_FOUND, HTML, page.with(&html! { p { "There is no such page, run or file." } }))
    }
}

async fn nothing(State(site): Shared) -> Answer {
    site.not_found()
}

async fn style(asked: HeaderMap) -> Answer {
    use std::fmt::Write as _;
    let mut sheet = include_str!("../assets/style.css").to_owned();
    for face in Face::ALL {
        let _ = writeln!(sheet, ".pill.{0},.mark.{0}{{background:{1}}}", face.key(), face.colour());
    }
    tagged(&asked, "text/css; charset=utf-8", "public, max-age=300", sheet)
}

async fn script(asked: HeaderMap) -> Answer {
    let script = include_str!("../assets/live.js").to_owned();
    tagged(&asked, "text/javascript; charset=utf-8", "public, max-age=300", script)
}

async fn all(State(site): Shared, wish: Result<Query<Wish>, QueryRejection>) -> Answer {
    let wish = wish.map(|Query(wish)| wish).unwrap_or_default();
    let queue = site.queue().await;
    let shelf = site.index.look();
    let is_kept = wish == Wish::default();
    if is_kept && let Some(page) = site.kept.page(shelf.generation(), &queue) {
        return answer(StatusCode::OK, HTML, page);
    }
    let again = shelf.unfinished().any(|entry| entry.summary.is_ok()).then_some(15);
    let renewal = again.map_or(Renewal::Never, Renewal::Every);
    let page = Page { site: &site.title, title: "Recipes", renewal };
    let page = Bytes::from(page.with(&pages::all(&shelf, queue.as_ref(), &wish)));
    if is_kept {
        site.kept.keep(shelf.generation(), queue, page.clone());
    }
    answer(StatusCode::OK, HTML, page)
}

async fn recipe(State(site): Shared, Path(name): Path<String>) -> Answer {
    let Ok(name) = Recipe::parse(&name) else { return site.not_found() };
    let shelf = site.index.look();
    if !shelf.knows(&name) {
        return site.not_found();
    }
    site.page(name.as_str(), Renewal::Never, &pages::recipe(&shelf, &name))
}

/// What the index says of a run, so that what it hides is not there.
fn known(site: &Site, id: &str) -> Option<Entry> {
    let id = RunId::parse(id).ok()?;
    site.index.look().run(&id).cloned()
}

/// Why nothing of a run's own words is shown; none if it may be.
fn withheld(entry: &Entry) -> Option<(Face, String)> {
    match &entry.summary {
        Ok(summary) if summary.is_leaking => Some((
            Face::Trouble,
            "unmasked secret values were found in this run's folder, so nothing of it is shown; rotate them and remove the folder"
                .to_owned(),
        )),
        Ok(_) => None,
        Err(why) => Some((Face::Unreadable, why.sentence())),
    }
}

/// Does what reads files, away from the threads that answer.
async fn reading<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

async fn run(State(site): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = known(&site, &id) else { return site.not_found() };
    let title = match &entry.summary {
        Ok(summary) => format!("{} {}", summary.recipe, entry.id),
        Err(_) => entry.id.to_string(),
    };
    if let Some((face, why)) = withheld(&entry) {
        return site.page(&title, Renewal::Never, &run_page::only(face, &why));
    }
    let (index, wanted) = (Arc::clone(&site.index), entry.id.clone());
    let read = reading(move || {
        let folder = index.roots.open(&wanted).ok()?;
        let bytes = folder::read(&folder, &RunFile::Result, LONGEST_RESULT).ok()?;
        let result = RunResult::read(std::str::from_utf8(&bytes).ok()?).ok()?;
        let log = folder::read(&folder, &RunFile::Log, LONGEST_FILE).ok();
        let log = log.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Some((result, Beside { files: folder::files(&folder), log }))
    });
    // It was readable when the index looked: it is being removed, or it has just changed into what must not be shown.
    let Some((result, beside)) = read.await.filter(|(result, _)| may_show(&result.run.id, result, &entry))
    else {
        return site.page(
            &title,
            Renewal::Every(5),
            &run_page::only(Face::Unreadable, "the run's folder is changing"),
        );
    };
    let is_running = result.run.state == RunState::Running;
    let renewal = if is_running { Renewal::Live(5) } else { Renewal::Never };
    site.page(&title, renewal, &run_page::story(&entry.id, &result, &beside))
}

/// Whether a result that was just read is the one the index judged.
fn may_show(id: &RunId, result: &RunResult, entry: &Entry) -> bool {
    let is_same = entry.summary.as_ref().is_ok_and(|summary| summary.recipe == result.request.recipe);
    *id == entry.id && is_same && result.redaction.leaks == 0
}

/// The bytes of a run's file, where they may be shown.
async fn bytes_of(site: &Site, entry: &Entry, file: RunFile, longest: u64) -> Option<Vec<u8>> {
    if withheld(entry).is_some() {
        return None;
    }
    let (index, id) = (Arc::clone(&site.index), entry.id.clone());
    reading(move || folder::read(&index.roots.open(&id).ok()?, &file, longest).ok()).await
}

async fn log(State(site): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = known(&site, &id) else { return site.not_found() };
    let Some(bytes) = bytes_of(&site, &entry, RunFile::Log, LONGEST_FILE).await else {
        return site.not_found();
    };
    let text = String::from_utf8_lossy(&bytes);
    let most = usize::try_from(LONGEST_LOG).unwrap_or(usize::MAX);
    let from = text.len().saturating_sub(most);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let first = text.get(..from).map_or(0, |before| before.matches('\n').count());
    let content = html! {
        p { a href={ "/runs/" (entry.id) } { "the run" } " · " a href={ "/runs/" (entry.id) "/log.txt" } { "as text" } }
        @if from > 0 { p { "The log is long: its beginning is in the text file only." } }
        (log_text::lines(text.get(from..).unwrap_or_default(), first + 1))
    };
    site.page(&format!("Log of {}", entry.id), Renewal::Never, &content)
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct LiveWish {
    from: String,
}

/// A run as it happens. A browser that lost the connection says itself where it was.
async fn live(
    State(site): Shared,
    Path(id): Path<String>,
    wish: Result<Query<LiveWish>, QueryRejection>,
    asked: HeaderMap,
) -> Answer {
    let Some(entry) = known(&site, &id).filter(|entry| withheld(entry).is_none()) else {
        return site.not_found();
    };
    let Ok(permit) = Arc::clone(&site.readers).try_acquire_owned() else {
        let words = "too many readers follow runs at this moment; the page renews itself without it\n";
        return answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", words);
    };
    let last = asked.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(Live::parse);
    let from = wish.ok().and_then(|Query(wish)| Live::parse(&wish.from));
    let place = last.or(from).unwrap_or_default();
    match Following::begin(Arc::clone(&site.index), entry.id.clone(), place, permit) {
        Ok(following) => {
            let alive = KeepAlive::new().interval(std::time::Duration::from_secs(15));
            Sse::new(following.stream()).keep_alive(alive).into_response()
        }
        Err(error) => {
            tracing::warn!(code = "not-followed", "run {}: {error}", entry.id);
            answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain; charset=utf-8",
                "it cannot be followed now\n",
            )
        }
    }
}

async fn file(State(site): Shared, Path((id, path)): Path<(String, String)>) -> Answer {
    let (Some(entry), Some(file)) = (known(&site, &id), RunFile::parse(&path)) else {
        return site.not_found();
    };
    if file == RunFile::CardSvg
        && withheld(&entry).is_none()
        && let Ok(summary) = &entry.summary
    {
        // Drawn from the result, so that a foreign drawing is never sent as ours.
        return answer(StatusCode::OK, SVG, card(&summary.recipe, summary));
    }
    let media = file.media_type();
    match bytes_of(&site, &entry, file, LONGEST_FILE).await {
        Some(bytes) => foreign(media, bytes),
        None => site.not_found(),
    }
}

async fn janitor(State(site): Shared) -> Answer {
    let content = {
        let site = Arc::clone(&site);
        reading(move || Some(machine_pages::diary(&site.state))).await
    };
    site.page("Janitor", Renewal::Never, &content.unwrap_or_default())
}

async fn health(State(site): Shared) -> Answer {
    let (count, looked, fault) = {
        let shelf = site.index.look();
        (shelf.count(), shelf.looked, shelf.fault.clone())
    };
    let content = {
        let site = Arc::clone(&site);
        reading(move || Some(machine_pages::health(&site.state, count, looked, fault.as_deref()))).await
    };
    site.page("Health", Renewal::Never, &content.unwrap_or_default())
}

async fn healthz(State(site): Shared) -> Answer {
    match site.index.look().fault {
        None => answer(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        Some(_) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            "run folders cannot be read\n",
        ),
    }
}

async fn metrics(State(site): Shared) -> Answer {
    let queue = site.queue().await;
    let body = reading(move || Some(metrics::text(&site.index.look(), &site.state, queue.as_ref()))).await;
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body.unwrap_or_default())
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct BadgeWish {
    style: String,
}

async fn badge(
    State(site): Shared,
    Path(file): Path<String>,
    wish: Result<Query<BadgeWish>, QueryRejection>,
    asked: HeaderMap,
) -> Answer {
    let named = file.strip_suffix(".svg").map(|name| (name, true));
    let named = named.or_else(|| file.strip_suffix(".json").map(|name| (name, false)));
    let Some((name, is_picture)) = named else { return site.not_found() };
    let Ok(recipe) = Recipe::parse(name) else { return site.not_found() };
    let shelf = site.index.look();
    if !shelf.knows(&recipe) {
        return site.not_found();
    }
    let rows = overview(shelf.of_recipe(&recipe).take(crate::index::NEWEST), &[]);
    let row = rows.first();
    let badge = if wish.is_ok_and(|Query(wish)| wish.style == "status") {
        Badge::status(row.and_then(|row| row.strip.first()).map_or(Face::NoRun, |entry| entry.face()))
    } else {
        Badge::level(row.and_then(|row| row.latest).map(|(_, summary)| summary))
    };
    if is_picture {
        tagged(&asked, SVG, EMBEDDED, badge.svg())
    } else {
        tagged(&asked, "application/json", EMBEDDED, badge.json())
    }
}

fn run_json(entry: &Entry) -> serde_json::Value {
    let face = entry.face().key();
    match &entry.summary {
        Ok(run) => serde_json::json!({
            "id": entry.id, "looks": face, "recipe": run.recipe, "state": run.state, "verdict": run.verdict, "level": run.level,
            "commit": run.commit, "pr": run.pr.0, "base": run.base,
            "started": run.started.map(|at| at.to_string()), "finished": run.finished.map(|at| at.to_string()),
        }),
        Err(why) => serde_json::json!({ "id": entry.id, "looks": face, "why": why.sentence() }),
    }
}

async fn api_runs(State(site): Shared) -> Answer {
    let runs: Vec<_> = site.index.look().newest().take(MOST_RUNS).map(run_json).collect();
    json(StatusCode::OK, &serde_json::json!({ "schema": 1, "runs": runs }))
}

async fn api_recipes(State(site): Shared) -> Answer {
    let shelf = site.index.look();
    let rows = recipes_of(&shelf);
    json(StatusCode::OK, &serde_json::json!({ "schema": 1, "recipes": rows }))
}

fn recipes_of(shelf: &Shelf) -> Vec<serde_json::Value> {
    let rows = overview(shelf.of_all_recipes(), &shelf.enrolled);
    let row = |row: &cc_ci_model::dashboard::RecipeRow<'_>| {
        let latest = row.latest.map(|(entry, _): (&Entry, &Summary)| run_json(entry));
        serde_json::json!({ "recipe": row.recipe, "looks": row.face().key(), "level": row.level(), "latest": latest })
    };
    rows.iter().map(row).collect()
}

async fn api_run(State(site): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = known(&site, &id) else {
        return json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "there is no such run" }));
    };
    if let Some((_, why)) = withheld(&entry) {
        return json(StatusCode::UNPROCESSABLE_ENTITY, &serde_json::json!({ "id": entry.id, "error": why }));
    }
    match bytes_of(&site, &entry, RunFile::Result, LONGEST_RESULT).await {
        Some(bytes) => answer(StatusCode::OK, "application/json", bytes),
        None => json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "there is no such run" })),
    }
}
