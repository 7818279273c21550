//! The verb `__child`, by which a program of ours becomes the child it is to run.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use super::spec::{ChildEnvironment, ChildSpec};
use crate::environment::PATH;
use crate::exit::ExitStatus;
use crate::parent::ParentBond;

/// First argument of a program of ours that is to become a child.
const VERB: &str = "__child";

/// Whether `main` of this process knows the verb. Re-executing a program that does not know it would run something
/// else altogether (a test binary would run no test and be content).
static VERB_IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// Which executable starts a child.
///
/// The parent-death signal can be armed only inside the new process, between fork and exec, where own code is
/// `unsafe`. So the child is first this program itself, called with the verb `__child`, which arms the signal, looks
/// whether its parent is still there, and then executes what was asked for. The group is the child's own from before
/// that moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildHost(Kind);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Automatic,
    CurrentExe,
    At(PathBuf),
    Direct,
}

impl ChildHost {
    /// This program itself; its `main` has to call [`intercept`] first.
    ///
    /// It is found as `/proc/self/exe`, so it is the very same file even if it was replaced on disk meanwhile.
    pub fn current_exe() -> Self {
        Self(Kind::CurrentExe)
    }

    /// Another program whose `main` calls [`intercept`] first.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Kind::At(path.into()))
    }

    /// No program of ours in between: own group and everything else as always, but **no death signal**, so a child
    /// outlives a parent that is killed with SIGKILL.
    ///
    /// The default in a process whose `main` has not called [`intercept`], such as a test binary.
    pub fn direct() -> Self {
        Self(Kind::Direct)
    }

    /// The executable with the verb; `None` for none.
    fn executable(&self) -> Option<&Path> {
        let own = Path::new("/proc/self/exe");
        match &self.0 {
            Kind::Automatic => VERB_IS_KNOWN.load(Ordering::Relaxed).then_some(own),
            Kind::CurrentExe => Some(own),
            Kind::At(path) => Some(path),
            Kind::Direct => None,
        }
    }

    /// The command for the program that was found at `program`, with arguments, environment and folder.
    pub(super) fn command(&self, spec: &ChildSpec, program: &Path) -> Command {
        let mut command = match self.executable() {
            None => Command::new(program),
            Some(executable) => {
                let mut command = Command::new(executable);
                command.arg(VERB).arg(std::process::id().to_string()).arg(program);
                command
            }
        };
        command.args(&spec.args).env_clear().envs(spec.environment.iter());
        if let Some(folder) = &spec.cwd {
            command.current_dir(folder);
        }
        command
    }
}

/// To be called first thing in `main`, with all arguments and the program's name before them. `Some` means: this
/// process was to become a child and could not; leave with that status.
///
/// ```no_run
/// fn main() -> cc_ci_process::exit::ExitStatus {
///     if let Some(status) = cc_ci_process::child::intercept(std::env::args_os()) {
///         return status;
///     }
///     cc_ci_process::exit::ExitStatus::Good
/// }
/// ```
pub fn intercept(args: impl IntoIterator<Item = OsString>) -> Option<ExitStatus> {
    VERB_IS_KNOWN.store(true, Ordering::Relaxed);
    let mut args = args.into_iter().skip(1);
    if args.next().as_deref() != Some(OsStr::new(VERB)) {
        return None;
    }
    let parent = args.next().and_then(|parent| parent.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        complain("__child: wants the number of its parent and a program with its arguments");
        return Some(ExitStatus::Usage);
    };
    Some(become_child(ParentBond::expecting(parent), &program, args))
}

fn become_child(bond: ParentBond, program: &OsStr, args: impl Iterator<Item = OsString>) -> ExitStatus {
    // KILL, because the program that is started may ignore anything else. The order closes the gap in which the
    // parent dies before the signal is armed.
    if let Err(error) = bond.arm(Signal::SIGKILL) {
        complain(&error.to_string());
        return ExitStatus::Trouble;
    }
    if bond.parent_is_gone() {
        return ExitStatus::Cancelled;
    }
    let error = Command::new(program).args(args).exec();
    complain(&format!("cannot start {}: {error}", Path::new(program).display()));
    ExitStatus::Trouble
}

/// Says it on stderr, which is the parent's pipe. If that is gone, nobody is left to tell.
fn complain(what: &str) {
    drop(writeln!(std::io::stderr(), "{what}"));
}

/// Finds the program as the child would, in the child's own `PATH`; a name with a slash is taken from its folder.
pub(super) fn find_program(
    program: &OsStr,
    environment: &ChildEnvironment,
    cwd: Option<&Path>,
) -> Option<PathBuf> {
    let here = match cwd {
        Some(folder) => std::path::absolute(folder).ok()?,
        None => std::env::current_dir().ok()?,
    };
    let is_program =
        |path: &PathBuf| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(here.join(program)).filter(is_program);
    }
    std::env::split_paths(environment.get(PATH)?)
        .map(|folder| here.join(folder).join(program))
        .find(is_program)
}
