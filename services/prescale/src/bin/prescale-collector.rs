//! The collector as a process of its own. It waits for stages, so it is made where all of them are listed.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale::services::service_process("collector")
}
