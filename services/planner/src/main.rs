//! The planner as a process of its own.

use prescale_chassis::{ConfigError, FleetsConfig, FleetsSection, Loader, service_main_reading};
use prescale_planner::Config;
use std::process::ExitCode;

/// Its own section, and the fleets of `[governor]`.
fn read(loader: &Loader) -> Result<(Config, FleetsConfig), ConfigError> {
    let FleetsSection { fleets, .. } = loader.section("governor")?;
    Ok((loader.section("planner")?, fleets))
}

fn main() -> ExitCode {
    service_main_reading("planner", read, |(config, fleets), context, bus, shutdown| {
        prescale_planner::run(config, fleets, context, bus, shutdown)
    })
}
