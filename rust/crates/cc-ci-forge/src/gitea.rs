//! Gitea as the bridge needs it: changed pull requests, comments, membership, heads, answers, statuses.
//!
//! Facts are of Gitea 1.25.4, tried; the pages of its API are `/api/swagger` of any instance.

use cc_ci_model::bridge::head::{Move, TimedMove};
use cc_ci_model::bridge::intent::StatusState;
use cc_ci_model::names::CommitSha;
use cc_ci_process::mask::SecretValue;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::http::{Api, ForgeError};

/// Most entries of a page (`/settings/api`, `max_response_items`).
const PAGE: usize = 50;
/// Pages after which a list is given up: an organisation with so many open pull requests has another problem.
const PAGES: usize = 200;

/// A Gitea with the bot's token.
pub struct Gitea {
    api: Api,
}

/// Somebody at the forge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its number, which never changes.
    pub id: u64,
    /// Its name, which may.
    pub login: String,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// Its first author: whoever may write may edit it, and this stays.
    pub user: User,
    /// Its text.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When its text was changed last.
    pub updated_at: Timestamp,
}

/// A pull request that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// `<owner>/<name>`.
    pub repository: String,
    /// Its number.
    pub pr: u32,
}

/// What changed, and the forge's clock when it was asked.
#[derive(Debug)]
pub struct Changes {
    /// The pull requests.
    pub pulls: Vec<Changed>,
    /// Its clock, where it says.
    pub at: Option<Timestamp>,
}

/// What may be known about somebody's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Is a member.
    Yes,
    /// Is none.
    No,
    /// The bot may not know: it is no member itself (303).
    Hidden,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Whether it is open.
    pub is_open: bool,
    /// The commit at its head.
    pub head: CommitSha,
    /// Where the base repository is cloned from; it has a fork's commits, too.
    pub source: String,
}

#[derive(Deserialize)]
struct FoundComment {
    id: u64,
    user: Option<FoundUser>,
    body: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Somebody whose account was deleted has the number -1.
#[derive(Deserialize)]
struct FoundUser {
    id: i64,
    login: String,
}

impl FoundComment {
    /// A comment of nobody is nobody's wish.
    fn by_somebody(self) -> Option<Comment> {
        let user = self.user?;
        let user = User { id: u64::try_from(user.id).ok()?, login: user.login };
        let body = self.body.unwrap_or_default();
        Some(Comment { id: self.id, user, body, created_at: self.created_at, updated_at: self.updated_at })
    }
}

#[derive(Deserialize)]
struct FoundIssue {
    number: u32,
    repository: FoundRepository,
}

#[derive(Deserialize)]
struct FoundRepository {
    full_name: String,
}

#[derive(Deserialize)]
struct FoundPull {
    state: String,
    head: FoundHead,
    base: FoundBase,
}

#[derive(Deserialize)]
struct FoundHead {
    sha: String,
}

#[derive(Deserialize)]
struct FoundBase {
    repo: Option<FoundSource>,
}

#[derive(Deserialize)]
struct FoundSource {
    clone_url: String,
}

#[derive(Deserialize)]
struct FoundMove {
    #[serde(rename = "type")]
    kind: String,
    created_at: Timestamp,
    body: Option<String>,
}

#[derive(Deserialize)]
struct Pushed {
    commit_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Made {
    id: u64,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
}

impl Gitea {
    /// The Gitea at `address`.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str, token: SecretValue) -> Result<Self, ForgeError> {
        Ok(Self { api: Api::new(address, "/api/v1", token)? })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// The token is not valid, or nobody answers.
    pub async fn me(&self) -> Result<User, ForgeError> {
        self.api.ask(Method::GET, &["user"], &[], None).await?.json()
    }

    /// The open pull requests of an organisation that changed since, with a new comment, push or review: one request
    /// while they fit on a page.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn changed(&self, organisation: &str, since: Timestamp) -> Result<Changes, ForgeError> {
        let mut changes = Changes { pulls: Vec::new(), at: None };
        for page in 1..=PAGES {
            let query = [
                ("type", "pulls".to_owned()),
                ("owner", organisation.to_owned()),
                ("state", "open".to_owned()),
                ("since", whole_seconds(since)),
                ("limit", PAGE.to_string()),
                ("page", page.to_string()),
            ];
            let answer = self.api.ask(Method::GET, &["repos", "issues", "search"], &query, None).await?;
            changes.at = changes.at.or(answer.date);
            let found: Option<Vec<FoundIssue>> = answer.json()?;
            let found = found.unwrap_or_default();
            let count = found.len();
            changes.pulls.extend(
                found
                    .into_iter()
                    .map(|issue| Changed { repository: issue.repository.full_name, pr: issue.number }),
            );
            if count < PAGE {
                break;
            }
        }
        Ok(changes)
    }

    /// The comments of a pull request that were written or changed since; all of them without a time.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn comments(
        &self,
        repository: &str,
        pr: u32,
        since: Option<Timestamp>,
    ) -> Result<Vec<Comment>, ForgeError> {
        let query: Vec<_> = since.iter().map(|since| ("since", whole_seconds(*since))).collect();
        let number = pr.to_string();
        let path = ["repos", repository, "issues", &number, "comments"];
        let found: Option<Vec<FoundComment>> =
            self.api.ask(Method::GET, &path, &query, None).await?.json()?;
        Ok(found.into_iter().flatten().filter_map(FoundComment::by_somebody).collect())
    }

    /// Whether somebody is a member of an organisation. Only 204 is a yes; a redirect is followed by nobody.
    ///
    /// # Errors
    /// Nobody answers, or the token may not ask.
    pub async fn membership(&self, organisation: &str, login: &str) -> Result<Membership, ForgeError> {
        let path = ["orgs", organisation, "members", login];
        let answer = self.api.ask(Method::GET, &path, &[], None).await?;
        match answer.status {
            204 => Ok(Membership::Yes),
            404 => Ok(Membership::No),
            300..=399 => Ok(Membership::Hidden),
            _ => {
                let what = answer.what.clone();
                answer.good()?;
                Err(ForgeError::Malformed { what, cause: "a yes that is no 204".to_owned() })
            }
        }
    }

    /// Whether somebody may write to a repository, where the token may ask; else no.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn may_write(&self, repository: &str, login: &str) -> Result<bool, ForgeError> {
        let path = ["repos", repository, "collaborators", login, "permission"];
        let answer = self.api.ask(Method::GET, &path, &[], None).await?;
        if matches!(answer.status, 401..=404) {
            return Ok(false);
        }
        let found: Permission = answer.json()?;
        Ok(matches!(found.permission.as_str(), "write" | "admin" | "owner"))
    }

    /// A pull request.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn pull(&self, repository: &str, pr: u32) -> Result<Pull, ForgeError> {
        let number = pr.to_string();
        let path = ["repos", repository, "pulls", &number];
        let answer = self.api.ask(Method::GET, &path, &[], None).await?;
        let what = answer.what.clone();
        let malformed = |cause: String| ForgeError::Malformed { what: what.clone(), cause };
        let found: FoundPull = answer.json()?;
        let head = CommitSha::parse(&found.head.sha).map_err(|error| malformed(error.to_string()))?;
        let source = found.base.repo.ok_or_else(|| malformed("it has no base repository".to_owned()))?;
        Ok(Pull { is_open: found.state == "open", head, source: source.clone_url })
    }

    /// The moves of a pull request's head, oldest first.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn moves(&self, repository: &str, pr: u32) -> Result<Vec<TimedMove>, ForgeError> {
        let number = pr.to_string();
        let path = ["repos", repository, "issues", &number, "timeline"];
        // Without a page all entries come; `limit` alone does not count.
        let found: Option<Vec<FoundMove>> = self.api.ask(Method::GET, &path, &[], None).await?.json()?;
        let moves = found.unwrap_or_default().into_iter().filter_map(|entry| {
            let what = match entry.kind.as_str() {
                "pull_push" => {
                    let pushed: Option<Pushed> =
                        serde_json::from_str(entry.body.as_deref().unwrap_or_default()).ok();
                    let head = pushed.and_then(|pushed| CommitSha::parse(pushed.commit_ids.last()?).ok());
                    // A push that cannot be read is one whose head nobody knows.
                    head.map_or(Move::Other, Move::Push)
                }
                "close" | "reopen" | "change_target_branch" => Move::Other,
                _ => return None,
            };
            Some(TimedMove { at: entry.created_at, what })
        });
        Ok(moves.collect())
    }

    /// Whether a repository still has a commit.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn has_commit(&self, repository: &str, commit: &CommitSha) -> Result<bool, ForgeError> {
        let path = ["repos", repository, "git", "commits", commit.as_str()];
        let answer = self.api.ask(Method::GET, &path, &[], None).await?;
        if answer.status == 404 { Ok(false) } else { answer.good().map(|_| true) }
    }

    /// Posts a comment and returns its number.
    ///
    /// # Errors
    /// It may not (locked: 403, archived: 423), or nobody answers.
    pub async fn post_comment(&self, repository: &str, pr: u32, text: &str) -> Result<u64, ForgeError> {
        let number = pr.to_string();
        let path = ["repos", repository, "issues", &number, "comments"];
        let made: Made =
            self.api.ask(Method::POST, &path, &[], Some(&json!({"body": text}))).await?.json()?;
        Ok(made.id)
    }

    /// Replaces a comment's text.
    ///
    /// # Errors
    /// It is gone (404) or somebody else's (403), or nobody answers.
    pub async fn edit_comment(&self, repository: &str, comment: u64, text: &str) -> Result<(), ForgeError> {
        let id = comment.to_string();
        let path = ["repos", repository, "issues", "comments", &id];
        self.api.ask(Method::PATCH, &path, &[], Some(&json!({"body": text}))).await?.good().map(|_| ())
    }

    /// Sets the status of a commit.
    ///
    /// # Errors
    /// The token may not (403), the commit is unknown (500), or nobody answers.
    pub async fn set_status(
        &self,
        repository: &str,
        commit: &CommitSha,
        state: StatusState,
        context: &str,
        description: &str,
        link: Option<&str>,
    ) -> Result<(), ForgeError> {
        let path = ["repos", repository, "statuses", commit.as_str()];
        let body = json!({"state": state.word(), "context": context, "description": description,
            "target_url": link.unwrap_or_default()});
        self.api.ask(Method::POST, &path, &[], Some(&body)).await?.good().map(|_| ())
    }
}

/// Gitea counts in whole seconds, inclusive.
fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
