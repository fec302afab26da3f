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
use std::thread;

/// Part of the names of tests that need Kubernetes' real controllers, which take minutes to build: those of the peers run them.
pub(crate) const CONTROLLED: &str = "::controlled::";

const HELP: &str = "\
cargo xtask COMMAND

  test     set up, then lint, deny.toml where cargo-deny is there, rust, then python
  setup    only the set-up: Java, Maven, Go, Chromium, Prometheus, VictoriaMetrics, InfluxDB, etcd, kubectl,
           PyTorch
  lint     formatting and clippy
  rust     all Rust tests
  python   the tests of the training kit
  deny     cargo deny with advisories; installs it into the user's cache
  test-peers [--binary FILE] [--kafka HOST:PORT] [NAME ...]
           remote write's compliance tests, and others' senders made from their Go modules, against a process of ours:
           compliance, prometheus, telegraf, collector. Of the binary that is named (or PRESCALE_BINARY), or else of one
           that is built from here, with the Kafka that is named, or else a test's own. And what is built from here against
           kubernetes (real controllers and nodes, a fleet's day among it: 25 minutes) and openstack (a real one, from
           Debian's packages). Needs the network, and long the first time
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
    suites(&[rust_units, python::test])
}

fn lint() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // What is not tested by default is left out by that.
    cargo(&["clippy", "--release", "--workspace", "--test", "openstack", "--", "-D", "warnings"])
}

/// All Rust tests.
fn rust() -> Result<()> {
    suites(&[rust_units])
}

/// Builds the Rust tests and runs them, with `quick` beside the faults: those wait for brokers most of the time, and leave
/// the processor to tests that compute. Every suite is run, whatever the others come to.
fn suites(quick: &[fn() -> Result<()>]) -> Result<()> {
    // Tests start them; `cargo test` alone does not build every one.
    cargo(&["build", "--release", "--workspace", "--bins"])?;
    cargo(&["test", "--release", "--workspace", "--tests", "--no-run"])?;
    let mut outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let faults = scope.spawn(|| rust_suite(&["--test", "faults"]).output().context("cannot start cargo"));
        let mut outcomes: Vec<Result<()>> = quick.iter().map(|suite| suite()).collect();
        outcomes.push(faults.join().unwrap_or_else(|_| bail!("the suite of faults broke off")).and_then(|done| {
            eprint!("{}", String::from_utf8_lossy(&done.stderr));
            print!("{}", String::from_utf8_lossy(&done.stdout));
            if !done.status.success() {
                bail!("the suite of faults ended with {}", done.status);
            }
            Ok(())
        }));
        outcomes
    });
    // One of them trains.
    let python = python::environment()?;
    let rest = ["--test", "all", "--test", "schema_registry", "--", "--skip", CONTROLLED];
    outcomes.push(run(rust_suite(&rest).env("PRESCALE_PYTHON", python)));
    let failed: Vec<String> =
        outcomes.into_iter().filter_map(|it| it.err().map(|error| format!("{error:#}"))).collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

fn rust_units() -> Result<()> {
    run(&mut rust_suite(&["--lib", "--bins"]))
}

/// Some of the Rust tests: the targets that `args` choose of the whole workspace, with the features of all of it.
fn rust_suite(args: &[&str]) -> Command {
    let mut command = cargo_command(&["test", "--release", "--workspace", "--no-fail-fast"]);
    command.args(args);
    command
}

/// Runs cargo as a developer's shell does. What cargo tells this program of its own package, build scripts such as
/// ring's would take for a change of theirs: they and all that depends on them would be built anew each time that one
/// goes from `cargo xtask` to `cargo build` and back.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    cargo_with(args, &[])
}

/// The same with more in its environment.
pub(crate) fn cargo_with(args: &[&str], environment: &[(&str, OsString)]) -> Result<()> {
    run(cargo_command(args).envs(environment.iter().map(|(name, value)| (*name, value))))
}

fn cargo_command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(&name);
        }
    }
    command.args(args);
    command
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
