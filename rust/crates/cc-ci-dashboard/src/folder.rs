//! Reading of run folders that may hold anything: by handle, within bounds, and never through a link.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cc_ci_model::dashboard::{Entry, RunFile, Unreadable};
use cc_ci_model::names::RunId;
use cc_ci_model::tier::Tier;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// No `result.json` of cc-ci comes near this size.
pub const LONGEST_RESULT: u64 = 4 * 1024 * 1024;

/// What is sent of one file at most; runs bound their own output below this.
pub const LONGEST_FILE: u64 = 32 * 1024 * 1024;

/// Names that are listed of one tier's folder at most.
const MOST_NAMES: usize = 200;

/// Why a file is not shown.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no such file or folder.
    #[error("there is no such file")]
    Missing,
    /// A link, a pipe, a device, a folder.
    #[error("it is no plain file, and nothing else is opened")]
    NotPlain,
    /// Larger than the bound.
    #[error("it has {0} bytes, more than is shown")]
    TooLarge(u64),
    /// The kernel refused.
    #[error("the kernel says: {0}")]
    Kernel(#[from] nix::Error),
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    inode: u64,
    bytes: i64,
    seconds: i64,
    nanoseconds: i64,
}

/// The folders that hold run folders. The first one that has a run is the one it is read from.
#[derive(Debug, Clone)]
pub struct Roots(pub Vec<PathBuf>);

impl Roots {
    /// The ids of all runs, with the root each is read from. Names that are no ids are not runs.
    #[must_use]
    pub fn ids(&self) -> Vec<(RunId, usize)> {
        let mut found = std::collections::BTreeMap::new();
        for (place, root) in self.0.iter().enumerate() {
            let Ok(names) = std::fs::read_dir(root) else { continue };
            for name in names.flatten().map(|entry| entry.file_name()) {
                if let Some(id) = name.to_str().and_then(|name| RunId::parse(name).ok()) {
                    found.entry(id).or_insert(place);
                }
            }
        }
        found.into_iter().collect()
    }

    /// Opens a run's folder.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn open(&self, id: &RunId) -> Result<OwnedFd, FolderError> {
        let mut last = FolderError::Missing;
        for root in &self.0 {
            match open_in(root, id) {
                Err(FolderError::Missing) => {}
                Err(error) => last = error,
                Ok(folder) => return Ok(folder),
            }
        }
        Err(last)
    }
}

fn open_in(root: &Path, id: &RunId) -> Result<OwnedFd, FolderError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(root, flags, Mode::empty()).map_err(of_kernel)?;
    openat(root, id.as_str(), flags | OFlag::O_NOFOLLOW, Mode::empty()).map_err(of_kernel)
}

fn of_kernel(error: nix::Error) -> FolderError {
    match error {
        nix::Error::ENOENT => FolderError::Missing,
        nix::Error::ELOOP | nix::Error::ENOTDIR | nix::Error::ENXIO => FolderError::NotPlain,
        other => FolderError::Kernel(other),
    }
}

/// Opens a file below a run's folder, part by part, so that no link on the way is followed.
fn open_file(folder: &OwnedFd, file: &RunFile) -> Result<(File, FileStat), FolderError> {
    let parts = file.parts();
    let (name, folders) = parts.split_last().ok_or(FolderError::Missing)?;
    let mut at = folder.try_clone().map_err(|_| FolderError::Missing)?;
    for part in folders {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        at = openat(&at, *part, flags, Mode::empty()).map_err(of_kernel)?;
    }
    // Without O_NONBLOCK the opening of a pipe would wait for a writer.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = openat(&at, *name, flags, Mode::empty()).map_err(of_kernel)?;
    let stat = fstat(opened.as_fd())?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(FolderError::NotPlain);
    }
    Ok((File::from(opened), stat))
}

/// Reads a file of a run, at most `longest` bytes of it.
///
/// # Errors
/// [`FolderError`]: not there, no plain file, too large.
pub fn read(folder: &OwnedFd, file: &RunFile, longest: u64) -> Result<Vec<u8>, FolderError> {
    let (opened, stat) = open_file(folder, file)?;
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > longest {
        return Err(FolderError::TooLarge(size));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = opened.take(longest).read_to_end(&mut bytes);
    read.map_err(|error| FolderError::Kernel(nix::Error::from_raw(error.raw_os_error().unwrap_or(0))))?;
    Ok(bytes)
}

/// Opens a file of a run that grows while it is read, such as its log.
///
/// # Errors
/// [`FolderError`]: not there, or no plain file.
pub fn open_growing(folder: &OwnedFd, file: &RunFile) -> Result<File, FolderError> {
    open_file(folder, file).map(|(opened, _)| opened)
}

/// The version of a run's `result.json`; the default where there is none.
#[must_use]
pub fn stamp(folder: &OwnedFd) -> Stamp {
    let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
    nix::sys::stat::fstatat(folder, "result.json", flags).map_or_else(
        |_| Stamp::default(),
        |stat| Stamp {
            inode: stat.st_ino,
            bytes: stat.st_size,
            seconds: stat.st_mtime,
            nanoseconds: stat.st_mtime_nsec,
        },
    )
}

/// Reads what the index keeps of a run.
#[must_use]
pub fn entry(folder: &OwnedFd, id: &RunId) -> Entry {
    let summary = match read(folder, &RunFile::Result, LONGEST_RESULT) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => return Entry::read(id.clone(), text),
            Err(_) => Err(Unreadable::Corrupt),
        },
        Err(FolderError::Missing) => Err(Unreadable::NoResult),
        Err(FolderError::TooLarge(_)) => Err(Unreadable::TooLarge),
        Err(error @ (FolderError::NotPlain | FolderError::Kernel(_))) => {
            Err(Unreadable::NotAFile(error.to_string()))
        }
    };
    Entry { id: id.clone(), summary }
}

/// The files of a run that may be shown and are there, by path.
#[must_use]
pub fn files(folder: &OwnedFd) -> Vec<String> {
    let top = ["result.json", "events.jsonl", "log.txt", "screenshot.png", "card.svg", "card.png"];
    let top = top.into_iter().map(str::to_owned);
    let tiers = Tier::PLANNABLE.into_iter().chain([Tier::Teardown]).flat_map(|tier| {
        let names = names(folder, tier);
        names.into_iter().map(move |name| format!("tiers/{tier}/{name}"))
    });
    let is_there = |path: &String| RunFile::parse(path).is_some_and(|file| open_file(folder, &file).is_ok());
    top.chain(tiers).filter(is_there).collect()
}

fn names(folder: &OwnedFd, tier: Tier) -> Vec<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(tiers) = openat(folder, "tiers", flags, Mode::empty()) else { return Vec::new() };
    let Ok(mut opened) = nix::dir::Dir::openat(&tiers, tier.word(), flags, Mode::empty()) else {
        return Vec::new();
    };
    let names = opened.iter().flatten().take(MOST_NAMES);
    let mut names: Vec<String> =
        names.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned())).collect();
    names.sort();
    names
}

/// Reads a file beside the run folders, such as the janitor's `health.json`: its end, if it is longer.
///
/// # Errors
/// [`FolderError`]: not there, or no plain file.
pub fn tail(path: &Path, longest: u64) -> Result<Vec<u8>, FolderError> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = open(path, flags, Mode::empty()).map_err(of_kernel)?;
    let stat = fstat(opened.as_fd())?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(FolderError::NotPlain);
    }
    let mut file = File::from(opened);
    let failed =
        |error: std::io::Error| FolderError::Kernel(nix::Error::from_raw(error.raw_os_error().unwrap_or(0)));
    let from = u64::try_from(stat.st_size).unwrap_or(0).saturating_sub(longest);
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
