//! Reads the topics, each on a thread of its own, into what is known.

use crate::clock::Clock;
use crate::forecasts::{Forecast, Forecasts, Plan};
use crate::server::Shared;
use prescale_bus::{Bus, BusError, CaughtUp, ConsumedRecord, ReadFrom, cancelled_within};
use prescale_chassis::{ComponentHealth, HealthRegistry};
use prescale_contracts::{Contract, ContractError, topics};
use prescale_domain::action::Action;
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const POLL_RECORDS: usize = 1_000;
const POLL_WAIT: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(3);
/// Of each partition's actions so many are read back: those that are valid still are among the newest.
const ACTIONS_BACK: u64 = 5_000;

/// All topics that the scaler reads.
pub const READS: [&str; 2] = [topics::PREDICTIONS_LATEST, topics::ACTIONS];

/// What a record says.
enum Fact {
    Forecast(WorkloadId, Forecast),
    Plan(WorkloadId, Plan),
    Gone(WorkloadId),
}

/// A topic to follow.
struct Topic {
    name: &'static str,
    from: ReadFrom,
    decode: fn(&[u8]) -> Result<Fact, ContractError>,
}

static TOPICS: [Topic; 2] = [
    Topic {
        name: topics::PREDICTIONS_LATEST,
        from: ReadFrom::Earliest,
        decode: |value| {
            let (workload, forecast) = Forecast::of(Prediction::decode(value)?);
            Ok(Fact::Forecast(workload, forecast))
        },
    },
    Topic {
        name: topics::ACTIONS,
        from: ReadFrom::Back(ACTIONS_BACK),
        decode: |value| {
            let (workload, plan) = Plan::of(Action::decode(value)?);
            Ok(Fact::Plan(workload, plan))
        },
    },
];

impl Fact {
    /// What a record says; `None` where that cannot be known.
    fn of(topic: &Topic, record: &ConsumedRecord) -> Option<Self> {
        let Some(value) = record.value.as_deref() else {
            let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
            return WorkloadId::new(key).ok().map(Self::Gone);
        };
        match (topic.decode)(value) {
            Ok(fact) => Some(fact),
            Err(error) => {
                let (partition, offset) = (record.partition, record.offset);
                tracing::debug!(topic = topic.name, partition, offset, %error, "a record cannot be decoded");
                metrics::counter!("prescale_scaler_undecodable_total", "topic" => topic.name).increment(1);
                None
            }
        }
    }

    fn go_into(self, forecasts: &mut Forecasts, now: EventTime) {
        match self {
            Self::Forecast(workload, forecast) => forecasts.take(workload, forecast, now),
            Self::Plan(workload, plan) => forecasts.plan(workload, plan, now),
            Self::Gone(workload) => forecasts.forget(&workload),
        }
    }
}

/// What every thread needs.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) health: HealthRegistry,
    pub(crate) stop: CancellationToken,
}

impl Follower {
    /// Starts the threads; they end with the token.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(&self) -> std::io::Result<Vec<JoinHandle<()>>> {
        let start = |topic: &'static Topic| {
            let (follower, name) = (self.clone(), format!("scaler {}", topic.name));
            let health = self.health.component(&name);
            Builder::new().name(name).spawn(move || follower.follow(topic, &health))
        };
        TOPICS.iter().map(start).collect()
    }

    fn follow(&self, topic: &Topic, health: &ComponentHealth) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.read(topic, health) {
                tracing::warn!(topic = topic.name, %error, "cannot read; trying again");
                health.failed(error.to_string());
                if cancelled_within(&self.stop, RETRY_AFTER) {
                    return;
                }
            }
        }
    }

    /// Reads until the shutdown. A reader that was lost is opened anew: what is known by then is not newer again.
    fn read(&self, topic: &Topic, health: &ComponentHealth) -> Result<(), BusError> {
        let mut reader = self.bus.reader(topic.name, topic.from.clone())?;
        let mut is_behind = true;
        while !self.stop.is_cancelled() {
            let (records, caught_up) = reader.poll(POLL_RECORDS, POLL_WAIT)?;
            let now_whole = is_behind && caught_up == CaughtUp::Yes;
            let facts: Vec<Fact> = records.iter().filter_map(|record| Fact::of(topic, record)).collect();
            if facts.is_empty() && !now_whole {
                continue;
            }
            let now = (self.clock)();
            self.shared.change(|forecasts| {
                facts.into_iter().for_each(|fact| fact.go_into(forecasts, now));
                if now_whole && topic.name == topics::PREDICTIONS_LATEST {
                    forecasts.mark_whole();
                }
                metrics::gauge!("prescale_scaler_forecasts_left_out").set(forecasts.left_out() as f64);
            });
            if now_whole {
                is_behind = false;
                health.ready();
            }
        }
        Ok(())
    }
}
