//! The frame of every page, and the small things that stand on many of them.

use cc_ci_model::dashboard::{Entry, Face, age};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page.
pub(crate) struct Page<'a> {
    /// Name of this server.
    pub(crate) site: &'a str,
    /// What the page is about.
    pub(crate) title: &'a str,
    /// How the page stays up to date.
    pub(crate) renewal: Renewal,
}

/// How a page that is open stays up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Not by itself.
    Never,
    /// The browser asks again after so many seconds.
    Every(u32),
    /// By events; without script as the one before.
    Live(u32),
}

impl Page<'_> {
    /// The frame around the content.
    pub(crate) fn with(&self, content: &Markup) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @match &self.renewal {
                        Renewal::Never => {}
                        Renewal::Every(seconds) => { meta http-equiv="refresh" content=(seconds); }
                        Renewal::Live(seconds) => {
                            noscript { meta http-equiv="refresh" content=(seconds); }
                            script src="/live.js" defer {}
                        }
                    }
                    title { (self.title) " · " (self.site) }
                    link rel="stylesheet" href="/style.css";
                }
                body {
                    a.skip href="#content" { "to the content" }
                    header {
                        a.site href="/" { (self.site) }
                        nav aria-label="pages" {
                            a href="/" { "recipes" } " " a href="/janitor" { "janitor" } " " a href="/health" { "health" }
                        }
                    }
                    main id="content" { h1 { (self.title) } (content) }
                    footer { "Made of files, read only. " a href="/api/recipes" { "JSON" } " " a href="/metrics" { "metrics" } }
                }
            }
        }
        .into_string()
    }
}

/// A face: sign and word, coloured by its class.
pub(crate) fn pill(face: Face) -> Markup {
    html! { span class={ "pill " (face.key()) } { span aria-hidden="true" { (face.sign()) " " } (face.word()) } }
}

/// A level as a pill of five steps.
pub(crate) fn level(level: Option<u8>) -> Markup {
    html! {
        @match level {
            Some(level) => { span.level { "level " (level) } }
            None => { span.level { "–" } }
        }
    }
}

/// Small squares, one per run, oldest first.
pub(crate) fn strip(runs: &[&Entry]) -> Markup {
    html! {
        span.strip {
            @for run in runs.iter().rev() {
                @let face = run.face();
                a class={ "mark " (face.key()) } href={ "/runs/" (run.id) } title={ (face.word()) ", " (run.id) } {
                    span aria-hidden="true" { (face.sign()) } span.unseen { (face.word()) }
                }
            }
        }
    }
}

/// A moment: how long ago, with the moment itself for machines and for pointing at.
pub(crate) fn moment(then: Option<jiff::Timestamp>) -> Markup {
    html! {
        @match then {
            Some(then) => { time datetime=(then) title=(then) { (age(then, jiff::Timestamp::now())) } }
            None => { "–" }
        }
    }
}

/// Bars of one number per run, oldest first; the chart reaches at least up to `top`. The table beside it has the words.
pub(crate) fn bars(title: &str, values: &[(f64, Face)], top: f64) -> Markup {
    let most = values.iter().map(|(value, _)| *value).filter(|value| value.is_finite()).fold(top, f64::max);
    if values.len() < 2 || most <= 0.0 {
        return html! {};
    }
    let bar = |(index, (value, face)): (usize, &(f64, Face))| {
        let height = (value.clamp(0.0, most) / most * 56.0).max(1.0);
        format!(
            "<rect x=\"{}\" y=\"{:.1}\" width=\"9\" height=\"{height:.1}\" fill=\"{}\"/>",
            index * 12,
            58.0 - height,
            face.colour()
        )
    };
    let bars: String = values.iter().enumerate().map(bar).collect();
    let width = values.len() * 12;
    html! {
        figure {
            figcaption { (title) }
            svg width=(width) height="58" viewBox={ "0 0 " (width) " 58" } role="img" aria-label=(title) { (PreEscaped(bars)) }
        }
    }
}
