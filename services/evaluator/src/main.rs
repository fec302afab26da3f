//! The evaluator as a process of its own.

use prescale_chassis::{ConfigError, GroupsConfig, GroupsSection, Loader, service_main_reading};
use prescale_evaluator::Config;
use std::process::ExitCode;

/// Its own section, the planner's, whose decisions it makes again, and the groups of `[grouper]`.
fn read(loader: &Loader) -> Result<(Config, prescale_planner::Config, GroupsConfig), ConfigError> {
    let GroupsSection { groups, .. } = loader.section("grouper")?;
    Ok((loader.section("evaluator")?, loader.section("planner")?, groups))
}

fn main() -> ExitCode {
    service_main_reading("evaluator", read, |(config, planner, groups), context, bus, shutdown| {
        prescale_evaluator::run(config, (planner, groups), context, bus, shutdown)
    })
}
