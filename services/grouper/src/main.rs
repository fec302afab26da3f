//! The grouper as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale_chassis::service_main("grouper", prescale_grouper::run)
}
