//! Looks at locks, removes what nobody owns, keeps a diary.

mod dead_runs;
pub mod diary;
mod folders;
mod health;
pub mod host;
mod images;
pub mod program;
pub mod sweep;
