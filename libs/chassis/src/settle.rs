//! The stages of the pipeline in the order of the data, and waiting until they have caught up.

use crate::context::Context;
use prescale_bus::{Bus, BusError, cancelled_within};
use prescale_contracts::topics;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the positions are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A stage and the topic that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageInput {
    /// Name of the stage.
    pub stage: &'static str,
    /// Topic that it reads.
    pub topic: &'static str,
}

/// The stages in the order of the data.
pub const STAGES: [StageInput; 5] = [
    StageInput { stage: "fingerprinter", topic: topics::RAW_KPIS },
    StageInput { stage: "predictor", topic: topics::FINGERPRINTS },
    StageInput { stage: "planner", topic: topics::PREDICTIONS },
    StageInput { stage: "governor", topic: topics::PROPOSALS },
    StageInput { stage: "actuator", topic: topics::ACTIONS },
];

/// The evaluator, where it is enabled. Nothing depends on what it writes, so no stage waits for it.
pub const EVALUATOR: StageInput = StageInput { stage: "evaluator", topic: topics::PREDICTIONS };

/// The stages of the grouper, where there are groups. The pipeline does not wait for them.
pub const GROUP_STAGES: [StageInput; 2] = [
    StageInput { stage: "grouper", topic: topics::PREDICTIONS },
    StageInput { stage: "group-forecaster", topic: topics::GROUP_PARTS },
];

/// What the archiver may run: a stage for each store and topic, so that a store that is down holds up
/// no other. No stage waits for them; only a replay that runs until it is done does, at its end.
pub const SINKS: [StageInput; 8] = [
    StageInput { stage: "archiver-prometheus-fingerprints", topic: topics::FINGERPRINTS },
    StageInput { stage: "archiver-prometheus-predictions", topic: topics::PREDICTIONS },
    StageInput { stage: "archiver-prometheus-groups", topic: topics::GROUP_PREDICTIONS },
    StageInput { stage: "archiver-influxdb-fingerprints", topic: topics::FINGERPRINTS },
    StageInput { stage: "archiver-influxdb-predictions", topic: topics::PREDICTIONS },
    StageInput { stage: "archiver-influxdb-groups", topic: topics::GROUP_PREDICTIONS },
    StageInput { stage: "archiver-parquet-fingerprints", topic: topics::FINGERPRINTS },
    StageInput { stage: "archiver-parquet-predictions", topic: topics::PREDICTIONS },
];

/// Topics that a stage writes, beside the dead letter queue of its input; none for a name that is
/// no stage's.
pub fn outputs_of(stage: &str) -> &'static [&'static str] {
    match stage {
        "fingerprinter" => &[topics::FINGERPRINTS],
        "predictor" => &[topics::PREDICTIONS, topics::PREDICTIONS_LATEST],
        "grouper" => &[topics::GROUP_PARTS],
        "group-forecaster" => &[topics::GROUP_PREDICTIONS],
        "planner" => &[topics::PROPOSALS],
        "governor" => &[topics::ACTIONS, topics::PROPOSALS, topics::CONTROL],
        "actuator" => &[topics::ACTION_RESULTS],
        "evaluator" => &[topics::OUTCOMES],
        _ => &[],
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All that follows from what was on the bus has been written.
    Yes,
    /// The shutdown came first.
    Shutdown,
}

impl Context {
    /// Waits until all that follows from the records now on `raw-kpis` has been written by every
    /// stage, the actuator last. What others write meanwhile is not waited for.
    ///
    /// # Errors
    /// When the bus cannot be read or a topic is missing.
    pub fn settled(&self, bus: &dyn Bus, shutdown: &CancellationToken) -> Result<Settled, BusError> {
        self.settled_through(&STAGES, bus, shutdown)
    }

    /// As [`Context::settled`], of these stages: each is to write all that follows from what is on its topic when
    /// those before it are through.
    ///
    /// # Errors
    /// As [`Context::settled`].
    pub fn settled_through(
        &self,
        stages: &[StageInput],
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
        self.wait_through(&STAGES, bus, shutdown, patience)
    }

    fn wait_through(
        &self,
        stages: &[StageInput],
        bus: &dyn Bus,
        shutdown: &CancellationToken,
        patience: Duration,
    ) -> Result<Option<Settled>, BusError> {
        for StageInput { stage, topic } in stages {
            let group = self.group(stage);
            let mut lags = bus.lag(&group, topic)?;
            let ends: Vec<i64> = lags.iter().map(|l| l.end).collect();
            let mut moved = Instant::now();
            while lags.iter().zip(&ends).any(|(lag, end)| lag.position < *end) {
                if cancelled_within(shutdown, LOOK_EVERY) {
                    return Ok(Some(Settled::Shutdown));
                }
                let before = std::mem::replace(&mut lags, bus.lag(&group, topic)?);
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
