//! The project's own commands: `cargo xtask test` sets up what the tests need and runs them all.

mod deny;
mod given;
mod history;
mod peers;
mod process;
mod python;
mod setup;

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask COMMAND

  test     set up, then lint, deny.toml where cargo-deny is there, rust, then python
  setup    only the set-up: Java, Maven, Go, Chromium, Prometheus, VictoriaMetrics, InfluxDB, etcd,
           PyTorch
  lint     formatting and clippy
  rust     all Rust tests
  python   the tests of the training kit
  deny     cargo deny with advisories; installs it into the user's cache
  test-peers [--binary FILE] [--kafka HOST:PORT] [NAME ...]
           remote write's compliance tests, and others' senders made from their Go modules, against a process of ours:
           compliance, prometheus, telegraf, collector; needs the network, and long the first time. Of the binary that is
           named (or PRESCALE_BINARY), or else of one that is built from here, with the Kafka that is named, or else a
           test's own. And openstack: what is built from here against a real OpenStack from Debian's packages
  time-history [--binary FILE] [WORKLOADS]
           how long it takes from two weeks in a Prometheus to the forecasts and the account of all (500) workloads
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("test") => test(),
        Some("setup") => setup::everything(),
        Some("lint") => lint(),
        Some("rust") => rust(),
        Some("python") => python::test(),
        Some("deny") => deny::everything(),
        Some("test-peers") => peers::test(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("time-history") => history::time(&std::env::args().skip(2).collect::<Vec<_>>()),
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
    deny::where_installed()?;
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

/// Runs cargo as a developer's shell does. What cargo tells this program of its own package, build scripts such as
/// ring's would take for a change of theirs: they and all that depends on them would be built anew each time that one
/// goes from `cargo xtask` to `cargo build` and back.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    cargo_with(args, &[])
}

/// The same with more in its environment.
pub(crate) fn cargo_with(args: &[&str], environment: &[(&str, OsString)]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(&name);
        }
    }
    run(command.args(args).envs(environment.iter().map(|(name, value)| (*name, value))))
}

/// The folder of ours in the user's cache, which need not exist yet.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where the user's cache is")?;
    Ok(cache.join("prescale"))
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
