//! A run is followed by events while it happens: each line once, nothing that is hostile, and up to its end.

#![expect(clippy::unwrap_used, reason = "in a test a panic with its place is the wanted report")]

mod server;

use std::io::Write as _;

use server::{Folders, Server, id, result, write};

fn running(id: &str) -> String {
    result(id, "custom-html")
        .replace("\"finished\",", "\"running\",")
        .replace("\"verdict\":\"pass\"", "\"verdict\":null")
}

fn replace(server: &Server, id: &str, text: &str) {
    let folder = server.runs().join(id);
    write(&folder.join(".result.json.new"), text);
    std::fs::rename(folder.join(".result.json.new"), folder.join("result.json")).unwrap();
}

fn append(server: &Server, id: &str, text: &str) {
    let mut log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(server.runs().join(id).join("log.txt"))
        .unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

#[test]
fn lines_and_tiers_come_as_they_are_written_up_to_the_end() {
    let folders = Folders::new();
    let run = folders.run(&id(1), &running(&id(1)));
    write(&run.join("log.txt"), "first\nsecond\n");
    let server = folders.serve("rescan = \"1h\"");
    let page = server.get(&format!("/runs/{}", id(1)));
    assert!(page.body.contains(&format!("data-source=\"/runs/{}/live?from=3-13\"", id(1))), "{}", page.body);
    assert!(page.body.contains("<noscript><meta http-equiv=\"refresh\""), "{}", page.body);
    let mut open = server.open(&format!("/runs/{}/live?from=3-13", id(1)), "");
    open.until("event: story");
    // Half a line waits for its end.
    append(&server, &id(1), "thi");
    append(&server, &id(1), "rd \u{1b}[31mred\u{1b}[0m <script>alert(1)</script>\n");
    let seen = open.until("id: 4-").to_owned();
    assert!(seen.contains("id=\"L3\"") && seen.contains("&lt;script&gt;"), "{seen}");
    assert!(seen.contains("<span class=\"ansi-red\">red</span>"), "{seen}");
    assert!(!seen.contains("first") && !seen.contains("<script>alert") && !seen.contains('\u{1b}'), "{seen}");
    replace(&server, &id(1), &running(&id(1)).replace("\"name\":\"install\"", "\"name\":\"upgrade\""));
    open.until("tier-upgrade");
    append(&server, &id(1), "last\n");
    replace(&server, &id(1), &result(&id(1), "custom-html"));
    let seen = open.until("event: end").to_owned();
    let place = |text: &str| seen.find(text).unwrap();
    assert!(place("id=\"L4\"") < place("event: end"), "the log's last line comes before the end: {seen}");
    assert_eq!(seen.matches("id=\"L3\"").count(), 1, "{seen}");
}

#[test]
fn a_reader_who_lost_the_connection_goes_on_where_it_was() {
    let folders = Folders::new();
    let run = folders.run(&id(1), &running(&id(1)));
    write(&run.join("log.txt"), "one\ntwo\nthree\n");
    let server = folders.serve("");
    let path = format!("/runs/{}/live", id(1));
    let seen = server.open(&path, "last-event-id: 3-8\r\n").until("id: 4-14").to_owned();
    assert!(seen.contains("id=\"L3\"") && !seen.contains("id=\"L2\""), "{seen}");
    // A place that is none is the beginning, and one behind the end means that the log was replaced.
    let seen = server.open(&path, "last-event-id: ../../etc\r\n").until("id: 4-14").to_owned();
    assert!(seen.contains("id=\"L1\""), "{seen}");
    server.open(&path, "last-event-id: 9-999\r\n").until("event: end");
}

#[test]
fn what_must_not_be_shown_is_not_followed() {
    let folders = Folders::new();
    folders.run(&id(1), &running(&id(1)).replace("\"leaks\":0", "\"leaks\":1"));
    folders.run(&id(2), "{");
    let run = folders.run(&id(3), &running(&id(3)));
    write(&run.join("log.txt"), "plain\n");
    let server = folders.serve("");
    for n in [1, 2, 4] {
        assert_eq!(server.get(&format!("/runs/{}/live", id(n))).status, 404, "{n}");
    }
    // A leak that is found while somebody reads ends it, and the page that is loaded again shows nothing.
    let mut open = server.open(&format!("/runs/{}/live", id(3)), "");
    open.until("plain");
    replace(&server, &id(3), &running(&id(3)).replace("\"leaks\":0", "\"leaks\":1"));
    open.until("event: end");
    server.wait(&format!("/runs/{}", id(3)), "the page that withholds", |page| !page.body.contains("plain"));
}

#[test]
fn readers_are_bounded_and_a_page_is_still_served() {
    let folders = Folders::new();
    folders.run(&id(1), &running(&id(1)));
    let server = folders.serve("");
    let path = format!("/runs/{}/live", id(1));
    let mut readers: Vec<_> = (0..64).map(|_| server.open(&path, "")).collect();
    for reader in &mut readers {
        reader.until("event: story");
    }
    assert_eq!(server.get(&path).status, 503);
    assert_eq!(server.get(&format!("/runs/{}", id(1))).status, 200);
    drop(readers);
    // A reader who is gone is noticed when there is something to send.
    append(&server, &id(1), "news\n");
    replace(&server, &id(1), &running(&id(1)));
    let mut tries = 0;
    loop {
        let mut open = server.open(&path, "");
        if open.until("\r\n\r\n").starts_with("HTTP/1.1 200") {
            break;
        }
        tries += 1;
        append(&server, &id(1), &format!("{tries}\n"));
        assert!(tries < 10_000, "readers that are gone are still counted");
    }
}
