//! `prescale model` as the command line has it.

use super::common::Format;
use super::{Failure, quietly, say};
use crate::models::{self, Change};
use crate::services::SERVICES;
use crate::settings::Settings;
use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use prescale_collector::config::Moment;
use prescale_domain::time::EventTime;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[derive(Debug, Subcommand)]
pub(super) enum ModelVerb {
    /// Check the folder of a model as the predictor does before it uses one.
    Verify {
        /// The folder, with model.onnx, manifest.toml and golden.json.
        folder: PathBuf,
    },
    /// The models that there are, which of them are in use, and what is wrong with the others.
    List {
        /// How.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Bring a version of the models folder into use; the predictor goes on running.
    Promote(PromoteArgs),
    /// Let a version run beside the one in use: it is promoted once it is shown to lose less, or refused with the numbers.
    Try(TryArgs),
    /// Bring back into use what was before the version that was promoted last.
    Rollback(RollbackArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The version is checked first; one that is refused changes nothing. It takes over at an instant of the records'
time, 10 to 15 minutes from now if none is given, so that every predictor has heard of it by then. A stateful
model first runs beside the one before, until it has seen as many bins of a series as it needs.

Examples:
  prescale model promote lstm 0.2.0
  prescale model promote gru 0.3.0 --from 2026-12-01T00:00:00Z"
)]
pub(super) struct PromoteArgs {
    /// gru, lstm, svr or random-forest.
    family: String,
    /// Name of the folder in [predictor] models_dir, below the family's.
    version: String,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The version is checked first; one that is refused changes nothing. It forecasts nothing that is published. What it
loses beside the one in use, on the same workloads, horizons and instants, is on topic trials. After 24 hours or more of
3 workloads or more it comes into use where it is shown to lose less, and what was in use is then on trial in turn, and
comes back where that is shown to lose less. Where it is shown to lose more, or nothing is shown in 14 days, it is refused.
`prescale model list` has the numbers. One trial of a family at a time: another one ends it.

Examples:
  prescale model try gru 0.1.0+20261201T0000
  prescale model try lstm 0.3.0 --from +1h"
)]
pub(super) struct TryArgs {
    /// gru, lstm, svr or random-forest.
    family: String,
    /// Name of the folder in [predictor] models_dir, below the family's.
    version: String,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// gru, lstm, svr or random-forest.
    family: String,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
struct When {
    /// From when on: RFC 3339, Unix seconds, or a length from now such as +1h.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
}

pub(super) fn run(config: Option<&Path>, verb: &ModelVerb) -> Result<(), Failure> {
    // Not checked whole: a model that is refused must not keep one from finding out why, or from taking another.
    let settings = quietly(Settings::load(&SERVICES, config).map_err(|e| Failure::Usage(e.into()))?)?;
    let settings = settings.predictor.settings().map_err(Failure::Usage)?;
    let now = now()?;
    let change = |name: &str, when: &When| -> Result<_> {
        Ok((models::family_named(name)?, models::store(&settings)?, when.instant(now)?))
    };
    match verb {
        ModelVerb::Verify { folder } => say(&models::verified(&settings, folder)?),
        ModelVerb::List { format } => say(&models::listed(&settings, now, *format == Format::Json)?),
        ModelVerb::Promote(PromoteArgs { family, version, when }) => {
            let (family, store, from) = change(family, when).map_err(Failure::Usage)?;
            say(&Change { settings: &settings, store: &store, family, now, from }.promote(version)?)
        }
        ModelVerb::Try(TryArgs { family, version, when }) => {
            let (family, store, from) = change(family, when).map_err(Failure::Usage)?;
            say(&Change { settings: &settings, store: &store, family, now, from }.try_out(version)?)
        }
        ModelVerb::Rollback(RollbackArgs { family, when }) => {
            let (family, store, from) = change(family, when).map_err(Failure::Usage)?;
            say(&Change { settings: &settings, store: &store, family, now, from }.roll_back()?)
        }
    }
}

impl When {
    fn instant(&self, now: EventTime) -> Result<Option<EventTime>> {
        let Some(text) = &self.from else { return Ok(None) };
        let moment: Moment = text.parse().map_err(|e: String| anyhow!("--from {e}"))?;
        Ok(moment.after(Some(now)))
    }
}

fn now() -> Result<EventTime> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok(EventTime::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
