//! The `main` of a service's own binary.

use crate::bus_access::{BusConfig, open_bus};
use crate::config::{ConfigError, Loader};
use crate::context::Context;
use crate::http::TelemetryServer;
use crate::schema_registry::{SchemaRegistryConfig, with_registry};
use crate::shutdown;
use crate::telemetry::{self, Metrics, TelemetryConfig};
use anyhow::Context as _;
use prescale_bus::Bus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Exit code for bad usage or configuration, as in `sysexits.h`.
pub const EXIT_USAGE: u8 = 64;

/// What a service's library exposes: blocks until `shutdown`.
pub type Run<C> = fn(&C, &Context, Arc<dyn Bus>, &CancellationToken) -> anyhow::Result<()>;

#[derive(Debug, PartialEq, Eq)]
enum Usage {
    Run { config: Option<PathBuf> },
    Help,
    Version,
}

struct Settings<C> {
    service: C,
    bus: BusConfig,
    schema_registry: SchemaRegistryConfig,
    telemetry: TelemetryConfig,
}

/// Runs one service as this process: reads section `[name]`, `[bus]`, `[schema_registry]` and
/// `[telemetry]`, serves health and metrics, opens the bus, and runs until SIGTERM or SIGINT.
///
/// Exit codes: 0 after a clean stop, 64 for bad usage or configuration, 1 for a failure.
pub fn service_main<C>(name: &'static str, run: Run<C>) -> ExitCode
where
    C: Default + Serialize + DeserializeOwned,
{
    service_main_reading(name, |loader| loader.section(name), run)
}

/// As [`service_main`], of a service that reads its configuration itself, from several sections.
pub fn service_main_reading<C>(
    name: &'static str,
    read: impl Fn(&Loader) -> Result<C, ConfigError>,
    run: Run<C>,
) -> ExitCode {
    let settings = match usage(std::env::args().skip(1)) {
        Ok(Usage::Help) => {
            print!("{}", help(name));
            return ExitCode::SUCCESS;
        }
        Ok(Usage::Version) => {
            println!("prescale-{name} {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Usage::Run { config }) => load(config, read),
        Err(problem) => Err(anyhow::anyhow!("{problem}\n\n{}", help(name))),
    };
    let settings = match settings.and_then(|s| telemetry::init_logs(&s.telemetry).map(|()| s)) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("prescale-{name}: {error:#}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match serve(name, run, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{name} failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load<C>(path: Option<PathBuf>, read: impl Fn(&Loader) -> Result<C, ConfigError>) -> anyhow::Result<Settings<C>> {
    let loader = Loader::new(path.as_deref())?;
    let settings = Settings {
        service: read(&loader)?,
        bus: loader.section("bus")?,
        schema_registry: loader.section("schema_registry")?,
        telemetry: loader.section("telemetry")?,
    };
    loader.finish_own()?;
    settings.bus.check()?;
    settings.schema_registry.check()?;
    Ok(settings)
}

fn serve<C>(name: &str, run: Run<C>, settings: &Settings<C>) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let metrics = Metrics::install()?;
    let context = Context::new(&settings.bus);
    // Lives on while the service drains, so that the drain can be watched.
    let served = CancellationToken::new();
    let server = match settings.telemetry.listen.as_str() {
        "" => None,
        _ => Some(TelemetryServer::start(&settings.telemetry, context.health.clone(), metrics, &served)?),
    };
    if let Some(server) = &server {
        let scheme = settings.telemetry.tls.scheme();
        tracing::info!("{name} {}: telemetry on {scheme}://{}", env!("CARGO_PKG_VERSION"), server.address());
    }
    let done = open_bus(&settings.bus)
        .and_then(|bus| with_registry(bus, &settings.bus, &settings.schema_registry, &context.health, &shutdown))
        .and_then(|bus| run(&settings.service, &context, bus, &shutdown));
    served.cancel();
    if let Some(server) = server {
        server.join();
    }
    done
}

fn usage(mut args: impl Iterator<Item = String>) -> Result<Usage, String> {
    let mut config = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => return Ok(Usage::Help),
            "--version" | "-V" => return Ok(Usage::Version),
            "--config" => config = Some(args.next().ok_or("--config needs a FILE")?.into()),
            other => match other.strip_prefix("--config=") {
                Some(path) if !path.is_empty() => config = Some(path.into()),
                _ => return Err(format!("unexpected argument {other:?}")),
            },
        }
    }
    Ok(Usage::Run { config })
}

fn help(name: &str) -> String {
    format!(
        "Usage: prescale-{name} [--config FILE]

Runs Prescale's {name} until SIGTERM or SIGINT.

  --config FILE   configuration; otherwise PRESCALE_CONFIG, then ./prescale.toml, then the defaults
  -h, --help      this text
  -V, --version   the version

Sections read: [{name}], [bus], [schema_registry], [telemetry]. A key can be set by environment as well:
  PRESCALE__BUS__BACKEND=kafka PRESCALE__BUS__KAFKA__BOOTSTRAP_SERVERS=broker:9092 prescale-{name}

Exit codes: 0 stopped, 1 failed, 64 bad usage or configuration.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Usage, String> {
        usage(args.iter().map(|a| (*a).to_owned()))
    }

    #[test]
    fn arguments() {
        assert_eq!(read(&[]), Ok(Usage::Run { config: None }));
        let with_file = Ok(Usage::Run { config: Some("a.toml".into()) });
        assert_eq!(read(&["--config", "a.toml"]), with_file);
        assert_eq!(read(&["--config=a.toml"]), with_file);
        assert_eq!(read(&["-h"]), Ok(Usage::Help));
        assert_eq!(read(&["--version"]), Ok(Usage::Version));
        for wrong in [&["--config"][..], &["--config="], &["--confg", "x"], &["x"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_help_names_the_sections() {
        assert!(help("planner").contains("[planner], [bus], [schema_registry], [telemetry]"));
    }
}
