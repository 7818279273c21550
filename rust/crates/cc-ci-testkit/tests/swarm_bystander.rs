//! The life of a testbed leaves another Docker on the same machine exactly as it was.

use std::process::Command;

use cc_ci_testkit::inventory;
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::Testbed;
use cc_ci_testkit::witness;

/// Interfaces, mounts and namespaces of the machine, as far as programs outside can see them.
fn machine() -> Vec<String> {
    let read = |name: &str, arguments: &[&str]| {
        let output = Command::new(name).args(arguments).output().expect("iproute2 and coreutils are there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    vec![read("ip", &["-brief", "link"]), read("ip", &["netns"]), read("cat", &["/proc/self/mounts"])]
}

#[test]
fn a_testbed_does_not_touch_the_users_docker() {
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    // One engine plays the user's own Docker, with a stack that runs on it.
    let bystander = Testbed::start(Proxy::Without).unwrap();
    bystander.add_witness().unwrap();
    let before = inventory::take(&bystander.engine).unwrap();
    let machine_before = machine();
    assert!(before["services"].iter().any(|line| line.contains(witness::STACK)), "{before:?}");

    // Beside it the whole life of what the demo starts, with objects of the very same names.
    let other = Testbed::start(Proxy::Without).unwrap();
    other.add_witness().unwrap();
    other.engine.docker().args(["volume", "create", "added"]).run().unwrap();
    other.engine.docker().args(["stack", "rm", witness::STACK]).run().unwrap();
    assert_ne!(inventory::take(&other.engine).unwrap(), before);
    other.stop().unwrap();

    assert_eq!(inventory::take(&bystander.engine).unwrap(), before);
    assert_eq!(machine(), machine_before);
    bystander.stop().unwrap();
}
