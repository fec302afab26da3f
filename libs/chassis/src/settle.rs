//! Waiting until stages have caught up.

use crate::context::Context;
use crate::graph::StageEntry;
use prescale_bus::{Bus, BusError, cancelled_within};
use prescale_contracts::topics;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the positions are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All that follows from what was on the bus has been written.
    Yes,
    /// The shutdown came first.
    Shutdown,
}

impl Context {
    /// The stages through which samples lead to results of actions, in the order of the data: whoever feels those
    /// waits for these.
    pub fn feedback_stages(&self) -> Vec<StageEntry> {
        self.graph.leading(topics::RAW_KPIS, topics::ACTION_RESULTS)
    }

    /// Waits until all that follows from the records now on `raw-kpis` has been written by every stage that leads to
    /// `action-results`. What others write meanwhile is not waited for.
    ///
    /// # Errors
    /// When the bus cannot be read or a topic is missing.
    pub fn settled(&self, bus: &dyn Bus, shutdown: &CancellationToken) -> Result<Settled, BusError> {
        self.settled_through(&self.feedback_stages(), bus, shutdown)
    }

    /// As [`Context::settled`], of these stages: each is to write all that follows from what is on its topic when
    /// those before it are through. What a circle brings back to a stage is not waited for again.
    ///
    /// # Errors
    /// As [`Context::settled`].
    pub fn settled_through(
        &self,
        stages: &[StageEntry],
        bus: &dyn Bus,
        shutdown: &CancellationToken,
    ) -> Result<Settled, BusError> {
        Ok(self.wait_through(stages, bus, shutdown, Duration::MAX)?.unwrap_or(Settled::Shutdown))
    }

    /// As [`Context::settled`], but gives up, with `None`, when the stage that is waited for has not
    /// moved for `patience`.
    ///
    /// # Errors
    /// As [`Context::settled`].
    pub fn settled_while_moving(
        &self,
        bus: &dyn Bus,
        shutdown: &CancellationToken,
        patience: Duration,
    ) -> Result<Option<Settled>, BusError> {
        self.wait_through(&self.feedback_stages(), bus, shutdown, patience)
    }

    fn wait_through(
        &self,
        stages: &[StageEntry],
        bus: &dyn Bus,
        shutdown: &CancellationToken,
        patience: Duration,
    ) -> Result<Option<Settled>, BusError> {
        for StageEntry { stage, input, .. } in stages {
            let group = self.group(stage);
            let mut lags = bus.lag(&group, input)?;
            let ends: Vec<i64> = lags.iter().map(|l| l.end).collect();
            let mut moved = Instant::now();
            while lags.iter().zip(&ends).any(|(lag, end)| lag.position < *end) {
                if cancelled_within(shutdown, LOOK_EVERY) {
                    return Ok(Some(Settled::Shutdown));
                }
                let before = std::mem::replace(&mut lags, bus.lag(&group, input)?);
                if lags.iter().zip(&before).any(|(now, before)| now.position != before.position) {
                    moved = Instant::now();
                } else if moved.elapsed() > patience {
                    return Ok(None);
                }
            }
        }
        Ok(Some(Settled::Yes))
    }
}
