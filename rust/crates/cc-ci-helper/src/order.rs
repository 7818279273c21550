//! What the program can be told to do, read from its arguments.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::fault::Fault;
use crate::{ask, ends, listening, relay, volume};

/// The arguments in one view.
pub(crate) const USAGE: &str = "usage: cc-ci-helper
  relay --listen SOCKET --to IP:PORT [--to IP:PORT …]   pass connections on to the first address that accepts
  get IP PORT PATH HOST                                 one HTTP answer as JSON
  tcp IP PORT [--stable N]                              N connections in a row
  listening                                             listening TCP ports as JSON
  volume plant FOLDER NAME | read FOLDER NAME | list FOLDER
  ends -- PROGRAM …                                     beginning and end of what it writes, unpacked, as JSON
  sleep                                                 until TERM";

/// One thing to do.
pub(crate) enum Order {
    Relay { listen: PathBuf, to: Vec<SocketAddr> },
    Get { address: SocketAddr, path: String, host: String },
    Tcp { address: SocketAddr, stable: u32 },
    Listening,
    Plant { folder: PathBuf, name: String },
    Read { folder: PathBuf, name: String },
    List { folder: PathBuf },
    Ends { words: Vec<String> },
    Sleep,
}

impl Order {
    /// Reads the arguments behind the program's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self, Fault> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["relay", "--listen", socket, rest @ ..] => {
                Ok(Self::Relay { listen: PathBuf::from(socket), to: addresses(rest)? })
            }
            ["get", ip, port, path, host] => Ok(Self::Get {
                address: SocketAddr::new(self::ip(ip)?, self::port(port)?),
                path: visible(path, "path")?,
                host: visible(host, "host")?,
            }),
            ["tcp", ip, port] => Self::parse(&own(&["tcp", ip, port, "--stable", "1"])),
            ["tcp", ip, port, "--stable", times] => {
                let address = SocketAddr::new(self::ip(ip)?, self::port(port)?);
                let stable = times.parse().ok().filter(|times| (1..=100).contains(times));
                Ok(Self::Tcp { address, stable: stable.ok_or_else(|| usage("--stable is 1 to 100", times))? })
            }
            ["listening"] => Ok(Self::Listening),
            ["volume", "plant", folder, name] => {
                Ok(Self::Plant { folder: folder.into(), name: (*name).to_owned() })
            }
            ["volume", "read", folder, name] => {
                Ok(Self::Read { folder: folder.into(), name: (*name).to_owned() })
            }
            ["volume", "list", folder] => Ok(Self::List { folder: folder.into() }),
            ["ends", "--", program, rest @ ..] => {
                let words = std::iter::once(program).chain(rest);
                Ok(Self::Ends { words: words.map(|word| (*word).to_owned()).collect() })
            }
            ["sleep"] => Ok(Self::Sleep),
            _ => Err(usage("no such order", &words.join(" "))),
        }
    }

    /// Does it. What is returned goes to standard output.
    pub(crate) fn carry_out(self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Relay { listen, to } => relay::serve(&listen, &to),
            Self::Get { address, path, host } => ask::get(address, &path, &host),
            Self::Tcp { address, stable } => ask::connects(address, stable),
            Self::Listening => listening::ports(),
            Self::Plant { folder, name } => volume::plant(&folder, &name),
            Self::Read { folder, name } => volume::read(&folder, &name),
            Self::List { folder } => volume::list(&folder),
            Self::Ends { words } => ends::of(&words),
            Self::Sleep => loop {
                std::thread::park();
            },
        }
    }

    /// Whether a signal is the proper end of it.
    pub(crate) fn ends_by_signal(&self) -> bool {
        matches!(self, Self::Relay { .. } | Self::Sleep)
    }

    /// What has to be taken away when a signal ends it.
    pub(crate) fn left_behind(&self) -> Option<PathBuf> {
        if let Self::Relay { listen, .. } = self { Some(listen.clone()) } else { None }
    }
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn usage(what: &str, word: &str) -> Fault {
    Fault::Usage(format!("{what}: {word:?}"))
}

/// Addresses only, no names: an empty image has nothing to resolve names with.
fn ip(word: &str) -> Result<IpAddr, Fault> {
    match word {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => word.parse().map_err(|_| usage("not an IP address", word)),
    }
}

fn port(word: &str) -> Result<u16, Fault> {
    word.parse().ok().filter(|port| *port > 0).ok_or_else(|| usage("not a port", word))
}

/// A word of a request line or header: nothing in it can end the line.
fn visible(word: &str, what: &str) -> Result<String, Fault> {
    let fine = !word.is_empty() && word.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let path_fine = what != "path" || word.starts_with('/');
    if fine && path_fine { Ok(word.to_owned()) } else { Err(usage(&format!("not a {what}"), word)) }
}

fn addresses(words: &[&str]) -> Result<Vec<SocketAddr>, Fault> {
    let (pairs, rest) = words.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(usage("relay needs --to IP:PORT", &words.join(" ")));
    }
    let address = |[flag, address]: &[&str; 2]| match (*flag, address.parse()) {
        ("--to", Ok(address)) => Ok(address),
        _ => Err(usage("not --to IP:PORT", address)),
    };
    pairs.iter().map(address).collect()
}
