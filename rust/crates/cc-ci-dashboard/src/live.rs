//! A run while it happens: its new log lines and its story, sent as server-sent events as its files change.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use cc_ci_model::dashboard::{Live, RunFile};
use cc_ci_model::names::RunId;
use cc_ci_model::result::{RunResult, RunState};
use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::folder::{self, FolderError, LONGEST_RESULT, Stamp};
use crate::index::Index;
use crate::{log_text, run_page};

/// Files are looked at this often where no event says that they changed. A browser sees in the same time that its server
/// is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Of a log that is far ahead of its reader, this much is sent at once.
const PIECE: usize = 256 * 1024;

/// One reader of one run.
pub(crate) struct Following {
    index: Arc<Index>,
    id: RunId,
    folder: OwnedFd,
    log: Option<File>,
    place: Live,
    stamp: Stamp,
    changes: watch::Receiver<()>,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Following {
    /// Follows a run from a place in its log on.
    ///
    /// # Errors
    /// The folder is gone.
    pub(crate) fn begin(
        index: Arc<Index>,
        id: RunId,
        place: Live,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, FolderError> {
        let folder = index.roots.open(&id)?;
        let changes = index.changes();
        let (log, stamp) = (None, Stamp::default());
        Ok(Self { index, id, folder, log, place, stamp, changes, is_over: false, _permit: permit })
    }

    /// Everything that is new, again and again, up to the end of the run.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let news = stream::unfold(self, |mut this| async move {
            if this.is_over {
                return None;
            }
            loop {
                let found = this.news();
                if !found.is_empty() {
                    return Some((stream::iter(found.into_iter().map(Ok)), this));
                }
                this.wait().await;
            }
        });
        futures_util::StreamExt::flatten(news)
    }

    /// Waits until something in a folder of an unfinished run changed, or for [`LOOK_AGAIN`].
    async fn wait(&mut self) {
        // Either way everything is looked at again.
        let _ = tokio::time::timeout(LOOK_AGAIN, self.changes.changed()).await;
    }

    /// What is new since the last look. The log first: a result that says "finished" has its whole log before it.
    fn news(&mut self) -> Vec<Event> {
        let stamp = folder::stamp(&self.folder);
        let result = (stamp != self.stamp).then(|| self.result());
        let mut news = Vec::new();
        match self.lines() {
            Some(lines) => news.extend(lines),
            // It was replaced or cut: the page is made anew.
            None => return self.end(),
        }
        match result {
            None => {}
            Some(None) => return self.end(),
            Some(Some(result)) if result.run.state != RunState::Running => news.extend(self.end()),
            Some(Some(result)) => {
                self.stamp = stamp;
                let story = run_page::facts(&self.id, &result).into_string().replace('\r', "");
                news.push(Event::default().event("story").data(story));
            }
        }
        news
    }

    fn end(&mut self) -> Vec<Event> {
        self.is_over = true;
        vec![Event::default().event("end").data("reload")]
    }

    /// The result, if it may be shown.
    fn result(&self) -> Option<RunResult> {
        let bytes = folder::read(&self.folder, &RunFile::Result, LONGEST_RESULT).ok()?;
        let result = RunResult::read(std::str::from_utf8(&bytes).ok()?).ok()?;
        let is_known = self.index.look().run(&self.id).is_some();
        (is_known && result.run.id == self.id && result.redaction.leaks == 0).then_some(result)
    }

    /// Whole lines that were added to the log; `None` where the log is no longer the one it was.
    fn lines(&mut self) -> Option<Option<Event>> {
        if self.log.is_none() {
            self.log = match folder::open_growing(&self.folder, &RunFile::Log) {
                Ok(log) => Some(log),
                Err(FolderError::Missing) => return Some(None),
                Err(_) => return None,
            };
        }
        let log = self.log.as_ref()?;
        let size = nix::sys::stat::fstat(log.as_fd()).ok()?.st_size;
        let behind = u64::try_from(size).unwrap_or(0).checked_sub(self.place.offset)?;
        let mut bytes = vec![0; usize::try_from(behind).unwrap_or(PIECE).min(PIECE)];
        let read = log.read_at(&mut bytes, self.place.offset).ok()?;
        bytes.truncate(read);
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            // A line without an end that fills the piece is sent as it is.
            None if bytes.len() == PIECE => bytes.len(),
            None => return Some(None),
        };
        let text = String::from_utf8_lossy(bytes.get(..whole)?).into_owned();
        let html = log_text::bare_lines(&text, self.place.line).into_string();
        self.place.offset += u64::try_from(whole).ok()?;
        self.place.line += text.lines().count();
        Some(Some(Event::default().event("log").id(self.place.to_string()).data(html)))
    }
}
