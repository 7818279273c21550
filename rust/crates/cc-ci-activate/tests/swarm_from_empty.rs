//! An engine without a swarm becomes what is declared: once, also where two begin at once, and never again.

use std::path::Path;
use std::process::{Output, Stdio};

use cc_ci_testkit::engine::{EngineOptions, PrivateEngine};

fn declared(folder: &Path, archive: &Path, proxy: &str) -> std::path::PathBuf {
    let path = folder.join("activate-swarm.toml");
    let text = format!(
        "zone = \"ci.test\"\nproxy_subnet = \"{proxy}\"\ngateway_subnet = \"172.29.0.0/16\"\n\
         address_pools = [\"10.201.0.0/16\"]\nhelper_image = \"{}\"\n",
        archive.display()
    );
    std::fs::write(&path, text).expect("the folder is ours");
    path
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn second_activation_changes_nothing_nor_do_two_at_once() {
    let engine = PrivateEngine::start(&EngineOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let docker = |arguments: &[&str]| engine.docker().args(arguments).run().unwrap();
    // An image, as an archive alone.
    let (layer, archive) = (folder.path().join("layer.tar"), folder.path().join("helper.tar"));
    std::fs::write(&layer, [0; 1024]).unwrap();
    docker(&["import", layer.to_str().unwrap(), "cc-ci-helper:local"]);
    docker(&["image", "save", "--output", archive.to_str().unwrap(), "cc-ci-helper:local"]);
    docker(&["image", "rm", "cc-ci-helper:local"]);
    // An engine as a fresh host has it.
    docker(&["swarm", "leave", "--force"]);
    docker(&["network", "rm", "docker_gwbridge"]);

    let config = declared(folder.path(), &archive, "10.200.0.0/20");
    let start = |more: &[&str]| {
        let mut command = engine.command_in(Path::new(env!("CARGO_BIN_EXE_cc-ci-activate")));
        command.arg("swarm").arg("--config").arg(&config).arg("--state").arg(folder.path().join("state"));
        command.args(more).env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let run = |more: &[&str]| start(more).wait_with_output().unwrap();

    let dry = run(&["--dry-run"]);
    assert!(said(&dry).contains("would make this engine a swarm of one node"), "{}", said(&dry));
    let both = [start(&[]), start(&[])].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        assert!(output.status.success(), "{}", said(output));
    }
    let idle = both.iter().filter(|output| said(output).contains("the swarm is as declared")).count();
    assert_eq!(idle, 1, "{} {}", said(&both[0]), said(&both[1]));

    let subnet = "{{(index .IPAM.Config 0).Subnet}} {{.Driver}}";
    assert_eq!(docker(&["network", "inspect", "proxy", "--format", subnet]).trim(), "10.200.0.0/20 overlay");
    let gateway = docker(&["network", "inspect", "docker_gwbridge", "--format", subnet]);
    assert_eq!(gateway.trim(), "172.29.0.0/16 bridge");
    docker(&["image", "inspect", "cc-ci-helper:local"]);
    docker(&["network", "create", "--driver", "overlay", "of-an-app"]);
    let pool = docker(&["network", "inspect", "of-an-app", "--format", subnet]);
    assert!(pool.starts_with("10.201."), "{pool}");

    let node = docker(&["node", "ls", "--quiet"]);
    let again = run(&[]);
    assert!(said(&again).contains("the swarm is as declared"), "{}", said(&again));
    assert_eq!(docker(&["node", "ls", "--quiet"]), node);

    declared(folder.path(), &archive, "10.202.0.0/20");
    let other = run(&[]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("docker network rm proxy"), "{}", said(&other));
    assert_eq!(docker(&["network", "inspect", "proxy", "--format", subnet]).trim(), "10.200.0.0/20 overlay");
}
