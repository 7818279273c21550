//! What our program does inside a sandbox: it gives the app's name an address, passes connections to the door, and
//! runs the test.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hidden verb.
pub const VERB: &str = "__inside";
/// The first line of output, which says that the sandbox stands and the test itself begins.
pub const STARTED: &str = "cc-ci: the sandbox stands, the test begins";
/// In the place of the port, for an app without a page: nothing listens then.
pub(super) const NO_PAGE: &str = "none";
/// Exit status where the test could not be begun; its line tells that from a test that ends so.
const NOT_BEGUN: u8 = 125;

/// Does what the verb asks for if it is the first argument; `None` where it is not. To be called first in `main`
/// with the arguments behind the program's name; what is returned is the exit status.
pub fn intercept(args: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let args: Vec<OsString> = args.into_iter().collect();
    let [verb, domain, port, door, test] = args.as_slice() else { return None };
    if verb != VERB {
        return None;
    }
    Some(begin(domain, port, door, test).unwrap_or_else(|error| {
        // Standard error being gone leaves nobody to tell.
        let _ = writeln!(io::stderr(), "cc-ci: preparing the sandbox: {error}");
        NOT_BEGUN
    }))
}

fn begin(domain: &OsStr, port: &OsStr, door: &OsStr, test: &OsStr) -> io::Result<u8> {
    write_etc(&domain.to_string_lossy())?;
    if port != NO_PAGE {
        let port: u16 = port.to_string_lossy().parse().map_err(io::Error::other)?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let door = PathBuf::from(door);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let door = door.clone();
                std::thread::spawn(move || pass_on(client, &door));
            }
        });
    }
    // The child inherits the stream behind this line, so it has to be out first.
    let mut stdout = io::stdout();
    writeln!(stdout, "{STARTED}")?;
    stdout.flush()?;
    let status = Command::new(test).status()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// The sandbox's own /etc: the app's name is the only one there is.
fn write_etc(domain: &str) -> io::Result<()> {
    let etc = Path::new("/etc");
    std::fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n127.0.0.1 {domain}\n"))?;
    std::fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
    std::fs::write(etc.join("passwd"), "root:x:0:0::/tmp:/bin/sh\n")?;
    std::fs::write(etc.join("group"), "root:x:0:\n")
}

/// Copies both ways; ends are handed on as such.
fn pass_on(client: TcpStream, door: &Path) {
    let Ok(door) = UnixStream::connect(door) else { return };
    let (Ok(from_client), Ok(from_door)) = (client.try_clone(), door.try_clone()) else { return };
    let there = std::thread::spawn(move || {
        copy(from_client, &door);
        let _ = door.shutdown(Shutdown::Write);
    });
    copy(from_door, &client);
    let _ = client.shutdown(Shutdown::Both);
    // The other direction ended with the client.
    let _ = there.join();
}

fn copy(mut from: impl Read, mut to: impl Write) {
    // What breaks a connection is seen by its two ends.
    let _ = io::copy(&mut from, &mut to);
}
