//! The console as a process of its own.

use prescale_chassis::{ConfigError, GroupsConfig, GroupsSection, Loader, service_main_reading};
use prescale_console::Config;
use std::process::ExitCode;

/// Its own section, the planner's, whose decisions it explains, and the groups of `[grouper]`.
fn read(loader: &Loader) -> Result<(Config, prescale_planner::Config, GroupsConfig), ConfigError> {
    let GroupsSection { groups, .. } = loader.section("grouper")?;
    Ok((loader.section("console")?, loader.section("planner")?, groups))
}

fn main() -> ExitCode {
    service_main_reading("console", read, |(config, planner, groups), context, bus, shutdown| {
        prescale_console::run(config, (planner, groups), context, bus, shutdown)
    })
}
