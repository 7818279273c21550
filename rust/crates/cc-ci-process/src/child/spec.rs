//! What is to be run, and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncRead;

use super::host::ChildHost;
use crate::environment::{ABRA_DIR, HOME, LANG, PATH};

/// Where programs are looked for if this program itself has no `PATH`.
const FALLBACK_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a group may take to end after TERM before it is killed. Git and docker clean up within a second or
/// two; abra gets the time to let go of its locks.
const GRACE: Duration = Duration::from_secs(10);

/// How much of each stream is kept in memory. Machine-readable answers are far smaller; a container's whole log
/// is not, and belongs into an evidence file.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// The whole environment of a child: what is not named here, it does not have.
#[derive(Clone)]
pub struct ChildEnvironment {
    variables: BTreeMap<OsString, OsString>,
}

impl ChildEnvironment {
    /// `HOME` and `ABRA_DIR` as given: both differ from run to run, and a service has none that it could hand on.
    /// `PATH` is this program's own; `LANG` is `C.UTF-8`, so that messages read the same on every host.
    pub fn new(home: &Path, abra_dir: &Path) -> Self {
        let path = std::env::var_os(PATH).unwrap_or_else(|| FALLBACK_PATH.into());
        Self { variables: BTreeMap::new() }
            .set(HOME, home)
            .set(ABRA_DIR, abra_dir)
            .set(PATH, path)
            .set(LANG, "C.UTF-8")
    }

    /// Sets one variable.
    #[must_use]
    pub fn set(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Hands one variable of this program on by name, if it is set here (`DOCKER_HOST`, for example).
    #[must_use]
    pub fn inherit(self, name: &str) -> Self {
        match std::env::var_os(name) {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// What a child reads.
#[derive(Default)]
pub enum Input {
    /// Nothing: the end at once. On a terminal, silence.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// Whatever comes from there, then the end.
    Piped(Box<dyn AsyncRead + Send + Unpin>),
}

/// Size of the terminal that a child gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

impl TerminalSize {
    /// So wide that no table of abra is wrapped (abra.md 2: a fixed wide window for every call).
    pub const WIDE: Self = Self { rows: 50, columns: 400 };
}

/// A program to run: an argument vector, never a line for a shell.
pub struct ChildSpec {
    pub(super) label: String,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) environment: ChildEnvironment,
    pub(super) cwd: Option<PathBuf>,
    pub(super) stdin: Input,
    pub(super) terminal: Option<TerminalSize>,
    pub(super) deadline: Duration,
    pub(super) grace: Duration,
    pub(super) kept_bytes: usize,
    pub(super) evidence: Option<PathBuf>,
    pub(super) host: ChildHost,
}

impl ChildSpec {
    /// `label` is what is being done, for people ("deploying notebin to run-1a2b3c.ci.example"); every message begins
    /// with it. After `deadline` the child's group is ended and the exit is "timed out".
    pub fn new(
        label: impl Into<String>,
        program: impl AsRef<OsStr>,
        environment: ChildEnvironment,
        deadline: Duration,
    ) -> Self {
        Self {
            label: label.into(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            environment,
            cwd: None,
            stdin: Input::Null,
            terminal: None,
            deadline,
            grace: GRACE,
            kept_bytes: KEPT_BYTES,
            evidence: None,
            host: ChildHost::default(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The folder it runs in; without it, this program's own.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// What it reads; without it, nothing.
    #[must_use]
    pub fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Gives it a terminal of this size. Both its streams come out as one ([`Output::stdout`]), without control codes.
    ///
    /// [`Output::stdout`]: super::Output::stdout
    #[must_use]
    pub fn terminal(mut self, size: TerminalSize) -> Self {
        self.terminal = Some(size);
        self
    }

    /// How long its group may take to end after TERM before it is killed; without it, ten seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many bytes of each stream are kept (the first half and the last half); without it, 8 MiB.
    /// What is cut is said in its place and in the notes of the output; the lines still all go to the sink.
    #[must_use]
    pub fn keep_at_most(mut self, bytes: usize) -> Self {
        self.kept_bytes = bytes;
        self
    }

    /// Appends all lines, masked, to this file. Its size has the same limit as what is kept.
    #[must_use]
    pub fn evidence(mut self, file: impl Into<PathBuf>) -> Self {
        self.evidence = Some(file.into());
        self
    }

    /// Which executable starts it; see [`ChildHost`].
    #[must_use]
    pub fn host(mut self, host: ChildHost) -> Self {
        self.host = host;
        self
    }
}
