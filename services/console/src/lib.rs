//! The console: follows the topics into a bounded view in memory and serves it as JSON, with a
//! page that draws it.
//!
//! It only reads, but for the orders that it passes on. [`view`] is the model, apart from HTTP and from the bus; the other
//! modules feed it and serve it. What the view does not keep, why decisions of any instant were made, is read from the
//! log when someone asks.

pub mod config;
mod follow;
mod http;
mod pipeline;
mod run;
pub mod view;

pub use config::Config;
pub use follow::READS;
pub use run::{ensure_free, run_reporting};
