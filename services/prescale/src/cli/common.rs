//! What several commands take.

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use prescale_collector::Mapping;
use prescale_collector::config::ReplayConfig;

/// How output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For reading.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Applies `--map`, `--from` and `--to` where they are given.
pub(super) fn map_and_limit(
    replay: &mut ReplayConfig,
    map: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<()> {
    if let Some(map) = map {
        replay.mapping = Mapping::parse(map).context("--map")?;
    }
    let parsed = |flag: &str, text: &str| text.parse().map_err(|e: String| anyhow!("{flag} {text:?}: {e}"));
    if let Some(from) = from {
        replay.from = parsed("--from", from)?;
    }
    if let Some(to) = to {
        replay.to = parsed("--to", to)?;
    }
    Ok(())
}
