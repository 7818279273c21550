//! Trimming the folders of runs that are over.

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::sweep::{Code, FolderFacts, FolderState, Liveness, Retention, trim as decide};
use cc_ci_process::alive::liveness;
use cc_ci_swarm::traces::{Content, Folder};

use crate::diary::Diary;
use crate::host::Host;
use crate::sweep::Mode;

/// Removes the folders that are kept no longer.
pub(crate) fn trim(host: &Host, mode: Mode, folders: &[Folder], diary: &mut Diary) {
    let keep = host.settings.keep;
    let retention = Retention { per_recipe: keep.runs_per_recipe, keep_for: keep.runs_for.into() };
    let facts: Vec<FolderFacts> = folders.iter().map(facts).collect();
    for gone in decide(&facts, &retention, jiff::Timestamp::now()) {
        let root = host.paths.runs.join(gone.id.as_str());
        diary.say(Code::TrimRunFolder, gone.id.as_str(), gone.reason);
        if mode == Mode::DryRun || liveness(&root) != Liveness::Dead {
            continue;
        }
        // Under a name that is no run's first: a removal that is killed half-way leaves no half folder to be read.
        let aside = host.paths.runs.join(format!(".{}.gone", gone.id));
        let removed = std::fs::rename(&root, &aside).and_then(|()| std::fs::remove_dir_all(&aside));
        if let Err(error) = removed {
            diary.say(Code::Warn, gone.id.as_str(), format!("removing {}: {error}", root.display()));
        }
    }
    if mode == Mode::Real {
        remove_halves(host, diary);
        remove_half_written(host, diary);
    }
}

/// What a writer that was killed has left beside its file (`cc_ci_process::atomic`): nobody reads it, and nobody writes for
/// so long.
fn remove_half_written(host: &Host, diary: &mut Diary) {
    for folder in [host.paths.state.clone(), host.paths.state.join("stacks")] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let modified = entry.metadata().and_then(|found| found.modified());
            let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Retention::GRACE));
            if name.starts_with('.')
                && name.ends_with(".new")
                && is_old
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                diary.say(Code::Warn, name, format!("removing {}: {error}", entry.path().display()));
            }
        }
    }
}

fn remove_halves(host: &Host, diary: &mut Diary) {
    for entry in std::fs::read_dir(&host.paths.runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.')
            && name.ends_with(".gone")
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            diary.say(Code::Warn, name, format!("removing {}: {error}", entry.path().display()));
        }
    }
}

fn facts(folder: &Folder) -> FolderFacts {
    let may_live = folder.trace.liveness != Liveness::Dead || folder.trace.state == FolderState::Running;
    let (recipe, is_green, ended) = match &folder.content {
        Content::Result(result) => (
            Some(result.request.recipe.clone()),
            result.verdict == Some(VerdictWord::Pass),
            result.run.finished.as_deref().and_then(|text| text.parse().ok()),
        ),
        Content::Nothing | Content::Unreadable => (None, false, None),
    };
    FolderFacts { id: folder.trace.id.clone(), recipe, is_green, ended, may_live }
}
