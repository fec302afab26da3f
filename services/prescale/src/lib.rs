//! The command line: `prescale up` runs all services in one process; the other verbs look at the
//! configuration, the topics, the records and the decisions.

pub mod account;
pub mod acls;
pub mod anomalies;
pub mod backtest;
pub mod bus_commands;
pub mod check_config;
pub mod cli;
pub mod dead_letters;
pub mod incidents;
mod lanes;
pub mod models;
pub mod replay;
mod report_page;
pub mod retraining;
pub mod services;
pub mod settings;
pub mod state_report;
pub mod topics;
#[cfg(test)]
mod toy;
pub mod up;

use anyhow::Context as _;
use std::fs;
use std::path::Path;

/// JSON with a line for each value and one at the end.
fn pretty_json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n")
}

/// Writes `report.json` and `report.html` into a folder, which is made.
fn write_report(folder: &Path, report: &impl serde::Serialize, page: &str) -> anyhow::Result<()> {
    let cannot = |file: &Path| format!("cannot write {}", file.display());
    fs::create_dir_all(folder).with_context(|| cannot(folder))?;
    let json = folder.join("report.json");
    fs::write(&json, pretty_json(report)?).with_context(|| cannot(&json))?;
    let file = folder.join("report.html");
    fs::write(&file, page).with_context(|| cannot(&file))
}
