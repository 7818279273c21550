//! Whatever lies in a run's folder: pages answer, nothing leads out of it, and nothing of it is carried out.

mod server;

use server::{Folders, id, result, write};

const SECRET: &str = "hunter2-hunter2-hunter2";

#[test]
fn nothing_leads_out_of_a_runs_folder() {
    let folders = Folders::new();
    let run = folders.run(&id(1), &result(&id(1), "custom-html"));
    write(&folders.state().join("secret"), SECRET);
    write(&run.join("abra/servers/default/x.env"), SECRET);
    write(&run.join("state/deploys.jsonl"), SECRET);
    write(&run.join("tiers/lint/fine.txt"), "a fine line");
    std::os::unix::fs::symlink("../../../secret", run.join("tiers/lint/link.txt")).unwrap();
    std::os::unix::fs::symlink("../../secret", run.join("log.txt")).unwrap();
    std::os::unix::fs::symlink("../abra/servers", run.join("tiers/install")).unwrap();
    nix::unistd::mkfifo(&run.join("tiers/lint/pipe.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/etc", folders.state().join("runs").join(id(2))).unwrap();
    let server = folders.serve("");
    let one = id(1);
    assert_eq!(server.get(&format!("/runs/{one}/tiers/lint/fine.txt")).body, "a fine line");
    for path in [
        "../../secret",
        "..%2f..%2fsecret",
        "%2e%2e/%2e%2e/secret",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "tiers/lint/../../../../secret",
        "tiers/lint/link.txt",
        "tiers/lint/pipe.txt",
        "tiers/install/default",
        "tiers/install/default/x.env",
        "log.txt",
        "log",
        "abra/servers/default/x.env",
        "state/deploys.jsonl",
        "tiers/lint/fine.txt%00",
        "tiers/lint/%ff",
    ] {
        let answer = server.get(&format!("/runs/{one}/{path}"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains(SECRET), "{path}");
    }
    for path in [
        "/runs/..%2fruns",
        "/runs/..",
        "/recipe/..%2f..",
        "/badge/..%2f..%2fsecret.svg",
        "/runs/../secret",
        &format!("/runs/{}", id(2)),
        &format!("/runs/{}/passwd", id(2)),
        "/api/runs/..%2f..%2fsecret",
    ] {
        assert!(matches!(server.get(path).status, 400 | 404), "{path}");
    }
    for path in ["/".to_owned(), format!("/runs/{one}"), format!("/api/runs/{one}"), "/api/runs".to_owned()] {
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(SECRET) && !answer.body.contains("link.txt"), "{path}");
    }
}

#[test]
fn a_result_that_is_cut_at_any_byte_breaks_no_page() {
    let folders = Folders::new();
    let whole = result(&id(1), "custom-html");
    for cut in 0..whole.len() {
        folders.run(&id(cut + 2), whole.get(..cut).unwrap());
    }
    folders.run(&id(1), &whole);
    let server = folders.serve("");
    let overview = server.get("/");
    assert_eq!(overview.status, 200);
    assert!(overview.body.contains("custom-html") && overview.body.contains("unreadable"));
    for cut in (0..whole.len()).step_by(97) {
        let page = server.get(&format!("/runs/{}", id(cut + 2)));
        assert_eq!(page.status, 200, "cut at {cut}");
        assert!(page.body.contains("cut off"), "cut at {cut}: {}", page.body);
        assert_eq!(server.get(&format!("/api/runs/{}", id(cut + 2))).status, 422);
    }
}

#[test]
fn newer_foreign_missing_and_huge_results_are_shown_as_such() {
    let folders = Folders::new();
    folders.run(&id(1), "{\"schema\":9}");
    folders.run(&id(2), &result(&id(3), "custom-html"));
    std::fs::create_dir_all(folders.state().join("runs").join(id(4))).unwrap();
    let huge = folders.run(&id(5), "");
    std::fs::File::options().write(true).open(huge.join("result.json")).unwrap().set_len(1 << 30).unwrap();
    folders.run(&id(6), "\u{0}\u{1}[[[[[[[[");
    folders.run(&id(7), &"[".repeat(100_000));
    folders.run(&id(8), &result(&id(8), "<script>alert(1)</script>"));
    std::fs::create_dir_all(folders.state().join("runs/not-a-run")).unwrap();
    let server = folders.serve("");
    for (run, words) in [
        (1, "a newer cc-ci wrote it"),
        (2, "another run than its folder"),
        (4, "no result.json"),
        (5, "larger than anything"),
        (6, "cut off"),
        (7, "cut off"),
        (8, "cut off"),
    ] {
        let page = server.get(&format!("/runs/{}", id(run)));
        assert_eq!(page.status, 200);
        assert!(page.body.contains(words), "{run}: {}", page.body);
        assert!(!page.body.contains("<script"), "{run}");
    }
    assert_eq!(server.get("/").status, 200);
    assert!(server.get("/metrics").body.contains("cc_ci_runs{verdict=\"unreadable\"} 7"));
}

#[test]
fn recipe_output_is_shown_and_never_carried_out() {
    let folders = Folders::new();
    let run = folders.run(&id(1), &result(&id(1), "custom-html"));
    write(&run.join("log.txt"), "\x1b[31m<script>alert(3)</script>\x1b[0m\n");
    write(&run.join("tiers/lint/page.html"), "<script>alert(4)</script>");
    write(&run.join("card.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(5)</script></svg>");
    let server = folders.serve("");
    let one = id(1);
    for path in [format!("/runs/{one}"), format!("/runs/{one}/log"), format!("/runs/{one}/card.svg")] {
        let answer = server.get(&path);
        assert_eq!(answer.status, 200);
        assert!(
            !answer.body.contains("<script") && !answer.body.contains("<img src=x"),
            "{path}: {}",
            answer.body
        );
    }
    let page = server.get(&format!("/runs/{one}"));
    assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", page.body);
    assert!(!page.body.contains("/secret"), "a log that names another folder is no link");
    let file = server.get(&format!("/runs/{one}/tiers/lint/page.html"));
    assert_eq!(file.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(file.header("content-security-policy").unwrap().contains("sandbox"));
}

#[test]
fn a_planted_secret_is_never_shown() {
    let folders = Folders::new();
    let leaking = result(&id(1), "custom-html")
        .replace("\"leaks\":0", "\"leaks\":1")
        .replace("\"all\"", &format!("\"{SECRET}\""));
    let run = folders.run(&id(1), &leaking);
    write(&run.join("log.txt"), SECRET);
    write(&run.join("tiers/install/x.log"), SECRET);
    let cut = folders.run(&id(2), &format!("{{\"schema\":1,\"x\":\"{SECRET}"));
    write(&cut.join("log.txt"), SECRET);
    let server = folders.serve("");
    for n in [1, 2] {
        for rest in ["", "/log", "/log.txt", "/result.json", "/tiers/install/x.log", "/card.svg"] {
            let answer = server.get(&format!("/runs/{}{rest}", id(n)));
            assert!(!answer.body.contains(SECRET), "{n}{rest}");
        }
    }
    for path in [
        "/",
        "/recipe/custom-html",
        "/api/runs",
        "/api/recipes",
        "/metrics",
        "/badge/custom-html.svg",
        &format!("/api/runs/{}", id(1)),
        &format!("/api/runs/{}", id(2)),
    ] {
        assert!(!server.get(path).body.contains(SECRET), "{path}");
    }
    assert!(server.get(&format!("/runs/{}", id(1))).body.contains("unmasked secret values"));
}
