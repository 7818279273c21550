//! Real servers, fixtures and stand-ins that tests, demo and benchmarks start.

pub mod cache;
pub mod canaries;
pub mod certificate;
pub mod debian_root;
pub mod engine;
pub mod forge;
pub mod go_program;
pub mod guestbook_images;
pub mod held;
pub mod image;
pub mod inventory;
pub mod onlooker;
pub mod own_registry;
pub mod packages;
pub mod patience;
pub mod probe_recipe;
pub mod program;
pub mod progress;
pub mod public_image;
pub mod recipe_repository;
pub mod registry;
pub mod run_host;
pub mod rust_program;
pub mod stock;
mod sweep;
pub mod testbed;
pub mod traefik;
pub mod witness;

/// Whether a test may start private engines of its own; where not, says SKIP with the reason.
///
/// They need root and the programs of [`packages::ENGINE`], which `cargo xtask test swarm` installs.
pub fn can_start_engines() -> bool {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root && packages::are_there(packages::ENGINE) {
        return true;
    }
    progress::say(format!(
        "SKIP {name}: private Docker engines need root (run cargo xtask test swarm as root)"
    ));
    false
}
