//! The sandbox of a test program: bubblewrap with everything unshared, and three ways out that end at this run.
//!
//! Inside there are the system's programs read-only, the tests read-only, a private /tmp, own users, processes and
//! network. The network holds nothing but a loopback on which `inside.rs` passes connections to the door's socket.
//! There is no Docker socket, no home, no folder of any run. Nothing of the host can be written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::RunId;
use cc_ci_process::child::{ChildEnvironment, ChildSpec};
use cc_ci_process::environment as variable;

use super::Programs;

/// Bytes that a program may put into /tmp, which is memory.
const SCRATCH: &str = "268435456";
/// For the few files of its own /etc.
const SMALL: &str = "1048576";
/// Read-only folders of the system, where they exist; links among them (a merged /usr) stay links.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/run/current-system"];
/// Of /etc only what programs need to start and to know authorities; never passwords, keys or host names.
const ETC: [&str; 8] = [
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "pki",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
];
/// Where the ways out are, inside.
const WAYS: &str = "/run/ccci";

/// What the sandboxes of a run share.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// This program, which has the verb of [`super::inside`]; inside it is `cc-ci` on the PATH.
    pub program: PathBuf,
    /// The app's page; none for an app without one.
    pub page: Option<Page>,
    /// The app socket, for `cc-ci app`.
    pub app_socket: Option<PathBuf>,
    /// The authority of the app's certificate, where it is not a public one.
    pub ca: Option<PathBuf>,
    /// The app's domain.
    pub domain: String,
    /// The run.
    pub run: RunId,
}

/// The way to the app's page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The door's socket (`Door::open_socket`).
    pub door: PathBuf,
    /// `https` or `http`, then `://` and the domain, as the client has it.
    pub base_url: String,
}

impl Sandbox {
    pub(super) fn spec(
        &self,
        programs: &Programs,
        name: &str,
        limit: Duration,
        evidence: Option<PathBuf>,
    ) -> ChildSpec {
        let tier = programs.tier;
        let mut args = Args::default();
        args.add(["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]);
        args.add(["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "test"]);
        // Root in name only: of all capabilities the one for low ports of its own loopback is left, so that the app's
        // address is the one people use. With another user, bwrap nests a second user namespace, and the loopback
        // would belong to the outer one.
        args.add(["--uid", "0", "--gid", "0", "--cap-drop", "ALL", "--cap-add", "CAP_NET_BIND_SERVICE"]);
        for folder in SYSTEM {
            match std::fs::read_link(folder) {
                Ok(target) if folder != "/run/current-system" => {
                    args.paths("--symlink", &target, Path::new(folder))
                }
                _ => args.paths("--ro-bind-try", Path::new(folder), Path::new(folder)),
            }
        }
        args.add(["--size", SMALL, "--tmpfs", "/etc"]);
        for name in ETC {
            let path = Path::new("/etc").join(name);
            args.paths("--ro-bind-try", &path, &path);
        }
        args.add(["--proc", "/proc", "--dev", "/dev", "--size", SCRATCH, "--tmpfs", "/tmp", "--dir", WAYS]);
        args.way(&programs.folder, "/tests");
        if let Some(page) = &self.page {
            args.way(&page.door, &format!("{WAYS}/door"));
        }
        args.way(&self.program, &format!("{WAYS}/bin/cc-ci"));
        if let Some(socket) = &self.app_socket {
            args.way(socket, &format!("{WAYS}/app"));
        }
        if let Some(ca) = &self.ca {
            args.way(ca, &format!("{WAYS}/ca.pem"));
        }
        // From here on the root is read-only: a test writes to /tmp and nowhere else.
        args.add(["--remount-ro", "/", "--clearenv", "--chdir", &format!("/tests/{tier}")]);
        let path = format!("{WAYS}/bin:/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin");
        for (name, value) in [
            (variable::PATH, path.as_str()),
            (variable::HOME, "/tmp"),
            (variable::LANG, "C.UTF-8"),
            (variable::CCCI_APP_DOMAIN, &self.domain),
            (variable::CCCI_TIER, tier.word()),
            (variable::CCCI_RUN_ID, &self.run.to_string()),
        ] {
            args.add(["--setenv", name, value]);
        }
        if let Some(page) = &self.page {
            args.add(["--setenv", variable::CCCI_BASE_URL, &page.base_url]);
        }
        if self.app_socket.is_some() {
            args.add(["--setenv", variable::CCCI_APP_SOCKET, &format!("{WAYS}/app")]);
        }
        if self.ca.is_some() {
            let place = format!("{WAYS}/ca.pem");
            // OpenSSL and what is built on it (curl, Python, Ruby) read the first; Node reads the second.
            args.add(["--setenv", "SSL_CERT_FILE", &place, "--setenv", "NODE_EXTRA_CA_CERTS", &place]);
        }
        let port = match &self.page {
            Some(page) if page.base_url.starts_with("https:") => "443",
            Some(_) => "80",
            None => super::inside::NO_PAGE,
        };
        args.add(["--", &format!("{WAYS}/bin/cc-ci"), super::inside::VERB, &self.domain, port]);
        args.add([format!("{WAYS}/door").as_str(), format!("/tests/{tier}/{name}").as_str()]);
        // bwrap itself needs no home; a folder that is not there keeps it from finding one.
        let environment = ChildEnvironment::new(Path::new("/nonexistent"), Path::new("/nonexistent"));
        let label = format!("running {tier}/{name} against {}", self.domain);
        let spec = ChildSpec::new(label, "bwrap", environment, limit).args(args.0);
        let spec = spec.grace(Duration::from_secs(2)).keep_at_most(1 << 20);
        if let Some(file) = evidence { spec.evidence(file) } else { spec }
    }
}

/// The argument vector of bwrap.
#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn add<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.0.extend(words.into_iter().map(OsString::from));
    }

    fn paths(&mut self, flag: &str, from: &Path, to: &Path) {
        self.0.extend([OsString::from(flag), from.into(), to.into()]);
    }

    /// Something of the host, read-only at a place of its own.
    fn way(&mut self, from: &Path, to: &str) {
        self.paths("--ro-bind", from, Path::new(to));
    }
}
