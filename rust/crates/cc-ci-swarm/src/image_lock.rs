//! The lock of a host's images: shared by the runs that pull and deploy, exclusive for whoever removes images.
//!
//! That no run lives is known for a moment only; a run that begins in the next one finds its images there and deploys
//! what is just being removed. Under this lock one of the two waits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use fs2::FileExt;

/// The file in the state folder.
const FILE: &str = "images.lock";

/// Removing many large images from a slow disk takes minutes.
const WAITING: Waiting = Waiting { deadline: Duration::from_secs(900), interval: Duration::from_millis(100) };

/// Why the images could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum ImageLockError {
    /// The file cannot be used.
    #[error("{attempt} {path}: {cause}; check the rights of the state folder")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Somebody removes images and does not come to an end.
    #[error("{0}")]
    TimedOut(String),
    /// The run was cancelled.
    #[error("{0}")]
    Cancelled(String),
}

/// The images of this host stay as long as this is held.
#[derive(Debug)]
#[must_use = "images may be removed as soon as this is dropped"]
pub struct ImagesInUse {
    _file: File,
}

/// No run pulls or deploys as long as this is held.
#[derive(Debug)]
#[must_use = "runs pull and deploy as soon as this is dropped"]
pub struct ImagesAtRest {
    _file: File,
}

/// Waits until nobody removes images; `waits` is called once if somebody does.
///
/// # Errors
/// [`ImageLockError`].
pub async fn use_images(
    state: &Path,
    cancellation: &Cancellation,
    mut waits: impl FnMut(),
) -> Result<ImagesInUse, ImageLockError> {
    let file = open(state)?;
    let mut is_told = false;
    let mut look = || {
        if is_got(FileExt::try_lock_shared(&file), state)? {
            return Ok(Look::There(()));
        }
        if !std::mem::replace(&mut is_told, true) {
            waits();
        }
        Ok(Look::NotYet("images are being removed".to_owned()))
    };
    let sentence = "waiting for the end of a removal of images";
    let got = wait_for(sentence, WAITING, None, cancellation, || std::future::ready(look())).await;
    match got {
        Ok(()) => Ok(ImagesInUse { _file: file }),
        Err(WaitError::Failed { reason, .. }) => Err(reason),
        Err(error @ WaitError::TimedOut { .. }) => Err(ImageLockError::TimedOut(error.to_string())),
        Err(error @ WaitError::Cancelled { .. }) => Err(ImageLockError::Cancelled(error.to_string())),
    }
}

/// Tries once whether no run pulls or deploys; `None` where one does.
///
/// # Errors
/// The file cannot be used.
pub fn rest_images(state: &Path) -> Result<Option<ImagesAtRest>, ImageLockError> {
    let file = open(state)?;
    let is_got = is_got(FileExt::try_lock_exclusive(&file), state)?;
    Ok(is_got.then_some(ImagesAtRest { _file: file }))
}

fn open(state: &Path) -> Result<File, ImageLockError> {
    let path = state.join(FILE);
    let failed = |cause| ImageLockError::File { attempt: "opening", path: path.clone(), cause };
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = match opened {
        // Another user's: reading is enough for a lock.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path).map_err(failed)?,
        opened => opened.map_err(failed)?,
    };
    // One of another user stays as it is.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o664));
    Ok(file)
}

fn is_got(tried: io::Result<()>, state: &Path) -> Result<bool, ImageLockError> {
    match tried {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(cause) => Err(ImageLockError::File { attempt: "locking", path: state.join(FILE), cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn images_are_removed_only_while_nobody_uses_them_and_used_only_while_nobody_removes_them() {
        let state = tempfile::tempdir().unwrap();
        let never = Cancellation::new();
        let one = use_images(state.path(), &never, || panic!("nobody is in the way")).await.unwrap();
        let two = use_images(state.path(), &never, || panic!("runs do not wait for runs")).await.unwrap();
        assert!(rest_images(state.path()).unwrap().is_none());
        drop(one);
        assert!(rest_images(state.path()).unwrap().is_none());
        drop(two);
        let removing = rest_images(state.path()).unwrap().unwrap();
        let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
        let path = state.path().to_owned();
        let run =
            tokio::spawn(
                async move { use_images(&path, &Cancellation::new(), move || _ = heard.send(())).await },
            );
        news.recv().await.unwrap();
        drop(removing);
        assert!(run.await.unwrap().is_ok());
        assert_eq!(news.recv().await, None, "it says once that it waits");
    }

    #[test]
    fn a_state_folder_that_is_not_there_is_an_error_and_not_a_free_lock() {
        let state = tempfile::tempdir().unwrap();
        let error = rest_images(&state.path().join("missing")).unwrap_err().to_string();
        assert!(error.contains("check the rights of the state folder"), "{error}");
    }
}
