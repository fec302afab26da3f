//! The `prescale` command. It has no verbs yet; the library holds what they will call.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("prescale: the command line is not in this build yet");
    ExitCode::from(64)
}
