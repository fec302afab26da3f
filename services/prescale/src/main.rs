//! The `prescale` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    prescale::cli::main()
}
