//! The detector as a process of its own.

use prescale_chassis::{
    ConfigError, FleetsConfig, FleetsSection, GroupsConfig, GroupsSection, Loader, service_main_reading,
};
use prescale_detector::{Config, Named};
use std::process::ExitCode;

/// Its own section, the fleets of `[governor]` and the groups of `[grouper]`.
fn read(loader: &Loader) -> Result<(Config, FleetsConfig, GroupsConfig), ConfigError> {
    let FleetsSection { fleets, .. } = loader.section("governor")?;
    let GroupsSection { groups, .. } = loader.section("grouper")?;
    Ok((loader.section("detector")?, fleets, groups))
}

fn main() -> ExitCode {
    service_main_reading("detector", read, |(config, fleets, groups), context, bus, shutdown| {
        prescale_detector::run(config, Named { fleets, groups }, context, bus, shutdown)
    })
}
