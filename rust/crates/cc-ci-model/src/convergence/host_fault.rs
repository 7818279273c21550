//! Errors of tasks that tell of the host and not of the recipe: a table of the engine's own texts.
//!
//! Swarm hands a task's error on as the engine words it. Whoever reads only "the task failed" blames the recipe for a full
//! disk. The table is short on purpose: what it does not know stays the recipe's, and each row names where its text is made.

/// What is wrong with the host, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFault {
    /// What is wrong, as half a sentence.
    pub what: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const DISK: HostFault =
    HostFault { what: "the host's disk is full", remedy: "free space or inodes where Docker keeps its data" };
const DISK_BROKEN: HostFault =
    HostFault { what: "the host's disk does not work", remedy: "look at the kernel's log" };
const MEMORY: HostFault = HostFault {
    what: "the host is out of memory or of file handles",
    remedy: "run fewer things on it, or give it more",
};
const NETWORK: HostFault = HostFault {
    what: "the engine could not connect the container to its networks",
    remedy: "look at the engine's log; restarting the engine removes stale network devices",
};
const ADDRESSES: HostFault =
    HostFault { what: "the engine has no free network addresses", remedy: "remove unused networks" };
const PORT: HostFault = HostFault {
    what: "a port of the host is held by somebody else",
    remedy: "end whatever holds it, or test this recipe alone",
};
const ENGINE: HostFault = HostFault {
    what: "the engine or its container runtime did not answer",
    remedy: "look at the engine's log and at the load of the host",
};
const ROOM: HostFault = HostFault {
    what: "no node has room for it",
    remedy: "wait until other runs have ended, or give the host more memory and processors",
};

/// The kernel killed a container that has no memory limit: then it was the host that had none left.
pub(super) const OUT_OF_MEMORY: HostFault = HostFault {
    what: "the host ran out of memory, and the kernel killed a container that has no limit of its own",
    remedy: "run fewer things beside it, or give the host more memory",
};

/// A text of an error, and the fault it tells of. The first row that fits counts: the networking of a container fails for many
/// reasons, and the reason stands behind the wrapping words.
const TABLE: [(&str, HostFault); 27] = [
    // libnetwork portallocator, `ErrPortAlreadyAllocated`.
    ("port is already allocated", PORT),
    // EADDRINUSE of the userland proxy, `starting userland proxy: listen tcp4 …: bind: …`.
    ("address already in use", PORT),
    // swarmkit scheduler/filter.go, `HostPortFilter.Explain`.
    ("host-mode port already in use", PORT),
    // ENOSPC, of space and of inodes alike.
    ("no space left on device", DISK),
    // EDQUOT.
    ("disk quota exceeded", DISK),
    // EIO.
    ("input/output error", DISK_BROKEN),
    // overlay2 driver, `Get`.
    ("error creating overlay mount", DISK_BROKEN),
    // containerd's and moby's overlay mounts.
    ("failed to mount overlay", DISK_BROKEN),
    // ENOMEM of fork and mmap.
    ("cannot allocate memory", MEMORY),
    // EMFILE and ENFILE.
    ("too many open files", MEMORY),
    // libnetwork ipam, `ErrNoAvailablePool` of older engines.
    ("could not find an available, non-overlapping IPv4 address pool", ADDRESSES),
    // libnetwork ipamutils, `ErrNoMoreSubnets`.
    ("all predefined address pools have been fully subnetted", ADDRESSES),
    // libnetwork ipamapi, `ErrNoAvailableIPs`.
    ("no available addresses on this pool", ADDRESSES),
    // The same, as older engines word it.
    ("no available IPv4 addresses on this network's address pools", ADDRESSES),
    // libnetwork drivers/overlay/joinleave.go.
    ("network sandbox join failed", NETWORK),
    // The same; some engines leave the outer words out.
    ("subnet sandbox join failed", NETWORK),
    // moby daemon/start.go since 28.
    ("failed to set up container networking", NETWORK),
    // libnetwork drivers/bridge, of packet filter rules that cannot be set.
    ("driver failed programming external connectivity", NETWORK),
    // libnetwork controller.go.
    ("failed to create endpoint", NETWORK),
    // swarmkit agent, while an attachment to an overlay network is waited for.
    ("attaching to network failed", NETWORK),
    // gRPC's words for a call that was given up, to containerd as to the manager.
    ("context deadline exceeded", ENGINE),
    // The same, of a service that is not there.
    ("code = Unavailable", ENGINE),
    // The engine's connection to containerd, while that is down.
    ("containerd.sock", ENGINE),
    // containerd's client, when a shim died.
    ("ttrpc: closed", ENGINE),
    // moby, of a container that an engine restart took from under its task (swarm.md 8).
    ("No such container", ENGINE),
    // swarmkit scheduler/filter.go, `ResourceFilter.Explain`.
    ("insufficient resources", ROOM),
    // swarmkit scheduler/filter.go, `ReadyFilter.Explain`.
    ("not available for new tasks", ROOM),
];

/// What of a placement the recipe itself asks for in vain (swarmkit scheduler/filter.go, the filters' `Explain`).
const ASKED_IN_VAIN: [&str; 4] = [
    "scheduling constraints not satisfied",
    "max replicas per node limit exceed",
    "missing plugin",
    "unsupported platform",
];

/// The fault of the host that a task's error tells of; `None` where it is the recipe's.
#[must_use]
pub fn host_fault(error: &str) -> Option<HostFault> {
    let text = without_quotations(error);
    TABLE.iter().find(|(sign, _)| text.contains(sign)).map(|(_, fault)| *fault)
}

/// The same of a task that no node takes: there everything is the host's but what the recipe asks for in vain.
#[must_use]
pub fn placement_fault(error: &str) -> Option<HostFault> {
    if ASKED_IN_VAIN.iter().any(|sign| error.contains(sign)) {
        return None;
    }
    Some(host_fault(error).unwrap_or(ROOM))
}

/// Whether the fault is a port that is taken: then it matters by whom.
pub(super) fn is_port(fault: HostFault) -> bool {
    fault == PORT
}

/// What the engine quotes are words of the recipe (a command, a user, a path): they must not look like the engine's own.
fn without_quotations(error: &str) -> String {
    error.split('"').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors as engines really word them, and whose fault each is.
    const HOSTS: [(&str, HostFault); 22] = [
        (
            "driver failed programming external connectivity on endpoint x_app.1.abc (0a1b): Bind for 0.0.0.0:8080 failed: port is already allocated",
            PORT,
        ),
        (
            "failed to set up container networking: driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:8080 failed: port is already allocated",
            PORT,
        ),
        (
            "starting container failed: Error starting userland proxy: listen tcp4 0.0.0.0:8443: bind: address already in use",
            PORT,
        ),
        ("no suitable node (host-mode port already in use on 1 node)", PORT),
        ("mkdir /var/lib/docker/overlay2/0a1b-init: no space left on device", DISK),
        (
            "starting container failed: failed to create shim task: OCI runtime create failed: write /run/containerd/x: no space left on device: unknown",
            DISK,
        ),
        ("mkdir /var/lib/docker/containers/0a1b: disk quota exceeded", DISK),
        ("open /var/lib/docker/overlay2/0a1b/link: input/output error", DISK_BROKEN),
        (
            "error creating overlay mount to /var/lib/docker/overlay2/0a1b/merged: device or resource busy",
            DISK_BROKEN,
        ),
        ("failed to mount overlay: invalid argument", DISK_BROKEN),
        ("fork/exec /usr/bin/containerd-shim-runc-v2: cannot allocate memory", MEMORY),
        ("pipe2: too many open files", MEMORY),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            ADDRESSES,
        ),
        ("all predefined address pools have been fully subnetted", ADDRESSES),
        ("no available addresses on this pool", ADDRESSES),
        (
            "network sandbox join failed: subnet sandbox join failed for \"10.0.14.0/24\": error creating vxlan interface: file exists",
            NETWORK,
        ),
        ("failed to set up container networking: network 0a1b not found", NETWORK),
        (
            "driver failed programming external connectivity on endpoint x: (iptables failed: No chain/target/match by that name.)",
            NETWORK,
        ),
        ("attaching to network failed, make sure your network options are correct", NETWORK),
        ("starting container failed: context deadline exceeded: unknown", ENGINE),
        (
            "connection error: desc = \"transport: error while dialing\": dial unix /run/containerd/containerd.sock: connection refused",
            ENGINE,
        ),
        ("No such container: x_app.1.abc", ENGINE),
    ];

    const RECIPES: [&str; 9] = [
        "task: non-zero exit (1)",
        "task: non-zero exit (137): dockerexec: unhealthy container",
        "No such image: nginx:nonsense",
        "invalid mount config for type \"bind\": bind source path does not exist: /srv/data",
        "starting container failed: failed to create task for container: OCI runtime create failed: exec: \"serve\": executable file not found in $PATH: unknown",
        // What the recipe writes is quoted by the engine, and is no word of the engine's.
        "starting container failed: exec: \"no space left on device\": executable file not found in $PATH",
        "OCI runtime create failed: unable to start container process: container init was OOM-killed (memory limit too low?)",
        "OCI runtime create failed: mkdirat /data: read-only file system",
        "starting container failed: unable to find user app: no matching entries in passwd file",
    ];

    #[test]
    fn each_text_of_the_engine_is_put_to_the_one_who_can_mend_it() {
        for (error, fault) in HOSTS {
            assert_eq!(host_fault(error), Some(fault), "{error}");
        }
        for error in RECIPES {
            assert_eq!(host_fault(error), None, "{error}");
        }
    }

    #[test]
    fn every_row_of_the_table_is_reached_by_its_own_text() {
        for (sign, fault) in TABLE {
            assert_eq!(host_fault(&format!("starting container failed: {sign}")), Some(fault), "{sign}");
        }
    }

    #[test]
    fn a_placement_that_the_recipe_asks_for_in_vain_is_its_own_fault() {
        for sign in ASKED_IN_VAIN {
            assert_eq!(placement_fault(&format!("no suitable node ({sign} on 1 node)")), None, "{sign}");
        }
        let told = |what: &str| placement_fault(&format!("no suitable node ({what} on 1 node)"));
        assert_eq!(told("insufficient resources"), Some(ROOM));
        assert_eq!(told("1 node not available for new tasks"), Some(ROOM));
        assert_eq!(told("host-mode port already in use"), Some(PORT));
        assert_eq!(placement_fault("no suitable node"), Some(ROOM));
    }
}
