//! ONE RUN, from checkout to the proof of removal.

pub mod app_socket;
pub mod checks;
pub mod customisation;
pub mod deploying;
pub mod door;
pub mod evidence;
pub mod examine;
pub mod failure_evidence;
pub mod finish;
pub mod folder;
pub mod hands;
pub mod host;
pub mod http;
pub mod local_tests;
pub mod prepare;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod seeds;
pub mod serving;
pub mod setup;
pub mod side;
pub mod standing;
pub mod stub;
pub mod swarm_hands;
pub mod tier_run;
