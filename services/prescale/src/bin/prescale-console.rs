//! The console as a process of its own. It shows all stages, so it is made where they are listed.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale::services::service_process("console")
}
