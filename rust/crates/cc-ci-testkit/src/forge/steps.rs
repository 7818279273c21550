//! Processes of a runner's steps: those that were started with a folder of the runner as their home, or that work in it.
//!
//! Found by what the kernel says of each process, never by a name: another program of the same name is somebody else's.

use std::path::Path;

/// A process that still lives; its name is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepProcess {
    /// Its id.
    pub(super) pid: i32,
    /// Its name, for people.
    pub(super) name: String,
}

/// Every living process, but this one, whose `HOME` is below `folder` or whose working folder is. Ended ones that nobody
/// has waited for yet (state Z) are none, and processes of other users, which cannot be looked into, are left out.
///
/// # Errors
/// `/proc` cannot be listed: then nothing is known.
pub(super) fn of_folder(folder: &Path) -> std::io::Result<Vec<StepProcess>> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if u32::try_from(pid).is_ok_and(|pid| pid == own) {
            continue;
        }
        let process = entry.path();
        if belongs(&process, folder) && !is_over(&process) {
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned();
            found.push(StepProcess { pid, name });
        }
    }
    found.sort_by_key(|step| step.pid);
    Ok(found)
}

fn belongs(process: &Path, folder: &Path) -> bool {
    if std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)) {
        return true;
    }
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(b"HOME="))
        .any(|home| Path::new(&*String::from_utf8_lossy(home)).starts_with(folder))
}

fn is_over(process: &Path) -> bool {
    // The state follows the name in parentheses, which may hold anything (proc(5)).
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processes_of_a_folder_are_found_by_home_and_by_working_folder_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::fs::canonicalize(folder.path()).unwrap();
        let start = |home: &Path, cwd: &Path| {
            Command::new("sleep")
                .arg("60")
                .env("HOME", home)
                .current_dir(cwd)
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        let elsewhere = Path::new("/");
        let mut children =
            [start(&inside.join("home"), elsewhere), start(elsewhere, &inside), start(elsewhere, elsewhere)];
        let ids: Vec<i32> = children.iter().map(|child| i32::try_from(child.id()).unwrap()).collect();
        let found: Vec<i32> = of_folder(&inside).unwrap().into_iter().map(|step| step.pid).collect();
        assert_eq!(found, {
            let mut expected = ids[..2].to_vec();
            expected.sort_unstable();
            expected
        });
        for child in &mut children[..2] {
            child.kill().unwrap();
        }
        // Ended and not waited for: no longer a process that does anything.
        children[0].wait().unwrap();
        children[1].wait().unwrap();
        assert_eq!(of_folder(&inside).unwrap(), []);
        children[2].kill().unwrap();
        children[2].wait().unwrap();
    }
}
