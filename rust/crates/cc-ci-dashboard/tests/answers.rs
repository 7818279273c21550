//! What every answer has, which answers are short, and what follows a run while it happens.

mod server;

use server::{Folders, id, result, write};

#[test]
fn every_answer_forbids_script_and_guessing() {
    let folders = Folders::new();
    folders.run(&id(1), &result(&id(1), "custom-html"));
    let server = folders.serve("");
    for path in [
        "/",
        "/nothing",
        "/janitor",
        "/health",
        "/healthz",
        "/metrics",
        "/style.css",
        "/recipe/custom-html",
        "/badge/custom-html.svg",
        "/api/runs",
        "/api/recipes",
        &format!("/runs/{}", id(1)),
        &format!("/runs/{}/result.json", id(1)),
    ] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        if answer.header("content-type").is_some_and(|media| media.starts_with("text/html")) {
            let body = &answer.body;
            assert!(
                !body.contains("<script") && !body.contains("<style") && !body.contains(" style="),
                "{path}"
            );
        }
    }
}

#[test]
fn a_badge_that_is_known_is_not_sent_again() {
    let folders = Folders::new();
    folders.run(&id(1), &result(&id(1), "custom-html"));
    let server = folders.serve("");
    let badge = server.get("/badge/custom-html.svg");
    assert_eq!((badge.status, badge.header("content-type")), (200, Some("image/svg+xml")));
    assert!(badge.body.contains("level 5"), "{}", badge.body);
    let tag = badge.header("etag").unwrap().to_owned();
    let again = server.ask("/badge/custom-html.svg", &format!("if-none-match: \"other\", W/{tag}\r\n"));
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    write(
        &server.runs().join(id(2)).join("result.json"),
        &result(&id(2), "custom-html").replace("\"level\":5", "\"level\":2"),
    );
    let changed = server
        .wait("/badge/custom-html.svg", "the newer run's level", |badge| badge.body.contains("level 2"));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    assert!(server.get("/badge/custom-html.svg?style=status").body.contains("pass"));
    assert!(server.get("/badge/custom-html.json").body.contains("\"message\":\"level 2\""));
    assert_eq!(server.get("/badge/never-heard-of.svg").status, 404);
}

#[test]
fn a_run_is_followed_from_its_stub_to_its_end() {
    let server = Folders::new().serve("rescan = \"1h\"");
    let one = id(1);
    let stub = result(&one, "custom-html")
        .replace("\"finished\",", "\"running\",")
        .replace("\"verdict\":\"pass\"", "\"verdict\":null");
    let folder = server.runs().join(&one);
    std::fs::create_dir(&folder).unwrap();
    let replace = |text: &str| {
        write(&folder.join(".result.json.new"), text);
        std::fs::rename(folder.join(".result.json.new"), folder.join("result.json")).unwrap();
    };
    replace(&stub);
    server.wait("/", "the run that began", |page| page.body.contains("pill running"));
    replace(&result(&one, "custom-html"));
    server.wait("/api/recipes", "the run that ended", |answer| answer.body.contains("\"looks\":\"pass\""));
    std::fs::remove_dir_all(&folder).unwrap();
    server.wait("/api/runs", "the run that was removed", |answer| answer.body.contains("\"runs\":[]"));
}

#[test]
fn private_artefact_and_badge_answer_404() {
    let folders = Folders::new();
    let run = folders.run(&id(1), &result(&id(1), "custom-html"));
    write(&run.join("log.txt"), "private");
    let server = folders.serve("private = [\"custom-html\"]");
    for path in [
        "/recipe/custom-html",
        "/badge/custom-html.svg",
        "/badge/custom-html.json",
        &format!("/runs/{}", id(1)),
        &format!("/runs/{}/log.txt", id(1)),
        &format!("/api/runs/{}", id(1)),
    ] {
        let (hidden, absent) = (
            server.get(path),
            server.get(&path.replace("custom-html", "nothing").replace("000001", "00000f")),
        );
        assert_eq!((hidden.status, hidden.body), (404, absent.body), "{path}");
    }
    assert!(!server.get("/").body.contains("custom-html"));
}

#[test]
fn imported_runs_and_recipes_without_a_run_are_shown() {
    let folders = Folders::new();
    let state = folders.state();
    write(&state.join("imported").join(id(1)).join("result.json"), &result(&id(1), "from-afar"));
    write(&state.join("recipes/never-ran/recipe.toml"), "schema = 1");
    let server = folders.serve(&format!("recipes = {:?}", state.join("recipes")));
    let page = server.get("/");
    assert!(
        page.body.contains("from-afar")
            && page.body.contains("never-ran")
            && page.body.contains("no run yet"),
        "{}",
        page.body
    );
    assert_eq!(server.get("/recipe/never-ran").status, 200);
    assert!(!server.get("/?q=afar").body.contains("never-ran"));
    assert!(!server.get("/?show=no_run").body.contains("from-afar"));
}

#[test]
fn what_waits_for_a_run_is_shown_and_counted_and_private_recipes_are_not() {
    let folders = Folders::new();
    folders.run(&id(1), &result(&id(1), "custom-html"));
    let server = folders.serve("private = [\"secret-app\"]");
    assert!(!server.get("/").body.contains("Queued"));
    let one = |repository: &str, pr: u32, run: &str| {
        format!(
            r#"{{"repository":"{repository}","pr":{pr},"by":"ada","commit":"0123456789abcdef","attempt":2,"build":3,"run":{run}}}"#
        )
    };
    let entries = [
        one("coop/custom-html", 71, "null"),
        one("coop/secret-app", 72, "null"),
        one("coop/custom-html", 73, &format!("\"{}\"", id(1))),
        one("coop/<script>", 74, "null"),
    ];
    let queue = server.state().join("bridge/queue.json");
    write(&queue, &format!(r#"{{"schema":1,"open":[{}]}}"#, entries.join(",")));
    let page = server.get("/").body;
    assert!(
        page.contains("Queued") && page.contains("custom-html</a> #71") && page.contains("attempt 2"),
        "{page}"
    );
    for hidden in ["secret-app", "#72", "#73", "#74", "<script>", "ada"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    assert!(server.get("/metrics").body.contains("\ncc_ci_queue 1\n"));
    write(&queue, "{\"schema\":1,\"op");
    assert_eq!(server.get("/").status, 200);
    assert!(!server.get("/metrics").body.contains("cc_ci_queue"));
}

#[test]
fn sums_of_the_metrics_follow_runs_that_come_change_and_go() {
    let folders = Folders::new();
    folders.run(&id(1), &result(&id(1), "custom-html"));
    let server = folders.serve("rescan = \"1h\"");
    let says = |lines: [&str; 3]| {
        let answer = server.wait("/metrics", "the sums", |answer| {
            lines.iter().all(|line| answer.body.lines().any(|seen| seen == *line))
        });
        assert_eq!(answer.status, 200);
    };
    says([
        "cc_ci_runs{verdict=\"pass\"} 1",
        "cc_ci_runs{verdict=\"fail\"} 0",
        "cc_ci_tier_seconds{tier=\"install\"} 3.500",
    ]);
    let folder = server.runs().join(id(2));
    std::fs::create_dir(&folder).unwrap();
    let place = |text: &str| {
        write(&folder.join(".new"), text);
        std::fs::rename(folder.join(".new"), folder.join("result.json")).unwrap();
    };
    place(
        &result(&id(2), "custom-html")
            .replace("\"finished\",", "\"running\",")
            .replace("\"verdict\":\"pass\"", "\"verdict\":null"),
    );
    says([
        "cc_ci_runs{verdict=\"pass\"} 1",
        "cc_ci_runs{verdict=\"running\"} 1",
        "cc_ci_tier_seconds{tier=\"install\"} 7.000",
    ]);
    place(&result(&id(2), "custom-html").replace("\"verdict\":\"pass\"", "\"verdict\":\"fail\""));
    says([
        "cc_ci_runs{verdict=\"running\"} 0",
        "cc_ci_runs{verdict=\"fail\"} 1",
        "cc_ci_tier_runs{tier=\"install\"} 2",
    ]);
    std::fs::remove_dir_all(&folder).unwrap();
    says([
        "cc_ci_runs{verdict=\"fail\"} 0",
        "cc_ci_runs{verdict=\"pass\"} 1",
        "cc_ci_tier_runs{tier=\"install\"} 1",
    ]);
}

#[test]
fn a_recipes_page_says_when_its_level_changed_and_why() {
    let folders = Folders::new();
    folders.run(&id(1), &result(&id(1), "custom-html"));
    let worse = result(&id(2), "custom-html").replace("\"level\":5", "\"level\":2");
    folders
        .run(&id(2), &worse.replace("\"level_reason\":\"all\"", "\"level_reason\":\"backup <i>failed</i>\""));
    let server = folders.serve("");
    let page = server.get("/recipe/custom-html").body;
    assert!(page.contains("level 5 → 2, because backup &lt;i&gt;failed&lt;/i&gt;"), "{page}");
    assert!(page.contains("seconds of install") && !page.contains("seconds of restore"), "{page}");
}

#[test]
fn term_ends_it_well_and_folders_that_cannot_be_read_are_said() {
    let mut server = Folders::new().serve("rescan = \"50ms\"");
    assert_eq!(server.get("/healthz").status, 200);
    std::fs::remove_dir_all(server.runs()).unwrap();
    server.wait("/healthz", "the missing folder", |answer| answer.status == 503);
    assert!(server.get("/").body.contains("looking into"));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn check_config_names_the_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.toml");
    write(&file, "title = \"x\"\nlisten_on = \"127.0.0.1:1\"\n");
    let run = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_cc-ci-dashboard"))
            .args(["check-config", "--config"])
            .arg(&file)
            .output()
            .unwrap()
    };
    let refused = run();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{words}");
    assert!(words.contains("line 2: key listen_on") && words.contains("did you mean `listen`"), "{words}");
    write(&file, "title = \"x\"\n");
    assert_eq!(run().status.code(), Some(0));
}

#[test]
fn an_inherited_socket_is_served_and_no_other_is_opened() {
    use std::io::{BufRead as _, Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("runs")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // What systemd does: the socket is descriptor 3, and the process is told its own number.
    let mut child = std::process::Command::new("sh")
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --listen 192.0.2.1:1 3<&0"])
        .arg(env!("CARGO_BIN_EXE_cc-ci-dashboard"))
        .env("CCCI_STATE_DIR", folder.path())
        .stdin(std::os::fd::OwnedFd::from(listener))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let asked = std::net::TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains(&address.to_string()), "{line}");
    assert!(asked.unwrap().ends_with("ok\n"));
}
