//! The one thread that starts all children.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use pty_process::blocking::Pts;
use tokio::sync::oneshot;

use super::group::{Group, Leader};

/// A child that has just been started. Dropping it kills its group.
pub(super) struct Born {
    pub(super) group: Group,
    pub(super) leader: Leader,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread; `None` until the first child.
static STARTER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

/// Starts `command` in a group of its own, on the terminal if there is one.
///
/// The kernel sends the parent-death signal when the *thread* that forked ends, not the process (`prctl(2)`). A
/// thread of an async runtime's pool may end at any time, so one thread that lives as long as the program forks
/// for all.
pub(super) async fn start(command: Command, terminal: Option<Pts>) -> io::Result<Born> {
    let (answer, started) = oneshot::channel();
    // Where the asker has gone meanwhile, the answer is dropped, and the child killed with it.
    send(Box::new(move || drop(answer.send(spawn(command, terminal)))))?;
    started.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts children is gone")))
}

fn spawn(mut command: Command, terminal: Option<Pts>) -> io::Result<Born> {
    let mut child = match terminal {
        // A session of its own comes with a group of its own.
        Some(terminal) => {
            pty_process::blocking::Command::from(command).spawn(terminal).map_err(|error| match error {
                pty_process::Error::Io(error) => error,
                error @ pty_process::Error::Rustix(_) => io::Error::other(error.to_string()),
            })?
        }
        None => command.process_group(0).spawn()?,
    };
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let (group, leader) = Group::of(child)?;
    Ok(Born { group, leader, stdin, stdout, stderr })
}

fn send(job: Job) -> io::Result<()> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    let jobs = match starter.take() {
        Some(jobs) => jobs,
        None => {
            let (jobs, asked) = mpsc::channel::<Job>();
            thread::Builder::new().name("child-starter".to_owned()).spawn(move || {
                for job in asked {
                    job();
                }
            })?;
            jobs
        }
    };
    let sent = jobs.send(job);
    *starter = Some(jobs);
    sent.map_err(|_| io::Error::other("the thread that starts children is gone"))
}
