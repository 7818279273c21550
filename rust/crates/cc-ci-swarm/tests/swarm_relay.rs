//! A relay on a real swarm: it follows the task it stands beside to another container, and not for ever.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cc_ci_model::names::ServiceName;
use cc_ci_process::wait::{Look, Waiting, wait_for};
use cc_ci_swarm::convergence::Converging;
use cc_ci_swarm::exec::running_container;
use cc_ci_swarm::relay::{MOVES, Relay, RelayJob};
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{LIMITS, Probe, TestRun};

const SOON: Waiting = Waiting { deadline: Duration::from_secs(60), interval: Duration::from_millis(200) };

/// The first line of what answers behind the socket.
fn answer(socket: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}

#[tokio::test]
async fn a_relay_follows_a_task_that_is_replaced_and_says_so() {
    let engine = engine_or_skip!();
    let (image, helper) = (engine.image("probe:1.0").reference.clone(), engine.helper_image.clone().unwrap());
    let run = TestRun::start(engine, "relay").await;
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&Probe::new(&image, "base").compose());
    converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| {}).await.unwrap();
    let service = run.service(ServiceName::parse("app").unwrap().as_str());
    let first = running_container(&run.docker, &service).await.unwrap().unwrap();
    let folder = run.folder.path().join("relay");
    let job = RelayJob {
        stack: &run.stack,
        run: &run.run,
        image: &helper,
        service: &service,
        container: &first,
        port: 8080,
        folder: &folder,
    };
    let relay = Relay::start(&run.docker, &job, &run.lock, &run.never).await.unwrap();
    let answers = |of: &'static str| {
        let socket = relay.socket().to_owned();
        wait_for(of, SOON, None, &run.never, move || {
            let seen = answer(&socket);
            std::future::ready(Ok::<_, std::convert::Infallible>(match seen {
                Some(line) if line == "HTTP/1.1 200 OK" => Look::There(()),
                other => Look::NotYet(format!("{other:?}")),
            }))
        })
    };
    answers("the first container to answer").await.unwrap();

    let told = Mutex::new(Vec::new());
    let follow = relay.follow(&run.docker, &job, &run.lock, &run.never, |text: &str| {
        told.lock().unwrap().push(text.to_owned());
    });
    let replace = async {
        let mut present = first.clone();
        for _ in 0..=MOVES {
            run.cli(&["container", "rm", "--force", &present]);
            let former = present.clone();
            present = wait_for("another container to run", SOON, None, &run.never, || async {
                let found = running_container(&run.docker, &service).await.unwrap();
                let other = found.filter(|id| *id != former);
                Ok::<_, std::convert::Infallible>(Look::from_option(other, "none yet"))
            })
            .await
            .unwrap();
            let moved = told.lock().unwrap().len() < MOVES as usize;
            if moved {
                answers("the next container to answer").await.unwrap();
            }
        }
    };
    tokio::join!(follow, replace);
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), MOVES as usize + 1, "{told:?}");
    assert!(
        told[0].contains("was replaced while it was looked at") && told[0].contains("1 of 3"),
        "{told:?}"
    );
    assert!(told[MOVES as usize].contains("it was followed 3 times and is no more"), "{told:?}");
    relay.stop(&run.docker).await.unwrap();
    run.tear_down().await;
}
