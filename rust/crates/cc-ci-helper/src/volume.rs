//! Writes and reads single files in the top folder of a volume, and nothing outside of it.
//!
//! The volume's content belongs to the app under test and may be hostile: a name is one component, links are
//! never followed, and only plain files with one name are touched.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, ftruncate};
use serde_json::json;

use crate::fault::Fault;

/// Bytes of a file that are written or read at most; markers are far smaller.
const LONGEST: u64 = 1 << 20;

/// Writes standard input into a file, which then belongs to the owner of the folder, as if the app had made it.
pub(crate) fn plant(folder: &Path, name: &str) -> Result<Vec<u8>, Fault> {
    let what = format!("writing {name:?} in {}", folder.display());
    let ours = |error: std::io::Error| Fault::ours(&what, error);
    let place = open_folder(folder)?;
    // Without O_NONBLOCK a named pipe in the file's place would hold us for good.
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&place, component(name)?, flags, Mode::from_bits_truncate(0o644))
        .map_err(|error| explain(&what, error))?;
    plain(&what, &file)?;
    let owner = fstat(&place).map_err(|error| ours(error.into()))?;
    let mut content = Vec::new();
    std::io::stdin().take(LONGEST + 1).read_to_end(&mut content).map_err(ours)?;
    if content.len() as u64 > LONGEST {
        return Err(Fault::Refused(format!("{what}: more than {LONGEST} bytes on standard input")));
    }
    ftruncate(&file, 0).map_err(|error| ours(error.into()))?;
    let mut file = File::from(file);
    file.write_all(&content).map_err(ours)?;
    fchown(&file, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))
        .map_err(|error| ours(error.into()))?;
    file.sync_all().map_err(ours)?;
    Ok(Vec::new())
}

/// The content of a file.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Fault> {
    let what = format!("reading {name:?} in {}", folder.display());
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(open_folder(folder)?, component(name)?, flags, Mode::empty())
        .map_err(|error| explain(&what, error))?;
    plain(&what, &file)?;
    let mut content = Vec::new();
    File::from(file).take(LONGEST).read_to_end(&mut content).map_err(|error| Fault::ours(&what, error))?;
    Ok(content)
}

/// The names in the folder with their kinds, as one line of JSON, sorted.
pub(crate) fn list(folder: &Path) -> Result<Vec<u8>, Fault> {
    let what = format!("listing {}", folder.display());
    let mut dir = Dir::from_fd(open_folder(folder)?).map_err(|error| Fault::ours(&what, error.into()))?;
    let mut found = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(|error| Fault::ours(&what, error.into()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            found.push((name, kind(entry.file_type())));
        }
    }
    found.sort();
    let found: Vec<_> = found.into_iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
    Ok(format!("{}\n", serde_json::Value::Array(found)).into_bytes())
}

fn kind(kind: Option<Type>) -> &'static str {
    match kind {
        Some(Type::File) => "file",
        Some(Type::Directory) => "folder",
        Some(Type::Symlink) => "link",
        _ => "other",
    }
}

fn open_folder(folder: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(folder, flags, Mode::empty())
        .map_err(|error| explain(&format!("opening {}", folder.display()), error))
}

/// One component that stays where it is.
fn component(name: &str) -> Result<&str, Fault> {
    let stays = !name.is_empty() && name != "." && name != ".." && name.len() <= 255;
    if stays && !name.contains(['/', '\0']) {
        Ok(name)
    } else {
        Err(Fault::Refused(format!("{name:?} is not the name of a file in the folder itself")))
    }
}

/// A second name of a file may lie in another place, so only files with one name count as plain.
fn plain(what: &str, file: impl AsFd) -> Result<FileStat, Fault> {
    let stat = fstat(file).map_err(|error| Fault::ours(what, error.into()))?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFREG && stat.st_nlink == 1 {
        Ok(stat)
    } else {
        Err(Fault::Refused(format!("{what}: it is no plain file with one name")))
    }
}

fn explain(what: &str, error: Errno) -> Fault {
    match error {
        Errno::ENOENT => Fault::NotSo(format!("{what}: there is no such file")),
        // ELOOP is what O_NOFOLLOW says of a link; ENXIO of a named pipe that nobody reads; ENOTDIR of a link to a folder.
        Errno::ELOOP | Errno::ENXIO | Errno::EISDIR | Errno::ENOTDIR => {
            Fault::Refused(format!("{what}: it is a link or no plain file ({error})"))
        }
        _ => Fault::ours(what, error.into()),
    }
}
