//! Keeps the index up: by file events at once, and by looking at everything again in case one was missed.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cc_ci_model::names::RunId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::index::Index;

/// Unfinished runs whose folders are watched; others wait for the next look at everything.
const MOST_WATCHES: usize = 256;

/// Ends its thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // The other end sees that this one is closed.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(code = "watch-broke", "the thread that follows run folders broke off");
        }
    }
}

/// Follows the folders of an index that has been scanned once.
///
/// # Errors
/// No thread or no socket pair can be had.
pub(crate) fn start(index: Arc<Index>, rescan: Duration) -> std::io::Result<Watching> {
    let (stop, stopped) = UnixStream::pair()?;
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        follow(&index, rescan, &stopped);
    })?;
    Ok(Watching { stop: Some(stop), thread: Some(thread) })
}

fn follow(index: &Index, rescan: Duration, stopped: &UnixStream) {
    let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
    if let Err(error) = &events {
        tracing::warn!(
            code = "no-file-events",
            "asking for file events: {error}; folders are looked at every {rescan:?} only"
        );
    }
    let mut watches = Watches { events: events.ok(), by_number: HashMap::new() };
    watches.roots(index);
    let mut next = Instant::now() + rescan;
    // What changed between the first scan and the watches.
    index.scan();
    loop {
        watches.unfinished(index);
        let left = next.saturating_duration_since(Instant::now()).as_millis();
        let left = PollTimeout::try_from(left.min(60_000)).unwrap_or(PollTimeout::MAX);
        let mut handles = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        if let Some(events) = &watches.events {
            handles.push(PollFd::new(events.as_fd(), PollFlags::POLLIN));
        }
        let polled = poll(&mut handles, left);
        let is_stopped = handles.first().and_then(PollFd::any).unwrap_or(false);
        if is_stopped || polled.is_err_and(|error| error != nix::Error::EINTR) {
            return;
        }
        let lost = watches.renew(index);
        if lost || Instant::now() >= next {
            watches.roots(index);
            index.scan();
            next = Instant::now() + rescan;
        }
    }
}

/// What a watch is on.
enum Place {
    Root,
    Run(RunId),
}

struct Watches {
    events: Option<Inotify>,
    by_number: HashMap<WatchDescriptor, Place>,
}

impl Watches {
    /// Watches the folders of runs; one that was made anew is watched anew.
    fn roots(&mut self, index: &Index) {
        let Some(events) = &self.events else { return };
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        for root in &index.roots.0 {
            if let Ok(number) = events.add_watch(root, flags) {
                self.by_number.insert(number, Place::Root);
            }
        }
    }

    /// Watches the folders of unfinished runs, and those alone: watches are few on a host.
    fn unfinished(&mut self, index: &Index) {
        let Some(events) = &self.events else { return };
        let wanted: Vec<RunId> =
            index.look().unfinished().take(MOST_WATCHES).map(|entry| entry.id.clone()).collect();
        let over: Vec<WatchDescriptor> = self
            .by_number
            .iter()
            .filter(|(_, place)| matches!(place, Place::Run(id) if !wanted.contains(id)))
            .map(|(number, _)| *number)
            .collect();
        for number in over {
            // It fails where the folder is gone, and the watch with it.
            let _ = events.rm_watch(number);
            self.by_number.remove(&number);
        }
        let watched = |id: &RunId, by_number: &HashMap<WatchDescriptor, Place>| {
            by_number.values().any(|place| matches!(place, Place::Run(known) if known == id))
        };
        // The log grows; the result is replaced.
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        for id in wanted {
            if watched(&id, &self.by_number) {
                continue;
            }
            let folder = index.roots.0.iter().map(|root| root.join(id.as_str())).find(|path| path.is_dir());
            if let Some(number) = folder.and_then(|path| events.add_watch(&path, flags).ok()) {
                self.by_number.insert(number, Place::Run(id.clone()));
                // Between the last look and the watch it may have ended.
                index.renew(&id);
            }
        }
    }

    /// Looks at the runs that events are about. True: events were lost.
    fn renew(&mut self, index: &Index) -> bool {
        let Some(events) = &self.events else { return false };
        let mut lost = false;
        let mut is_run = false;
        while let Ok(batch) = events.read_events() {
            for event in batch {
                lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                    self.by_number.remove(&event.wd);
                    continue;
                }
                is_run |= matches!(self.by_number.get(&event.wd), Some(Place::Run(_)));
                let name = event.name.as_ref().and_then(|name| name.to_str());
                match self.by_number.get(&event.wd) {
                    Some(Place::Root) => {
                        if let Some(id) = name.and_then(|name| RunId::parse(name).ok()) {
                            index.renew(&id);
                        }
                    }
                    Some(Place::Run(id)) if name == Some("result.json") => index.renew(&id.clone()),
                    Some(Place::Run(_)) | None => {}
                }
            }
        }
        if is_run || lost {
            index.tell();
        }
        lost
    }
}
