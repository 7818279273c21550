//! Test programs see their own app and nothing of the machine they run on.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]
#![allow(clippy::print_stdout, reason = "a test that cannot run says SKIP")]

mod app;
mod origin;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::Hands;
use cc_ci_harness::app_socket::AppSocket;
use cc_ci_harness::door::{Door, Patience, Target};
use cc_ci_harness::evidence::Evidence;
use cc_ci_harness::sandbox::{LocalTests, Page, Programs, Sandbox, local_tests};
use cc_ci_model::abra_sh::exports;
use cc_ci_model::env_file::EnvFile;
use cc_ci_model::names::{Recipe, RunId};
use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::{Look, RecipeToml};
use cc_ci_model::result::{CheckReport, Origin as From};
use cc_ci_model::settings::Settings;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use origin::{OWN, Origin, STRANGER};

const LONG: Duration = Duration::from_secs(60);

/// A run with its ways out, and a folder for tests.
struct Bench {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    door: Door,
    _socket: AppSocket,
    origin: Origin,
}

/// The program that knows the verb, built beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples/inside");
    assert!(path.exists(), "{} is missing: run all tests of the crate, or --examples", path.display());
    path
}

/// Whether bubblewrap can make a sandbox here; says why not.
fn bubblewrap_works() -> bool {
    let tried = Command::new("bwrap")
        .args(["--unshare-user", "--unshare-net", "--ro-bind", "/", "/", "true"])
        .stderr(Stdio::piped())
        .output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("SKIP: bwrap makes no sandbox here: {}", String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(error) => {
            println!("SKIP: bwrap is not installed: {error}");
            false
        }
    }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let body = "<h1>our app</h1>";
        let origin =
            Origin::plain(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        let door = Door::open(&[OWN], Target::Tcp(origin.address), Patience::default()).await.unwrap();
        door.open_socket(&folder.path().join("door.sock")).unwrap();
        let socket = AppSocket::open(&folder.path().join("app.sock"), Arc::new(Hands::default())).unwrap();
        let sandbox = Sandbox {
            program: program(),
            page: Some(Page { door: folder.path().join("door.sock"), base_url: format!("http://{OWN}") }),
            app_socket: Some(folder.path().join("app.sock")),
            ca: None,
            domain: OWN.to_owned(),
            run: RunId::parse("20260102T030405-abcdef").unwrap(),
        };
        std::fs::create_dir_all(folder.path().join("tests/custom")).unwrap();
        Self { folder, sandbox, door, _socket: socket, origin }
    }

    fn write(&self, name: &str, mode: u32, script: &str) {
        let path = self.folder.path().join("tests/custom").join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    async fn run_all(&self, limit: Duration) -> Vec<CheckReport> {
        let programs = Programs::find(&self.folder.path().join("tests"), Tier::Custom, From::Recipe).unwrap();
        let masker = Masker::new();
        masker.add("test", &cc_ci_process::mask::SecretValue::new("correct-horse-battery")).unwrap();
        let evidence = Evidence::new(self.folder.path(), Tier::Custom, masker);
        self.sandbox.run_all(&programs, limit, &Cancellation::new(), &evidence).await
    }

    /// Runs one script; its report and its whole output.
    async fn run(&self, script: &str, limit: Duration) -> (CheckReport, String) {
        self.write("script", 0o755, script);
        let report = self.run_all(limit).await.remove(0);
        let log =
            report.log.as_ref().map(|log| std::fs::read_to_string(self.folder.path().join(log)).unwrap());
        (report, log.unwrap_or_default())
    }
}

/// Bash's own client, so that nothing has to be installed.
const ASK: &str = r#"
ask() { exec 3<>"/dev/tcp/$CCCI_APP_DOMAIN/80" && printf 'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' "$1" >&3 && cat <&3; }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_test_reaches_its_app_through_the_door_and_no_other() {
    if !bubblewrap_works() {
        return;
    }
    let bench = Bench::new().await;
    let (report, log) = bench.run(&format!("{ASK}\nask {OWN}; echo; ask {STRANGER}"), LONG).await;
    assert_eq!(report.status, Status::Pass, "{}\n{log}", report.message);
    assert_eq!((report.name.as_str(), report.origin), ("custom/script", From::Recipe));
    assert!(log.contains("<h1>our app</h1>") && log.contains("421 Misdirected Request"), "{log}");
    assert_eq!((bench.door.passed(), bench.door.refused(), bench.origin.connections()), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_decides_and_the_last_words_are_shown() {
    if !bubblewrap_works() {
        return;
    }
    let bench = Bench::new().await;
    let (report, _) = bench.run("echo wrong title >&2; exit 3", LONG).await;
    assert_eq!(report.status, Status::Fail);
    assert_eq!(report.message, "it ended with code 3: wrong title");
    let (report, _) = bench.run("echo no second user here; exit 77", LONG).await;
    assert_eq!(report.status, Status::Unverified, "a test that skips itself is no pass");
    let (report, log) = bench.run("echo password correct-horse-battery; exit 1", LONG).await;
    assert!(!report.message.contains("horse") && !log.contains("horse"), "{} {log}", report.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_host_is_in_sight() {
    if !bubblewrap_works() {
        return;
    }
    let bench = Bench::new().await;
    let neighbour = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = neighbour.local_addr().unwrap().port();
    let folder = bench.folder.path().display();
    let script = format!(
        r#"
bad=0
not() {{ if "$@" 2>/dev/null; then echo "possible: $*"; bad=1; fi; }}
not test -e /var/run/docker.sock
not test -e /run/docker.sock
not test -e /root
not test -e /home
not test -e /etc/shadow
not test -e {folder}
not touch /tests/custom/new
not touch /usr/new
not touch /new
not touch /run/ccci/new
not bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'
not bash -c 'exec 3<>/dev/tcp/192.0.2.1/80'
test "$(ls -d /proc/[0-9]* | wc -l)" -lt 12 || {{ echo "processes of the host"; bad=1; }}
test "$(ls /sys/class/net 2>/dev/null | grep -v -x lo)" = "" || {{ echo "networks of the host"; bad=1; }}
test "$(grep CapEff /proc/self/status)" = "$(printf 'CapEff:\t0000000000000400')" || {{ echo "capabilities"; bad=1; }}
touch /tmp/fine || bad=1
env | grep -o '^[A-Z_]*=' | grep -v -x -e PWD= -e SHLVL= -e _= | sort | tr -d '=\n'
exit $bad
"#
    );
    let (report, log) = bench.run(&script, LONG).await;
    assert_eq!(report.status, Status::Pass, "{}\n{log}", report.message);
    assert!(
        log.contains("CCCI_APP_DOMAINCCCI_APP_SOCKETCCCI_BASE_URLCCCI_RUN_IDCCCI_TIERHOMELANGPATH"),
        "no variable besides: {log}"
    );
}

/// Settings are read and never run; a program is called with what the protocol names, and one that cannot be called is told before.
#[tokio::test(flavor = "multi_thread")]
async fn settings_are_data_and_hooks_are_called_by_protocol() {
    let bench = Bench::new().await;
    let trace = bench.folder.path().join("trace");
    let hostile = format!("$(touch {0}) `touch {0}`", trace.display());
    let check = |command: &str| {
        let exec = format!("exec = {{ service = \"app\", command = {command}, stdin = \"{hostile}\" }}");
        let text = format!(
            "schema = 1\napp.env.X = \"{hostile}\"\n[[check]]\ntier = \"custom\"\nname = \"x\"\n{exec}\n"
        );
        RecipeToml::parse("recipe.toml", &text)
    };
    let read = check(&format!("[\"echo\", \"{hostile}\"]")).unwrap();
    assert_eq!(read.app.env.values().collect::<Vec<_>>(), [&hostile]);
    let Look::Exec(exec) = &read.check[0].look else { panic!("an exec look") };
    assert_eq!((exec.command[1].as_str(), exec.stdin.as_deref()), (hostile.as_str(), Some(hostile.as_str())));
    let env = EnvFile::parse(&format!("A='{hostile}'\n"));
    assert_eq!(env.get("A").as_deref(), Some(hostile.as_str()));
    let exports = exports(&format!("touch {}\nexport A={hostile}\nexport B=v1\n", trace.display()));
    assert_eq!(exports.get("B").map(String::as_str), Some("v1"));
    // A command is a list of words; a line for a shell is none.
    let refused = check(&format!("\"echo {hostile}\"")).unwrap_err();
    assert!(refused.key.starts_with("check"), "{refused}");
    assert!(!trace.exists(), "reading ran something");
    if !bubblewrap_works() {
        return;
    }
    let script = "echo $#:$CCCI_TIER:$CCCI_RUN_ID:$CCCI_BASE_URL:$CCCI_APP_DOMAIN:; test -S $CCCI_APP_SOCKET";
    let (report, log) = bench.run(script, LONG).await;
    assert_eq!(report.status, Status::Pass, "{}\n{log}", report.message);
    let expected = format!("0:custom:20260102T030405-abcdef:http://{OWN}:{OWN}:");
    assert!(log.contains(&expected), "{expected} is missing in {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_over_its_time_limit_fails_and_leaves_no_process() {
    if !bubblewrap_works() {
        return;
    }
    let bench = Bench::new().await;
    let token = format!("{}.{}", 90_000 + std::process::id(), 125);
    let start = Instant::now();
    let script = format!("setsid sleep {token} & disown; trap '' TERM; sleep {token}");
    let (report, _) = bench.run(&script, Duration::from_secs(1)).await;
    assert_eq!(report.status, Status::Fail);
    assert!(report.message.starts_with("over its time limit of 1s"), "{}", report.message);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    let end = Instant::now() + Duration::from_secs(20);
    while is_running(&token) {
        assert!(Instant::now() < end, "a process of the test lives on");
        tokio::task::yield_now().await;
    }
}

fn is_running(token: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.any(|line| line.starts_with("sleep") && line.contains(token))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_may_execute_is_not_passed() {
    let bench = Bench::new().await;
    bench.write("forgotten", 0o644, "exit 0");
    std::os::unix::fs::symlink("/bin/true", bench.folder.path().join("tests/custom/link")).unwrap();
    let reports = bench.run_all(LONG).await;
    assert_eq!(reports.len(), 1, "a link is no test: {reports:?}");
    assert_eq!(reports[0].status, Status::Unverified);
    assert!(reports[0].message.contains("chmod +x"), "{}", reports[0].message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_does_not_come_up_is_not_the_apps_fault() {
    if !bubblewrap_works() {
        return;
    }
    let mut bench = Bench::new().await;
    if let Some(page) = &mut bench.sandbox.page {
        page.door = bench.folder.path().join("no-such-door");
    }
    let (report, _) = bench.run("exit 0", LONG).await;
    assert_eq!(report.status, Status::Unverified);
    assert!(
        report.message.contains("did not come up") && report.message.contains("no-such-door"),
        "{}",
        report.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recipe_code_from_a_pr_is_ignored_unless_listed() {
    let bench = Bench::new().await;
    let trace = bench.folder.path().join("trace");
    bench.write("hostile", 0o755, &format!("touch {}", trace.display()));
    let (recipe, tests) = (Recipe::parse("custom-html").unwrap(), bench.folder.path().join("tests"));
    let LocalTests::Ignored(sentence) = local_tests(&Settings::default(), &recipe, &tests) else {
        panic!("the default is to deny");
    };
    assert!(sentence.contains("custom/hostile") && sentence.contains("approved_recipe_tests"), "{sentence}");
    let other = Settings::parse("s", "approved_recipe_tests = [\"custom-html-tiny\"]").unwrap();
    assert!(matches!(local_tests(&other, &recipe, &tests), LocalTests::Ignored(_)));
    let listed = Settings::parse("s", "approved_recipe_tests = [\"custom-html\"]").unwrap();
    assert_eq!(local_tests(&listed, &recipe, &tests), LocalTests::Run(tests.clone()));
    assert_eq!(local_tests(&listed, &recipe, &bench.folder.path().join("nothing")), LocalTests::None);
    // And where it runs, it leaves no trace on the host.
    if bubblewrap_works() {
        let report = bench.run_all(LONG).await.remove(0);
        assert_eq!(report.status, Status::Fail, "{}", report.message);
    }
    assert!(!trace.exists());
}
