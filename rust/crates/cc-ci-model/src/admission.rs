//! Whether a run can be expected to finish on this host as it is: memory, disk, inodes, addresses.

use crate::size::ByteSize;

/// What the host has at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Memory that programs may still take; none where the kernel does not say.
    pub memory_free: Option<ByteSize>,
    /// Free space of each disk that a run writes to, by the folder it was asked about.
    pub disks: Vec<DiskFacts>,
    /// Addresses left on the network shared with the proxy; none where its size is not known.
    pub addresses_left: Option<u64>,
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFacts {
    /// What lies on it, for a person: `run folders`, `Docker's data`.
    pub what: String,
    /// Free for programs.
    pub free: ByteSize,
    /// Files that can still be made; none where the file system does not count them.
    pub inodes_free: Option<u64>,
}

/// What a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Memory of the app, as its `recipe.toml` declares; zero where it does not.
    pub memory: ByteSize,
    /// Whether an update starts the new task before the old one ends, so that both are there at once.
    pub starts_first: bool,
    /// Tasks and virtual addresses on the proxy's network, at the moment with the most of them.
    pub addresses: u64,
}

/// What has to stay free whatever a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floors {
    /// Of memory.
    pub memory: ByteSize,
    /// Of each disk.
    pub disk: ByteSize,
}

/// Fewer inodes than this and a checkout with its images does not fit: an image of many small files takes some 50,000.
pub const INODES: u64 = 100_000;

/// What there is too little of, one sentence each; empty if the run may begin. What cannot be measured is not held
/// against a run: it would never begin.
#[must_use]
pub fn shortages(host: &HostFacts, needs: &Needs, floors: &Floors) -> Vec<String> {
    let mut short = Vec::new();
    let memory = needs.memory.bytes().saturating_mul(if needs.starts_first { 2 } else { 1 });
    let wanted = memory.saturating_add(floors.memory.bytes());
    if let Some(free) = host.memory_free.filter(|free| free.bytes() < wanted) {
        let because =
            if needs.starts_first && memory > 0 { ", twice the app's as it starts first" } else { "" };
        short.push(format!("memory: {} free, {} needed{because}", mib(free.bytes()), mib(wanted)));
    }
    for disk in &host.disks {
        if disk.free < floors.disk {
            let (free, wanted) = (mib(disk.free.bytes()), mib(floors.disk.bytes()));
            short.push(format!("disk of {}: {free} free, {wanted} needed", disk.what));
        }
        if let Some(free) = disk.inodes_free.filter(|free| *free < INODES) {
            short.push(format!("inodes of {}: {free} free, {INODES} needed", disk.what));
        }
    }
    if let Some(left) = host.addresses_left.filter(|left| *left < needs.addresses) {
        short.push(format!("addresses on the proxy's network: {left} left, {} needed", needs.addresses));
    }
    short
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostFacts {
        HostFacts {
            memory_free: Some(ByteSize::mebibytes(2048)),
            disks: vec![DiskFacts {
                what: "run folders".to_owned(),
                free: ByteSize::mebibytes(9000),
                inodes_free: Some(1_000_000),
            }],
            addresses_left: Some(100),
        }
    }

    const NEEDS: Needs = Needs { memory: ByteSize::mebibytes(900), starts_first: false, addresses: 4 };
    const FLOORS: Floors = Floors { memory: ByteSize::mebibytes(256), disk: ByteSize::mebibytes(2048) };

    #[test]
    fn a_host_with_room_admits_a_run() {
        assert_eq!(shortages(&host(), &NEEDS, &FLOORS), [""; 0]);
    }

    #[test]
    fn start_first_update_is_budgeted_for_both_copies() {
        let needs = Needs { starts_first: true, ..NEEDS };
        let short = shortages(&host(), &needs, &FLOORS);
        assert_eq!(short, ["memory: 2048 MiB free, 2056 MiB needed, twice the app's as it starts first"]);
    }

    #[test]
    fn each_shortage_is_named_with_what_is_there_and_what_is_needed() {
        let mut host = host();
        host.disks[0].free = ByteSize::mebibytes(2047);
        host.disks[0].inodes_free = Some(99_999);
        host.addresses_left = Some(3);
        assert_eq!(
            shortages(&host, &NEEDS, &FLOORS),
            [
                "disk of run folders: 2047 MiB free, 2048 MiB needed",
                "inodes of run folders: 99999 free, 100000 needed",
                "addresses on the proxy's network: 3 left, 4 needed",
            ]
        );
    }

    #[test]
    fn what_cannot_be_measured_holds_no_run_back() {
        let mut host = host();
        host.memory_free = None;
        host.addresses_left = None;
        host.disks[0].inodes_free = None;
        assert_eq!(shortages(&host, &NEEDS, &FLOORS), [""; 0]);
    }
}
