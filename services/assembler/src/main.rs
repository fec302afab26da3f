//! The assembler as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale_chassis::service_main("assembler", prescale_assembler::run)
}
