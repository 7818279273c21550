//! Tests that come with the recipe's own repository: copied aside as soon as the commit is known, so that nothing that
//! moves the checkout later can change what is run.

use std::io;
use std::path::Path;

/// More than any recipe's tests; a repository with more is not copied.
const MOST_FILES: usize = 2000;
/// Bytes of one file.
const LARGEST: u64 = 16 << 20;

/// Copies `tests/` of a checkout to `target`: plain files and folders only, no links, with their executable bits.
/// A checkout without tests copies nothing.
///
/// # Errors
/// What the kernel says, or that there are too many or too large files.
pub fn copy_aside(checkout: &Path, target: &Path) -> io::Result<()> {
    let source = checkout.join("tests");
    match std::fs::symlink_metadata(&source) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut left = MOST_FILES;
    copy(&source, target, &mut left)
}

fn copy(from: &Path, to: &Path, left: &mut usize) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        *left = left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other(format!("more than {MOST_FILES} files in tests/")))?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target, left)?;
        } else if kind.is_file() {
            if entry.metadata()?.len() > LARGEST {
                return Err(io::Error::other(format!("{} is larger than 16 MiB", entry.path().display())));
            }
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_copied_and_links_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let tests = folder.path().join("checkout/tests/install");
        std::fs::create_dir_all(&tests).unwrap();
        std::fs::write(tests.join("one"), "1").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tests.join("link")).unwrap();
        let target = folder.path().join("aside");
        copy_aside(&folder.path().join("checkout"), &target).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("install/one")).unwrap(), "1");
        assert!(!target.join("install/link").exists());
        copy_aside(&folder.path().join("nothing"), &folder.path().join("none")).unwrap();
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("tests")).unwrap();
        copy_aside(folder.path(), &folder.path().join("aside")).unwrap();
        assert!(!folder.path().join("aside").exists());
    }
}
