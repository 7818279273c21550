//! What makes a host fit for runs: measured facts in, one judged line each out.

use serde::Serialize;

use crate::admission::INODES;
use crate::size::ByteSize;

/// How a line is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// As it should be.
    Ok,
    /// Runs are possible; somebody should look.
    Warn,
    /// No run can be carried to its end like this.
    Bad,
    /// Not looked at, because something before it is missing.
    Skipped,
}

impl Sign {
    /// The character of a table.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Ok => "✔",
            Self::Warn => "!",
            Self::Bad => "✘",
            Self::Skipped => "–",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was looked at.
    pub checked: String,
    /// How to take it.
    pub sign: Sign,
    /// What was found.
    pub found: String,
    /// What to do; none where there is nothing to do.
    pub todo: Option<String>,
}

impl Line {
    /// As it should be.
    #[must_use]
    pub fn ok(checked: impl Into<String>, found: impl Into<String>) -> Self {
        Self { checked: checked.into(), sign: Sign::Ok, found: found.into(), todo: None }
    }

    /// Somebody should look, and do this.
    #[must_use]
    pub fn warn(checked: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { checked: checked.into(), sign: Sign::Warn, found: found.into(), todo: Some(todo.into()) }
    }

    /// Fatal, until this is done.
    #[must_use]
    pub fn bad(checked: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { checked: checked.into(), sign: Sign::Bad, found: found.into(), todo: Some(todo.into()) }
    }

    /// Not looked at, for this reason.
    #[must_use]
    pub fn skipped(checked: impl Into<String>, why: impl Into<String>) -> Self {
        Self { checked: checked.into(), sign: Sign::Skipped, found: why.into(), todo: None }
    }
}

/// Names of what keeps the host from being fit; empty where it is.
#[must_use]
pub fn fatal(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter(|line| line.sign == Sign::Bad).map(|line| line.checked.as_str()).collect()
}

/// Less than so many times its floor is worth a warning: one big image takes that much.
const NEARLY: u64 = 2;

/// Space and inodes of one file system. Below the floor no run begins. `inodes` is `None` where they are made as needed.
#[must_use]
pub fn disk(what: &str, free: ByteSize, inodes: Option<u64>, floor: ByteSize) -> [Line; 2] {
    let checked = format!("disk of {what}");
    let found = format!("{} MiB free, {} MiB needed", free.bytes() >> 20, floor.bytes() >> 20);
    let todo =
        "make room (cc-ci-janitor sweep removes old images and run folders), or lower limits.disk_floor";
    let disk = if free < floor {
        Line::bad(checked, found, todo)
    } else if free.bytes() < floor.bytes().saturating_mul(NEARLY) {
        Line::warn(checked, found, todo)
    } else {
        Line::ok(checked, found)
    };
    let checked = format!("inodes of {what}");
    let inodes = match inodes {
        None => Line::ok(checked, "made as needed"),
        Some(left) => {
            let found = format!("{left} free, {INODES} needed");
            let todo = "remove what has many small files: old images first (docker image prune)";
            if left < INODES {
                Line::bad(checked, found, todo)
            } else if left < INODES * NEARLY {
                Line::warn(checked, found, todo)
            } else {
                Line::ok(checked, found)
            }
        }
    };
    [disk, inodes]
}

/// Memory that programs may still take. `None` where the kernel does not say.
#[must_use]
pub fn memory(free: Option<ByteSize>, floor: ByteSize) -> Line {
    let checked = "memory";
    let Some(free) = free else {
        return Line::warn(
            checked,
            "the kernel does not say what is free",
            "look at /proc/meminfo; runs begin whatever is left",
        );
    };
    let found = format!("{} MiB available, {} MiB needed", free.bytes() >> 20, floor.bytes() >> 20);
    if free < floor {
        Line::bad(checked, found, "end what takes it, or lower limits.memory_floor")
    } else {
        Line::ok(checked, found)
    }
}

/// The smallest app takes this: its virtual address, its task and the task that follows it.
const SMALLEST_APP: u64 = 3;
/// Fewer than this and apps of ten services wait for each other.
const FEW: u64 = 32;

/// Addresses of the network shared with the proxy.
#[must_use]
pub fn addresses(total: u64, left: u64) -> Line {
    let checked = "address room";
    let found = format!("{left} of {total} addresses of the network proxy are left");
    let todo = "make the network bigger: docker network create -d overlay --subnet 10.200.0.0/20 proxy (it has to be removed first)";
    if left < SMALLEST_APP {
        Line::bad(checked, found, todo)
    } else if left < FEW {
        Line::warn(checked, found, todo)
    } else {
        Line::ok(checked, found)
    }
}

/// What is known of a folder that cc-ci writes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderFacts {
    /// It is there.
    There {
        /// Permission bits, with set-group-id and sticky.
        mode: u32,
        /// Its group, by name or number.
        group: String,
        /// Whether this user may write into it.
        is_writable: bool,
    },
    /// It is not there; a run makes it where it may.
    Missing {
        /// Whether this user may make it.
        can_be_made: bool,
    },
    /// Something else lies there, or nobody may look.
    Unusable(String),
}

/// Who has to reach a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// One user.
    Own,
    /// Everybody of the server's group.
    Group,
}

/// One folder of the state.
#[must_use]
pub fn folder(what: &str, path: &str, facts: &FolderFacts, shared: Shared) -> Line {
    match facts {
        FolderFacts::Unusable(why) => Line::bad(what, format!("{path}: {why}"), "put a folder there"),
        FolderFacts::Missing { can_be_made: true } => {
            Line::ok(what, format!("{path} is not there yet; the first run makes it"))
        }
        FolderFacts::Missing { can_be_made: false } => Line::bad(
            what,
            format!("{path} is not there, and this user may not make it"),
            "make it, or name another with CCCI_STATE_DIR, CCCI_RUNS_DIR, CCCI_APP_LOCK_DIR",
        ),
        FolderFacts::There { mode, group, is_writable } => {
            let found = format!("{path}, mode {mode:04o}, group {group}");
            if !is_writable {
                return Line::bad(
                    what,
                    format!("{found}: this user may not write there"),
                    format!("become a member of {group}, or give it to the group: chmod g+w {path}"),
                );
            }
            if mode & 0o002 != 0 {
                return Line::warn(
                    what,
                    format!("{found}: everybody may write there"),
                    format!("chmod o-w {path}"),
                );
            }
            // Without the set-group-id bit a lock file belongs to its maker's own group, and others cannot ask for it.
            if shared == Shared::Group && mode & 0o020 != 0 && mode & 0o2000 == 0 {
                return Line::warn(
                    what,
                    format!("{found}: files made in it do not belong to its group"),
                    format!("chmod g+s {path}"),
                );
            }
            Line::ok(what, found)
        }
    }
}

/// Fewer days than this and a renewal that should have happened has not (Let's Encrypt renews at 30).
const CERTIFICATE_DAYS: i64 = 14;

/// Whole days until the zone's certificate ends; negative afterwards.
#[must_use]
pub fn certificate(days: i64) -> Line {
    let checked = "certificate of the zone";
    let todo = "renew it; until then --via direct goes without it";
    if days < 0 {
        Line::bad(checked, format!("ended {} days ago", -days), todo)
    } else if days < CERTIFICATE_DAYS {
        Line::warn(checked, format!("ends in {days} days"), todo)
    } else {
        Line::ok(checked, format!("valid for {days} days"))
    }
}

/// What tells whether the clock is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFacts {
    /// Whether it shows a time before this program was made.
    pub is_before_program: bool,
    /// Whether a time service keeps it; none where nobody could be asked.
    pub is_kept: Option<bool>,
}

/// The clock: certificates, locks and backups are dated by it.
#[must_use]
pub fn clock(now: &str, facts: ClockFacts) -> Line {
    let checked = "clock";
    if facts.is_before_program {
        return Line::bad(checked, format!("{now} is before this program was made"), "set the clock");
    }
    match facts.is_kept {
        Some(true) => Line::ok(checked, format!("{now}, kept by a time service")),
        Some(false) => Line::warn(
            checked,
            format!("{now}, and no time service keeps it"),
            "timedatectl set-ntp true, or chrony; a wrong clock makes certificates invalid",
        ),
        None => Line::ok(checked, format!("{now}; whether a time service keeps it is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: ByteSize = ByteSize::mebibytes(2048);

    #[test]
    fn run_is_refused_below_the_byte_inode_and_address_floor() {
        let signs = |free: u64, inodes: u64| {
            disk("run folders", ByteSize::mebibytes(free), Some(inodes), FLOOR).map(|line| line.sign)
        };
        assert_eq!(signs(2047, 99_999), [Sign::Bad, Sign::Bad]);
        assert_eq!(signs(2048, 100_000), [Sign::Warn, Sign::Warn]);
        assert_eq!(signs(4096, 200_000), [Sign::Ok, Sign::Ok]);
        let all = disk("Docker's data", ByteSize::mebibytes(9000), None, FLOOR);
        assert_eq!(all[1].found, "made as needed");
        let address_signs = [2, 3, 31, 32].map(|left| addresses(252, left).sign);
        assert_eq!(address_signs, [Sign::Bad, Sign::Warn, Sign::Warn, Sign::Ok]);
        let lines = [addresses(252, 0), memory(Some(ByteSize::mebibytes(255)), ByteSize::mebibytes(256))];
        assert_eq!(fatal(&lines), ["address room", "memory"]);
        assert!(lines.iter().all(|line| line.todo.is_some()), "each says what to do: {lines:?}");
    }

    #[test]
    fn certificate_close_to_expiry_raises_an_alarm() {
        let signs = [-1, 0, 13, 14, 60].map(|days| certificate(days).sign);
        assert_eq!(signs, [Sign::Bad, Sign::Warn, Sign::Warn, Sign::Ok, Sign::Ok]);
        assert_eq!(certificate(-3).found, "ended 3 days ago");
    }

    #[test]
    fn a_lock_folder_has_to_pass_its_group_on() {
        let there = |mode, is_writable| FolderFacts::There { mode, group: "cc-ci".to_owned(), is_writable };
        let sign = |facts: &FolderFacts, shared| folder("lock folder", "/run/lock/cc-ci", facts, shared).sign;
        assert_eq!(sign(&there(0o2775, true), Shared::Group), Sign::Ok);
        assert_eq!(sign(&there(0o775, true), Shared::Group), Sign::Warn);
        assert_eq!(sign(&there(0o775, true), Shared::Own), Sign::Ok);
        assert_eq!(sign(&there(0o755, true), Shared::Group), Sign::Ok, "a laptop's own folder");
        assert_eq!(sign(&there(0o777, true), Shared::Own), Sign::Warn);
        assert_eq!(sign(&there(0o2775, false), Shared::Group), Sign::Bad);
        assert_eq!(sign(&FolderFacts::Missing { can_be_made: true }, Shared::Own), Sign::Ok);
        assert_eq!(sign(&FolderFacts::Missing { can_be_made: false }, Shared::Own), Sign::Bad);
        assert_eq!(sign(&FolderFacts::Unusable("a file".to_owned()), Shared::Own), Sign::Bad);
    }

    #[test]
    fn a_clock_before_the_program_is_wrong_whoever_keeps_it() {
        let sign = |is_before_program, is_kept| clock("now", ClockFacts { is_before_program, is_kept }).sign;
        assert_eq!(sign(true, Some(true)), Sign::Bad);
        assert_eq!(sign(false, Some(false)), Sign::Warn);
        assert_eq!(sign(false, None), Sign::Ok);
    }
}
