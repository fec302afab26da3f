//! A sink as a stage of the bus: it writes no records, and its step ends when the receiver outside has taken or
//! durably refused all of them, so the position moves no sooner. It keeps no state: after a restart it
//! goes on at the committed position.

use crate::context::Context;
use crate::health::ComponentHealth;
use crate::patience::{GaveUp, Patience};
use crate::stage::{UNDECODABLE, decode_record};
use prescale_bus::{Bus, BusError, ConsumedRecord, Outcome, Stage, StageFactory, StageFailure};
use prescale_contracts::Contract;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// A decoded record of one partition.
pub struct Taken<'a, C> {
    /// As it was read.
    pub record: &'a ConsumedRecord,
    /// What it says.
    pub value: C,
}

/// What takes the records of one partition.
pub trait Sink<C>: Send {
    /// Takes records, in the order of the log; returns when they are safe or durably refused.
    ///
    /// # Errors
    /// When it gave up before that.
    fn take(&mut self, records: &[Taken<'_, C>], patience: &mut Patience) -> Result<(), GaveUp>;
}

/// Makes the sink of a partition.
pub type SinkOf<C> = dyn Fn(u32) -> Box<dyn Sink<C>> + Send + Sync;

/// A sink's stage, and what it needs.
pub struct SinkRun<'a> {
    /// The installation.
    pub context: &'a Context,
    /// The bus.
    pub bus: &'a dyn Bus,
    /// Name of the stage.
    pub stage: &'static str,
    /// Most records that it is given at a time.
    pub batch_records_max: usize,
    /// When to end.
    pub shutdown: &'a CancellationToken,
}

impl SinkRun<'_> {
    /// Runs the stage until the shutdown. A step that was given up ends the bus's run of the stage,
    /// which is begun anew at the same records: so an outage of any length costs no membership for
    /// good.
    ///
    /// # Errors
    /// When the bus is lost.
    pub fn run<C: Contract + 'static>(&self, sink_of: Box<SinkOf<C>>) -> Result<(), BusError> {
        let health = self.context.health.component(self.stage);
        health.ready();
        let factory = Arc::new(SinkFactory {
            stage: self.stage,
            sink_of,
            health: health.clone(),
            context: self.context.clone(),
            shutdown: self.shutdown.clone(),
            gave_up: Arc::default(),
        });
        let mut options = self.context.stage_options(self.stage);
        options.batch_records_max = options.batch_records_max.min(self.batch_records_max);
        loop {
            let ended = self.bus.run_stage(Arc::clone(&factory) as Arc<dyn StageFactory>, &options, self.shutdown);
            match ended {
                Err(BusError::Stage { .. }) if factory.gave_up.swap(false, Ordering::AcqRel) => {
                    if self.shutdown.is_cancelled() {
                        return Ok(());
                    }
                }
                ended => {
                    health.failed(ended.as_ref().map_or_else(ToString::to_string, |()| "stopped".to_owned()));
                    return ended;
                }
            }
        }
    }
}

struct SinkFactory<C> {
    stage: &'static str,
    sink_of: Box<SinkOf<C>>,
    health: ComponentHealth,
    context: Context,
    shutdown: CancellationToken,
    /// Set when a stage gave a step up, so that the failure is none of the stage's.
    gave_up: Arc<AtomicBool>,
}

impl<C: Contract + 'static> StageFactory for SinkFactory<C> {
    fn name(&self) -> &'static str {
        self.stage
    }

    fn input_topic(&self) -> Arc<str> {
        C::TOPIC.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn state_schema(&self) -> String {
        "none".to_owned()
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn create(&self, partition: u32) -> Box<dyn Stage> {
        let beating = self.context.health.component(&format!("{}/{partition}", self.stage));
        beating.ready();
        let patience = Patience::new(self.stage, self.health.clone(), self.shutdown.clone()).with_beats_of(beating);
        Box::new(SinkStage {
            stage: self.stage,
            sink: (self.sink_of)(partition),
            patience,
            gave_up: Arc::clone(&self.gave_up),
        })
    }

    fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.create(partition))
    }
}

struct SinkStage<C> {
    stage: &'static str,
    sink: Box<dyn Sink<C>>,
    patience: Patience,
    gave_up: Arc<AtomicBool>,
}

impl<C: Contract> Stage for SinkStage<C> {
    /// A record that cannot be decoded is dropped and counted: the stage that the topic is for puts it
    /// into the dead letter queue, and once is enough.
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        self.patience.at_work();
        let mut taken = Vec::with_capacity(batch.len());
        let mut outcomes = Vec::with_capacity(batch.len());
        for record in batch {
            match decode_record::<C>(record) {
                Ok(input) => {
                    taken.push(Taken { record, value: input.value });
                    outcomes.push(Outcome::Emit(Vec::new()));
                }
                Err(why) => {
                    let (partition, offset) = (record.partition, record.offset);
                    tracing::warn!(stage = self.stage, partition, offset, why, "left out");
                    outcomes.push(Outcome::Drop(UNDECODABLE));
                }
            }
        }
        let done = self.sink.take(&taken, &mut self.patience);
        self.patience.idle();
        match done {
            Ok(()) => {
                metrics::counter!("prescale_sink_records_taken_total", "stage" => self.stage)
                    .increment(taken.len() as u64);
                Ok(outcomes)
            }
            Err(GaveUp) => {
                self.gave_up.store(true, Ordering::Release);
                Err(StageFailure { message: "the receiver did not take the records; they are tried again".to_owned() })
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}
