//! WHAT IS TRUE: values, parsers and decisions, without I/O, clock, async or environment.

pub mod abra_sh;
pub mod backup_labels;
pub mod compose;
pub mod config_drift;
pub mod convergence;
pub mod deploy_overlay;
pub mod duration;
pub mod env_file;
pub mod event;
pub mod head_proof;
pub mod inventory;
pub mod level;
pub mod lint;
pub mod names;
pub mod outcome;
pub mod plan;
pub mod recipe_toml;
pub mod request;
pub mod result;
pub mod secret_rules;
pub mod serving;
pub mod settings;
pub mod settings_file;
pub mod size;
pub mod tier;
pub mod version;
