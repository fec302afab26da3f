//! The detector as a process of its own.

use prescale_chassis::{ConfigError, FleetsConfig, GroupsConfig, Loader, Named, service_main_reading};
use prescale_detector::Config;
use std::process::ExitCode;

/// Its own section, the fleets of `[governor]` and the groups of `[grouper]`.
fn read(loader: &Loader) -> Result<(Config, FleetsConfig, GroupsConfig), ConfigError> {
    let (fleets, groups) = Named::read(loader)?;
    Ok((loader.section("detector")?, fleets, groups))
}

fn main() -> ExitCode {
    service_main_reading("detector", read, |(config, fleets, groups), context, bus, shutdown| {
        prescale_detector::run(config, Named { fleets, groups }, context, bus, shutdown)
    })
}
