//! A copy of the workspace in which tests are compiled and run, with the compiled third-party crates of this one.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cc_ci_testkit::patience;
use fs2::FileExt;

/// One test is over by then, also where it waits for what the defect keeps from coming.
const LIMIT: Duration = Duration::from_secs(300);

/// How the one test ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TestEnd {
    /// It failed.
    Red,
    /// It passed.
    Green,
    /// It did not run, or hung.
    Neither(String),
}

/// The copy; it goes with this value. Its path is always the same, so that building it again and again fills no disk.
pub(crate) struct Copied {
    folder: PathBuf,
    target: PathBuf,
    _lock: File,
}

/// A compiled test program of the copy.
pub(crate) struct Tests {
    path: PathBuf,
    package: PathBuf,
}

/// All files below a folder, without what was built.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true if path.ends_with("target") || path.ends_with(".git") => {}
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.into_iter()
}

impl Copied {
    pub(crate) fn of(root: &Path) -> Self {
        // <target>/debug/deps/<this test>
        let own = std::env::current_exe().unwrap();
        let target = own.ancestors().nth(3).unwrap().to_owned();
        let lock = File::create(target.join("defects.lock")).unwrap();
        lock.lock_exclusive().unwrap();
        let folder = target.join("defects");
        let copied = Self { folder, target, _lock: lock };
        // One that was killed left its own.
        copied.remove();
        for part in ["rust", "docs", "recipes"] {
            for path in files(&root.join(part)) {
                let to = copied.folder.join(path.strip_prefix(root).unwrap());
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(&path, to).unwrap();
            }
        }
        copied
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Compiles a test program; what the compiler said where it cannot.
    pub(crate) fn build(&self, package: &str, program: Option<&str>) -> Result<Tests, String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--offline", "--no-run", "--message-format=json-render-diagnostics"]);
        cargo.args(["--package", package]);
        match program {
            Some(program) => cargo.args(["--test", program]),
            None => cargo.arg("--lib"),
        };
        // Of the package that this test is in; build scripts that watch these would run again.
        for (name, _) in std::env::vars().filter(|(name, _)| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
        }) {
            cargo.env_remove(name);
        }
        cargo.env("CARGO_TARGET_DIR", &self.target).current_dir(self.folder.join("rust"));
        let built = cargo.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        let messages = String::from_utf8_lossy(&built.stdout);
        let wanted = program.map_or_else(|| package.replace('-', "_"), str::to_owned);
        let executable = messages.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_it = message["profile"]["test"] == true && message["target"]["name"] == wanted.as_str();
            let path = message["executable"].as_str().map(PathBuf::from);
            if is_it { path } else { None }
        });
        match executable {
            Some(path) if built.status.success() => {
                Ok(Tests { path, package: self.folder.join("rust/crates").join(package) })
            }
            _ => Err(said),
        }
    }

    fn remove(&self) {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Tests {
    /// Runs one test in a process namespace of its own: what a test with a defect leaves behind ends with it.
    pub(crate) fn run(&self, test: &str) -> TestEnd {
        let mut command = in_namespace(&self.path);
        command.args(["--exact", test]).current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        let output = tempfile::NamedTempFile::new().unwrap();
        let both = output.reopen().unwrap();
        let mut child =
            command.stdin(Stdio::null()).stdout(both.try_clone().unwrap()).stderr(both).spawn().unwrap();
        let ended =
            patience::until("the test's end", LIMIT, Duration::from_millis(20), || match child.try_wait() {
                Ok(Some(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            });
        if ended.is_err() {
            // With it goes the whole namespace.
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let said = std::fs::read_to_string(output.path()).unwrap();
        if said.contains("test result: FAILED. 0 passed; 1 failed;") {
            TestEnd::Red
        } else if said.contains("test result: ok. 1 passed;") {
            TestEnd::Green
        } else {
            TestEnd::Neither(said)
        }
    }
}

/// The program in a process namespace of its own; without one where the kernel forbids it to normal users.
fn in_namespace(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-current-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    let words: Vec<OsString> = command.get_args().map(ToOwned::to_owned).collect();
    match Command::new("unshare").args(words).arg("true").status() {
        Ok(status) if status.success() => {
            command.arg(program);
            command
        }
        _ => Command::new(program),
    }
}
