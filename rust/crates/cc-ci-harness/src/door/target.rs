//! Where a door leads: the proxy's TCP address, or the relay's unix socket of a helper beside the task.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// What is behind a door.
#[derive(Debug, Clone)]
pub enum Target {
    /// The proxy.
    Tcp(SocketAddr),
    /// The socket of a relay in the task's network namespace.
    Unix(PathBuf),
}

/// Both kinds of connection behind one name.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Target {
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(address) => Ok(Box::new(TcpStream::connect(address).await?)),
            Self::Unix(path) => {
                let short = ShortPath::of(path)?;
                Ok(Box::new(UnixStream::connect(short.path()).await?))
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A path to the same file that fits into a socket address (108 bytes, unix(7)): by way of the open folder.
#[derive(Debug)]
pub(crate) struct ShortPath {
    path: PathBuf,
    _folder: OwnedFd,
}

impl ShortPath {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let (folder, name) = (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: folder })
    }

    /// Valid as long as this value lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
