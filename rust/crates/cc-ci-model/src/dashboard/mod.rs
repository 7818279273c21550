//! What the pages say of runs: summaries, what they look like, badges, and which files of a run anybody may read.

mod age;
mod badge;
mod face;
mod live;
mod overview;
mod queue;
mod run_file;
mod settings;
mod summary;

pub use age::{age, seconds};
pub use badge::{Badge, card};
pub use face::Face;
pub use live::Live;
pub use overview::{Change, History, RecipeRow, Sort, changes, history, overview};
pub use queue::{Queue, QueueEntry};
pub use run_file::RunFile;
pub use settings::DashboardSettings;
pub use summary::{Entry, Summary, TierLine, Unreadable};
