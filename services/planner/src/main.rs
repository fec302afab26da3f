//! The planner's binary: not built yet, and it says so.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("planner: this service is not in this build yet");
    ExitCode::FAILURE
}
