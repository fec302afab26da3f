//! When to write: not before a sample's time has come at the speed asked for, and not while the
//! stages are too far behind.

use crate::config::Speed;
use anyhow::{Context as _, Result};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::{BusRetry, Context, StageEntry};
use prescale_contracts::topics;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(10);
const WARN_AFTER: Duration = Duration::from_secs(10);

/// When samples are due.
pub(crate) struct Pace {
    speed: Speed,
    /// An instant of the trace, and when it was due.
    anchor: Option<(i64, Instant)>,
}

impl Pace {
    /// A pace that begins with the first instant that it is asked about.
    pub(crate) fn new(speed: Speed) -> Self {
        Self { speed, anchor: None }
    }

    /// How long to wait for an instant of the trace.
    pub(crate) fn wait(&mut self, at_ms: i64) -> Duration {
        if self.speed == Speed::Max {
            return Duration::ZERO;
        }
        let (begin_ms, began) = *self.anchor.get_or_insert_with(|| (at_ms, Instant::now()));
        self.speed.on_the_clock(at_ms - begin_ms).saturating_sub(began.elapsed())
    }
}

/// Holds a source back while one of the first stages is too far behind.
pub(crate) struct BackPressure<'a> {
    /// The bus.
    bus: &'a dyn Bus,
    /// The stages that read what it writes and lead on, with their consumer groups.
    first: Vec<(StageEntry, String)>,
    /// Most records that it may be behind; 0 for no bound.
    lag_max_records: u64,
}

impl<'a> BackPressure<'a> {
    /// By the stages of an installation that read samples and lead on.
    pub(crate) fn of(context: &Context, bus: &'a dyn Bus, lag_max_records: u64) -> Self {
        Self::on(&[topics::RAW_KPIS], context, bus, lag_max_records)
    }

    /// By the stages of an installation that read one of these topics and lead on.
    pub(crate) fn on(inputs: &[&str], context: &Context, bus: &'a dyn Bus, lag_max_records: u64) -> Self {
        let leads_on = |stage: &&StageEntry| inputs.contains(&stage.input) && !stage.outputs.is_empty();
        let stages = context.graph.stages().iter().filter(leads_on);
        let first = stages.map(|stage| (*stage, context.group(stage.stage))).collect();
        Self { bus, first, lag_max_records }
    }
}

impl BackPressure<'_> {
    /// Waits until all of them are near enough; false when the shutdown comes first.
    pub(crate) fn wait(&self, retry: &BusRetry) -> Result<bool> {
        let shutdown = retry.shutdown();
        if self.lag_max_records == 0 {
            return Ok(!shutdown.is_cancelled());
        }
        let mut warn_at = Some(Instant::now() + WARN_AFTER);
        loop {
            let Some((stage, behind)) = self.slowest(retry)? else { return Ok(false) };
            if behind <= self.lag_max_records {
                return Ok(!shutdown.is_cancelled());
            }
            if warn_at.is_some_and(|at| Instant::now() >= at) {
                warn_at = None;
                tracing::warn!(
                    source = retry.id(),
                    "it waits: {stage} is {behind} records behind, and lag_max_records = {}",
                    self.lag_max_records
                );
            }
            retry.health().idle();
            if cancelled_within(shutdown, LOOK_EVERY) {
                return Ok(false);
            }
        }
    }

    /// The stage that is the furthest behind, and by how many records; `None` when the shutdown comes first.
    fn slowest(&self, retry: &BusRetry) -> Result<Option<(&'static str, u64)>> {
        let mut slowest = ("nobody", 0);
        for (stage, group) in &self.first {
            let lags = retry.run(|| self.bus.lag(group, stage.input)).context("cannot see the lag")?;
            let Some(lags) = lags else { return Ok(None) };
            let behind: u64 = lags.iter().map(prescale_bus::Lag::behind).sum();
            if behind > slowest.1 {
                slowest = (stage.stage, behind);
            }
        }
        Ok(Some(slowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_speed_instants_are_due_in_proportion() {
        let mut pace = Pace::new(Speed::Times(60.0));
        assert_eq!(pace.wait(1_000_000), Duration::ZERO);
        let minute = pace.wait(1_060_000);
        assert!(minute <= Duration::from_secs(1) && minute > Duration::from_millis(1));
        assert!(pace.wait(1_000_000 + 3_600_000) > Duration::from_secs(50));
        assert_eq!(Pace::new(Speed::Max).wait(i64::MAX), Duration::ZERO);
    }
}
