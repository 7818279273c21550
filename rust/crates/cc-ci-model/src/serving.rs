//! Is the app really serving? Decided from the answers of the task itself, of the app's address, and of a name that
//! no app has.
//!
//! A proxy answers for a dead app too, and its wildcard certificate is valid for every name, so a status proves
//! nothing. What came through the proxy has to be what the task says when it is asked directly, and must not be what
//! the proxy says for a name nobody serves.

use std::collections::BTreeMap;

mod redirect;

use redirect::Target;

/// What matters of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The host name that was asked for.
    pub host: String,
    /// The status.
    pub status: u16,
    /// The `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// The `Location`, if there is one.
    pub location: Option<String>,
    /// The start of the body.
    pub body: Vec<u8>,
}

/// Why an answer does not prove that the app is serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotServing {
    /// The status is none of those that count.
    #[error("status {status}; {expected} would be serving")]
    Status {
        /// The status that came.
        status: u16,
        /// Those that count.
        expected: String,
    },
    /// The proxy says the same for a name that nobody serves.
    #[error(
        "the answer is the one the proxy gives for any unknown name (status {status}), so it is not the app's"
    )]
    ProxyAnswer {
        /// The status that came.
        status: u16,
    },
    /// It sends its visitors to somebody else.
    #[error(
        "it redirects to {location}, which is not the app (a visitor is sent to {host}); let the app know its domain, \
         or name a path in recipe.toml (app.health.path) that it answers itself"
    )]
    Elsewhere {
        /// The whole location.
        location: String,
        /// Its host.
        host: String,
    },
    /// The task says something else.
    #[error("the answer at the app's address is not the one its task gives: {difference}")]
    Another {
        /// What differs.
        difference: String,
    },
}

/// How alike two bodies have to be, in hundredths of their words. Pages carry tokens, dates and nonces that differ
/// from answer to answer; two different pages of the same app still share less than this.
const ALIKE: usize = 70;
/// Words that are compared; more only costs time.
const WORDS: usize = 20_000;

/// Judges an answer at the app's address. `task` is what the task itself says (not asked where the address *is* the
/// task), `stranger` what the proxy says for a name that no app has.
///
/// # Errors
/// [`NotServing`] with the difference in words.
pub fn judge(
    seen: &Seen,
    task: Option<&Seen>,
    stranger: Option<&Seen>,
    accepted: &[u16],
) -> Result<(), NotServing> {
    // The proxy's own answer is named as such before its status is judged: "404" alone would send people to the app.
    if stranger.is_some_and(|stranger| difference(seen, stranger).is_none()) {
        return Err(NotServing::ProxyAnswer { status: seen.status });
    }
    if !accepted.contains(&seen.status) {
        let expected: Vec<String> = accepted.iter().map(u16::to_string).collect();
        return Err(NotServing::Status { status: seen.status, expected: expected.join(", ") });
    }
    let redirect = seen.location.as_deref().filter(|_| (300..400).contains(&seen.status));
    if let Some(location) = redirect
        && let Some(host) = Target::read(location, &seen.host).foreign_host()
    {
        let location = crate::names::quoted(location);
        return Err(NotServing::Elsewhere { location, host: host.to_owned() });
    }
    match task.and_then(|task| difference(seen, task)) {
        Some(difference) => Err(NotServing::Another { difference }),
        None => Ok(()),
    }
}

/// What tells two answers apart: status, media type, target of the redirect, or less than 70 % of the body's words.
/// `None` where they are the same page.
#[must_use]
pub fn difference(one: &Seen, other: &Seen) -> Option<String> {
    if one.status != other.status {
        return Some(format!("status {} and {}", one.status, other.status));
    }
    let (types, places) = ((media_type(one), media_type(other)), (redirect(one), redirect(other)));
    if types.0 != types.1 {
        return Some(format!("content type {} and {}", types.0, types.1));
    }
    if places.0 != places.1 {
        return Some(format!("redirect to {} and {}", places.0, places.1));
    }
    let alike = likeness(&one.body, &other.body);
    (alike < ALIKE)
        .then(|| format!("bodies of {} and {} bytes are {alike} % alike", one.body.len(), other.body.len()))
}

fn media_type(seen: &Seen) -> String {
    let text = seen.content_type.as_deref().unwrap_or("none");
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn redirect(seen: &Seen) -> String {
    let target = seen.location.as_deref().map(|location| Target::read(location, &seen.host).to_string());
    target.unwrap_or_else(|| "nothing".to_owned())
}

/// Hundredths of the words that two texts share (Dice's coefficient over the words with their counts).
fn likeness(one: &[u8], other: &[u8]) -> usize {
    if one == other {
        return 100;
    }
    let (one, other) = (words(one), words(other));
    let total: usize = one.values().sum::<usize>() + other.values().sum::<usize>();
    let shared: usize =
        one.iter().map(|(word, count)| (*count).min(other.get(word).copied().unwrap_or(0))).sum();
    (200 * shared).checked_div(total).unwrap_or(0)
}

fn words(text: &[u8]) -> BTreeMap<&[u8], usize> {
    let mut counts = BTreeMap::new();
    let words =
        text.split(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80).filter(|word| !word.is_empty());
    for word in words.take(WORDS) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, body: &str) -> Seen {
        Seen {
            host: "app.example".into(),
            status,
            content_type: Some("text/html; charset=utf-8".into()),
            location: None,
            body: body.into(),
        }
    }

    fn proxy_404() -> Seen {
        Seen { content_type: Some("text/plain; charset=utf-8".into()), ..page(404, "404 page not found\n") }
    }

    const APP: &str = "<h1>Welcome to nginx</h1> <p>If you see this page, the web server is working.</p>";

    #[test]
    fn the_answer_of_the_task_is_serving() {
        assert_eq!(judge(&page(200, APP), Some(&page(200, APP)), Some(&proxy_404()), &[200]), Ok(()));
    }

    #[test]
    fn proxy_404_is_named_as_such_even_where_404_would_count() {
        for accepted in [&[200][..], &[404]] {
            let judged = judge(&proxy_404(), Some(&page(200, APP)), Some(&proxy_404()), accepted);
            assert_eq!(judged, Err(NotServing::ProxyAnswer { status: 404 }));
        }
    }

    #[test]
    fn a_200_of_somebody_else_is_not_serving() {
        let other = page(200, "<h1>Sign in</h1> <form>Name and password of another application here</form>");
        let judged = judge(&other, Some(&page(200, APP)), Some(&proxy_404()), &[200]);
        assert!(matches!(judged, Err(NotServing::Another { .. })), "{judged:?}");
    }

    #[test]
    fn tokens_and_dates_may_differ_from_answer_to_answer() {
        let with = |token: &str| page(200, &format!("{APP} <input name=csrf value={token}> today"));
        assert_eq!(judge(&with("a1b2c3"), Some(&with("d4e5f6")), None, &[200]), Ok(()));
    }

    #[test]
    fn a_redirect_is_compared_by_its_target() {
        let to = |location: &str| Seen { location: Some(location.into()), ..page(302, "") };
        let accepted = [302];
        assert_eq!(
            judge(&to("https://app.example/login?x=1"), Some(&to("/login?x=2")), None, &accepted),
            Ok(())
        );
        let judged =
            judge(&to("https://app.example/login"), Some(&to("http://app.example/setup")), None, &accepted);
        assert!(matches!(judged, Err(NotServing::Another { .. })), "{judged:?}");
    }

    #[test]
    fn a_redirect_to_localhost_or_to_another_host_is_a_finding() {
        let to = |location: &str| Seen { location: Some(location.into()), ..page(302, "") };
        for (location, host) in [
            ("http://localhost:3000/login", "localhost:3000"),
            ("https://other.example/", "other.example"),
            ("//other.example/", "other.example"),
        ] {
            // The task says the same, so only the target itself can tell.
            let judged = judge(&to(location), Some(&to(location)), None, &[302]).unwrap_err();
            assert!(matches!(&judged, NotServing::Elsewhere { host: to, .. } if to == host), "{judged}");
            assert!(judged.to_string().contains("app.health.path"), "{judged}");
        }
        // A page that is no redirect may carry any location.
        let created = Seen { location: Some("https://other.example/".into()), ..page(201, APP) };
        assert_eq!(judge(&created, Some(&created), None, &[201]), Ok(()));
    }

    #[test]
    fn proxy_that_sends_every_name_to_itself_is_recognised() {
        let from = |host: &str| Seen {
            host: host.into(),
            location: Some(format!("https://{host}/login")),
            ..page(302, "")
        };
        let judged = judge(&from("app.example"), None, Some(&from("nobody.example")), &[302]);
        assert_eq!(judged, Err(NotServing::ProxyAnswer { status: 302 }));
    }

    #[test]
    fn another_status_or_type_is_another_answer() {
        assert!(difference(&page(200, APP), &page(201, APP)).is_some());
        let json = Seen { content_type: Some("application/json".into()), ..page(200, APP) };
        assert!(difference(&page(200, APP), &json).is_some());
        assert!(difference(&page(200, ""), &page(200, APP)).is_some(), "an empty page is not the app's page");
        assert!(difference(&page(200, ""), &page(200, "")).is_none());
    }

    #[test]
    fn a_wrong_status_names_those_that_count() {
        let judged = judge(&page(500, APP), Some(&page(500, APP)), None, &[200, 301]);
        assert_eq!(judged.unwrap_err().to_string(), "status 500; 200, 301 would be serving");
    }
}
