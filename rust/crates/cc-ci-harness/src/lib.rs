//! ONE RUN, from checkout to the proof of removal.

pub mod customisation;
pub mod deploying;
pub mod examine;
pub mod failure_evidence;
pub mod finish;
pub mod folder;
pub mod host;
pub mod prepare;
pub mod report;
pub mod run;
pub mod setup;
pub mod side;
pub mod standing;
pub mod stub;
pub mod tier_run;
