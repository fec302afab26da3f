//! The scaler as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale_chassis::service_main("scaler", prescale_scaler::run)
}
