//! The properties of compose files 3.0 to 3.13: name, first version, and form; one table that reading, merging and printing share.
//!
//! Facts from the JSON schemas that the Docker CLI 28.2.2 carries (`cli/compose/schema/data`), in words of our own.

use Form::*;

/// The version that is meant by `version: "3"` and by none at all.
pub(super) const NEWEST: u8 = 13;

/// One property of a mapping.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: &'static str,
    /// Minor version of the 3.x format that brought it.
    pub(super) since: u8,
    pub(super) form: Form,
}

/// A mapping with fixed properties.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) properties: &'static [Property],
    /// Properties that must be there.
    pub(super) required: &'static [&'static str],
    /// What happens with a key that is in no property.
    pub(super) others: Others,
}

/// Keys that are in no property.
#[derive(Debug, Clone, Copy)]
pub(super) enum Others {
    Refused,
    /// Accepted and without effect.
    Ignored,
    /// Accepted from this version on if they begin with `x-`, and kept.
    Extensions(u8),
}

/// How a property may be written, merged and printed. "Optional" ones are told apart from zero by the CLI.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Text,
    TextOrNothing,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A boolean; false is the same as not there.
    Flag,
    /// A boolean that may be absent.
    Switch,
    /// A whole number (schema type integer); zero is the same as not there; kept in so many bits.
    Whole(Bits),
    /// A whole number that may be absent.
    OptionalWhole(Bits),
    /// As before, but the schema lets fractions pass, and the CLI cuts them off.
    OptionalNumber(Bits),
    /// A number kept in 32 bits.
    Ratio,
    /// Zero is the same as not there.
    Duration,
    OptionalDuration,
    /// A size with a unit, as text.
    Bytes,
    /// A list of texts; equal items are refused if `true`.
    Texts(bool),
    TextOrTexts,
    /// A text split like a shell does, or a list; a later file replaces it.
    Command,
    /// A text for the shell, or a list; a later file appends (a fault of the CLI).
    HealthTest,
    Exposed,
    Hosts,
    /// A mapping or a list of `key=value`; nothing becomes an empty text.
    Labels,
    /// The same; nothing stays nothing.
    Environment,
    /// A mapping of texts and numbers, and of nothing if `true`.
    Options(bool),
    /// Empty is the same as not there.
    Inner(&'static Record),
    /// A mapping that may be absent.
    OptionalInner(&'static Record),
    /// As `Inner`, may be written as nothing.
    InnerOrNothing(&'static Record),
    Records(&'static Record),
    Logging,
    Build,
    Ports,
    Mounts,
    References,
    Networks,
    Ulimits,
    External(Others),
    Resource,
    /// Read and then forgotten by the CLI.
    Forgotten(&'static Form),
    /// Passed on as it is.
    Raw,
}

/// Width of a number in the CLI, which wraps silently.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bits {
    Unsigned32,
    Unsigned64,
    Signed64,
}

const fn property(name: &'static str, form: Form) -> Property {
    Property { name, since: 0, form }
}

const fn since(since: u8, name: &'static str, form: Form) -> Property {
    Property { name, since, form }
}

const fn closed(properties: &'static [Property]) -> Record {
    Record { properties, required: &[], others: Others::Refused }
}

/// The five sections of a file.
pub(super) const SECTIONS: &[(&str, u8, &Record)] = &[
    ("services", 0, &SERVICE),
    ("networks", 0, &NETWORK),
    ("volumes", 0, &VOLUME),
    ("secrets", 1, &SECRET),
    ("configs", 3, &CONFIG),
];

/// From this version on a file may have keys of its own at the top.
pub(super) const TOP_EXTENSIONS_SINCE: u8 = 4;

/// Properties of older formats, which end reading before anything else, and what to do instead.
pub(super) const FORBIDDEN: &[(&str, &str)] = &[
    ("extends", "write the service out"),
    ("volume_driver", "give the volume its driver in the top-level section volumes"),
    ("volumes_from", "name the volume in the top-level section volumes and mount it in both services"),
    ("cpu_quota", "set deploy.resources"),
    ("cpu_shares", "set deploy.resources"),
    ("cpuset", "set deploy.resources"),
    ("mem_limit", "set deploy.resources"),
    ("memswap_limit", "set deploy.resources"),
];

/// A service.
pub(super) static SERVICE: Record = Record {
    properties: &[
        property("build", Build),
        property("cap_add", Texts(true)),
        property("cap_drop", Texts(true)),
        since(9, "cgroupns_mode", Text),
        property("cgroup_parent", Text),
        property("command", Command),
        since(3, "configs", References),
        property("container_name", Text),
        since(3, "credential_spec", Inner(&CREDENTIAL_SPEC)),
        property("depends_on", Texts(true)),
        property("deploy", InnerOrNothing(&DEPLOY)),
        property("devices", Texts(true)),
        property("dns", TextOrTexts),
        property("dns_search", TextOrTexts),
        property("domainname", Text),
        property("entrypoint", Command),
        property("env_file", TextOrTexts),
        property("environment", Environment),
        property("expose", Exposed),
        property("external_links", Texts(true)),
        property("extra_hosts", Hosts),
        property("healthcheck", OptionalInner(&HEALTHCHECK)),
        property("hostname", Text),
        property("image", Text),
        since(7, "init", Switch),
        property("ipc", Text),
        since(5, "isolation", Text),
        property("labels", Labels),
        property("links", Texts(true)),
        property("logging", Logging),
        property("mac_address", Text),
        property("network_mode", Text),
        property("networks", Networks),
        since(13, "oom_score_adj", Forgotten(&Whole(Bits::Signed64))),
        property("pid", TextOrNothing),
        property("ports", Ports),
        property("privileged", Flag),
        property("read_only", Flag),
        property("restart", Text),
        since(1, "secrets", References),
        property("security_opt", Texts(true)),
        property("shm_size", Text),
        property("stdin_open", Flag),
        property("stop_grace_period", OptionalDuration),
        property("stop_signal", Text),
        property("sysctls", Labels),
        property("tmpfs", TextOrTexts),
        property("tty", Flag),
        property("ulimits", Ulimits),
        property("user", Text),
        property("userns_mode", Text),
        property("volumes", Mounts),
        property("working_dir", Text),
    ],
    required: &[],
    others: Others::Extensions(7),
};

/// `build`, which swarm ignores. From 3.11 on unknown keys pass.
pub(super) static BUILD: Record = Record {
    properties: &[
        property("args", Environment),
        since(2, "cache_from", Texts(true)),
        property("context", Text),
        property("dockerfile", Text),
        since(9, "extra_hosts", Hosts),
        since(3, "labels", Labels),
        since(4, "network", Text),
        since(5, "shm_size", Forgotten(&Raw)),
        since(4, "target", Text),
    ],
    required: &[],
    others: Others::Ignored,
};

static CREDENTIAL_SPEC: Record =
    closed(&[since(8, "config", Text), property("file", Text), property("registry", Text)]);

/// `logging`.
pub(super) static LOGGING: Record = closed(&[property("driver", Text), property("options", Options(true))]);

static HEALTHCHECK: Record = closed(&[
    property("disable", Flag),
    property("interval", OptionalDuration),
    property("retries", OptionalNumber(Bits::Unsigned64)),
    since(12, "start_interval", OptionalDuration),
    since(4, "start_period", OptionalDuration),
    property("test", HealthTest),
    property("timeout", OptionalDuration),
]);

static DEPLOY: Record = closed(&[
    since(2, "endpoint_mode", Text),
    property("labels", Labels),
    property("mode", Text),
    property("placement", Inner(&PLACEMENT)),
    property("replicas", OptionalWhole(Bits::Unsigned64)),
    property("resources", Inner(&RESOURCES)),
    property("restart_policy", OptionalInner(&RESTART_POLICY)),
    since(7, "rollback_config", OptionalInner(&UPDATE_POLICY)),
    property("update_config", OptionalInner(&UPDATE_POLICY)),
]);

static UPDATE_POLICY: Record = closed(&[
    property("delay", Duration),
    property("failure_action", Text),
    property("max_failure_ratio", Ratio),
    property("monitor", Duration),
    since(4, "order", OneOf(&["start-first", "stop-first"])),
    property("parallelism", OptionalWhole(Bits::Unsigned64)),
]);

static RESTART_POLICY: Record = closed(&[
    property("condition", Text),
    property("delay", OptionalDuration),
    property("max_attempts", OptionalWhole(Bits::Unsigned64)),
    property("window", OptionalDuration),
]);

static PLACEMENT: Record = closed(&[
    property("constraints", Texts(false)),
    since(8, "max_replicas_per_node", Whole(Bits::Unsigned64)),
    since(3, "preferences", Records(&PREFERENCE)),
]);

static PREFERENCE: Record = closed(&[property("spread", Text)]);

static RESOURCES: Record = closed(&[
    property("limits", OptionalInner(&LIMITS)),
    property("reservations", OptionalInner(&RESERVATIONS)),
]);

static LIMITS: Record =
    closed(&[property("cpus", Text), property("memory", Bytes), since(9, "pids", Whole(Bits::Signed64))]);

static RESERVATIONS: Record = closed(&[
    property("cpus", Text),
    since(5, "generic_resources", Records(&GENERIC_RESOURCE)),
    property("memory", Bytes),
]);

static GENERIC_RESOURCE: Record = closed(&[property("discrete_resource_spec", Resource)]);

/// What a generic resource says.
pub(super) static DISCRETE_RESOURCE: Record =
    closed(&[property("kind", Text), property("value", OptionalNumber(Bits::Signed64))]);

/// A published port in its long form.
pub(super) static PORT: Record = closed(&[
    property("mode", Text),
    property("protocol", Text),
    property("published", Whole(Bits::Unsigned32)),
    property("target", Whole(Bits::Unsigned32)),
]);

/// A mount in its long form.
pub(super) static MOUNT: Record = Record {
    properties: &[
        property("bind", OptionalInner(&BIND)),
        property("consistency", Text),
        property("read_only", Flag),
        property("source", Text),
        property("target", Text),
        since(6, "tmpfs", OptionalInner(&TMPFS)),
        property("type", Text),
        property("volume", OptionalInner(&VOLUME_OPTIONS)),
    ],
    required: &["type"],
    others: Others::Refused,
};

static BIND: Record =
    Record { properties: &[property("propagation", Text)], required: &[], others: Others::Ignored };

static VOLUME_OPTIONS: Record = Record {
    properties: &[property("nocopy", Flag), property("subpath", Text)],
    required: &[],
    others: Others::Ignored,
};

static TMPFS: Record =
    Record { properties: &[property("size", Whole(Bits::Signed64))], required: &[], others: Others::Ignored };

/// A config or secret that a service uses, in its long form.
pub(super) static REFERENCE: Record = Record {
    properties: &[
        property("gid", Text),
        property("mode", OptionalNumber(Bits::Unsigned32)),
        property("source", Text),
        property("target", Text),
        property("uid", Text),
    ],
    required: &[],
    others: Others::Ignored,
};

/// A service's place in one network.
pub(super) static ATTACHMENT: Record = closed(&[
    property("aliases", Texts(true)),
    since(13, "driver_opts", Options(false)),
    property("ipv4_address", Text),
    property("ipv6_address", Text),
]);

/// A network.
pub(super) static NETWORK: Record = Record {
    properties: &[
        since(2, "attachable", Flag),
        property("driver", Text),
        property("driver_opts", Options(false)),
        property("external", External(Others::Refused)),
        property("internal", Flag),
        property("ipam", Inner(&IPAM)),
        property("labels", Labels),
        since(5, "name", Text),
    ],
    required: &[],
    others: Others::Extensions(7),
};

static IPAM: Record = closed(&[property("config", Records(&POOL)), property("driver", Text)]);

static POOL: Record = closed(&[property("subnet", Text)]);

/// A volume.
pub(super) static VOLUME: Record = Record {
    properties: &[
        property("driver", Text),
        property("driver_opts", Options(false)),
        property("external", External(Others::Refused)),
        property("labels", Labels),
        since(4, "name", Text),
    ],
    required: &[],
    others: Others::Extensions(7),
};

/// A secret.
pub(super) static SECRET: Record = Record {
    properties: &[
        since(8, "driver", Text),
        since(8, "driver_opts", Options(false)),
        property("external", External(Others::Ignored)),
        property("file", Text),
        property("labels", Labels),
        since(5, "name", Text),
        since(8, "template_driver", Text),
    ],
    required: &[],
    others: Others::Extensions(7),
};

/// A config.
pub(super) static CONFIG: Record = Record {
    properties: &[
        property("external", External(Others::Ignored)),
        property("file", Text),
        property("labels", Labels),
        since(5, "name", Text),
        since(8, "template_driver", Text),
    ],
    required: &[],
    others: Others::Extensions(7),
};
