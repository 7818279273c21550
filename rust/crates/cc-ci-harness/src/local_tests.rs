//! Tests that come with the recipe's own repository: copied aside as soon as the commit is known, so that nothing that
//! moves the checkout later can change what is run.

use std::io;
use std::path::Path;

use cc_ci_model::result::Origin;
use cc_ci_model::tier::Tier;

use crate::sandbox::Programs;

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

/// Number of programs that [`copy_aside`] would take along for a tier: none behind a link in the place of a folder.
#[must_use]
pub fn programs(checkout: &Path, tier: Tier) -> usize {
    let tests = checkout.join("tests");
    let is_folder = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_folder(&tests) || !is_folder(&tests.join(tier.word())) {
        return 0;
    }
    // What cannot be read is found by the tier itself.
    Programs::find(&tests, tier, Origin::RecipeLocal).map_or(0, |found| found.names.len())
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
    fn programs_are_counted_as_they_are_copied() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let custom = folder.path().join("tests/custom");
        std::fs::create_dir_all(&custom).unwrap();
        for (name, mode) in [("one", 0o755), ("notes", 0o644)] {
            std::fs::write(custom.join(name), "").unwrap();
            std::fs::set_permissions(custom.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("/bin/true", custom.join("link")).unwrap();
        assert_eq!(programs(folder.path(), Tier::Custom), 1);
        assert_eq!(programs(folder.path(), Tier::Install), 0);
        std::os::unix::fs::symlink(&custom, folder.path().join("tests/install")).unwrap();
        assert_eq!(programs(folder.path(), Tier::Install), 0, "a folder behind a link is not copied");
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("tests")).unwrap();
        copy_aside(folder.path(), &folder.path().join("aside")).unwrap();
        assert!(!folder.path().join("aside").exists());
    }
}
