//! The project's own commands: `cargo xtask test` sets up what the tests need and runs them all.

mod python;
mod setup;

use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask COMMAND

  test     set up, then lint, then rust, then python
  setup    only the set-up: Java, Maven, Go, Chromium, Prometheus, VictoriaMetrics, InfluxDB, PyTorch
  lint     formatting and clippy
  rust     all Rust tests
  python   the tests of the training kit
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("test") => test(),
        Some("setup") => setup::everything(),
        Some("lint") => lint(),
        Some("rust") => rust(),
        Some("python") => python::test(),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<()> {
    setup::everything()?;
    lint()?;
    rust()?;
    python::test()
}

fn lint() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn rust() -> Result<()> {
    // Tests start them; `cargo test` alone does not build every one.
    cargo(&["build", "--release", "--workspace", "--bins"])?;
    cargo(&["test", "--release", "--workspace", "--no-fail-fast"])
}

fn cargo(args: &[&str]) -> Result<()> {
    run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(args))
}

/// Runs a command with this terminal's output; an error names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("xtask: {shown}");
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}
