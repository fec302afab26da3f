//! When to write: not before a sample's time has come at the speed asked for, and not while the
//! stages are too far behind.

use crate::config::Speed;
use crate::retry::BusRetry;
use anyhow::{Context as _, Result};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::STAGES;
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

/// Holds a source back while the first stage is too far behind.
pub(crate) struct BackPressure<'a> {
    /// The bus.
    pub bus: &'a dyn Bus,
    /// Consumer group of the first stage.
    pub group: String,
    /// Most records that it may be behind; 0 for no bound.
    pub lag_max_records: u64,
}

impl BackPressure<'_> {
    /// Waits until the first stage is near enough; false when the shutdown comes first.
    pub(crate) fn wait(&self, retry: &BusRetry) -> Result<bool> {
        let shutdown = retry.shutdown();
        if self.lag_max_records == 0 {
            return Ok(!shutdown.is_cancelled());
        }
        let mut warn_at = Some(Instant::now() + WARN_AFTER);
        loop {
            let lags = retry.run(|| self.bus.lag(&self.group, STAGES[0].topic)).context("cannot see the lag")?;
            let Some(lags) = lags else { return Ok(false) };
            let behind: u64 = lags.iter().map(prescale_bus::Lag::behind).sum();
            if behind <= self.lag_max_records {
                return Ok(!shutdown.is_cancelled());
            }
            if warn_at.is_some_and(|at| Instant::now() >= at) {
                warn_at = None;
                tracing::warn!(
                    "the replay waits: {} is {behind} records behind, [collector.replay] lag_max_records = {}",
                    STAGES[0].stage,
                    self.lag_max_records
                );
            }
            retry.health().idle();
            if cancelled_within(shutdown, LOOK_EVERY) {
                return Ok(false);
            }
        }
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
