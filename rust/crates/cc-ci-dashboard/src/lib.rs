//! What people look at: read-only pages, badges and metrics, made of run folders and a few files of the other programs.

mod answer;
pub mod folder;
pub mod index;
pub mod kept_page;
mod live;
mod log_text;
mod machine_pages;
mod metrics;
mod page;
mod pages;
pub mod program;
pub mod routes;
mod run_page;
mod watch;
