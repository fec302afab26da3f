//! The command line: `prescale up` runs all services in one process; the other verbs look at the
//! configuration, the topics, the records and the decisions.

pub mod account;
pub mod acls;
pub mod backtest;
pub mod bus_commands;
pub mod check_config;
pub mod cli;
pub mod dead_letters;
pub mod explain;
pub mod models;
pub mod settings;
pub mod topics;
pub mod up;

use anyhow::Context as _;

/// JSON with a line for each value and one at the end.
fn pretty_json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n")
}
