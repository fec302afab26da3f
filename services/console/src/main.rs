//! The console as a process of its own.

use prescale_chassis::{
    ConfigError, FleetsConfig, FleetsSection, GroupsConfig, GroupsSection, Loader, service_main_reading,
};
use prescale_console::Config;
use prescale_planner::Named;
use std::process::ExitCode;

/// Its own section, the planner's, whose decisions it explains, the fleets of `[governor]` and the groups of `[grouper]`.
fn read(loader: &Loader) -> Result<(Config, prescale_planner::Config, FleetsConfig, GroupsConfig), ConfigError> {
    let FleetsSection { fleets, .. } = loader.section("governor")?;
    let GroupsSection { groups, .. } = loader.section("grouper")?;
    Ok((loader.section("console")?, loader.section("planner")?, fleets, groups))
}

fn main() -> ExitCode {
    service_main_reading("console", read, |(config, planner, fleets, groups), context, bus, shutdown| {
        prescale_console::run(config, (planner, Named { fleets, groups }), context, bus, shutdown)
    })
}
