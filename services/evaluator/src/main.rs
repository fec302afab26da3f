//! The evaluator as a process of its own.

use prescale_chassis::{ConfigError, Loader, service_main_reading};
use prescale_evaluator::Config;
use std::process::ExitCode;

/// Its own section, and the planner's, whose decisions it makes again.
fn read(loader: &Loader) -> Result<(Config, prescale_planner::Config), ConfigError> {
    Ok((loader.section("evaluator")?, loader.section("planner")?))
}

fn main() -> ExitCode {
    service_main_reading("evaluator", read, |(config, planner), context, bus, shutdown| {
        prescale_evaluator::run(config, planner, context, bus, shutdown)
    })
}
