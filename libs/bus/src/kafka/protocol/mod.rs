//! The protocol by which a stage or a source works on Kafka, whoever answers for Kafka: see [`port`].

mod attempt;
pub(crate) mod claim;
mod ends;
pub(crate) mod log;
pub(crate) mod port;
pub(crate) mod provenance;
pub(crate) mod session;
pub(crate) mod settle;
#[cfg(test)]
mod simulation;
pub(crate) mod source;
mod transaction;
mod unsettled;

use crate::backoff::{Backoff, seed_of};
use crate::error::BusError;
use port::Kafka;
use session::{Running, Session, SessionEnd};
use std::time::Duration;

/// Pauses between sessions.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs sessions until the shutdown, one after the other.
pub(crate) fn run_sessions<K: Kafka>(running: &Running<'_, K>) -> Result<(), BusError> {
    let stage = running.factory.name();
    let kafka = running.kafka;
    let mut last_progress = kafka.now();
    let name = format!("{stage} {}", kafka.options().instance_id);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed_of(&name));
    let mut unsettled = None;
    loop {
        let end = match Session::start(running, &mut unsettled) {
            Err(error) => SessionEnd::from(error),
            Ok(mut session) => {
                let end = session.run();
                unsettled = session.unsettled.take();
                if session.steps > 0 {
                    last_progress = kafka.now();
                    backoff.reset();
                }
                match end {
                    Ok(()) => return Ok(()),
                    Err(end) => end,
                }
            }
        };
        let why = match end {
            SessionEnd::Failed(error) => return Err(kafka.explain(error)),
            SessionEnd::Reconnect(why) => kafka.explain_text(why),
        };
        if kafka.now() - last_progress > kafka.options().retry_for {
            let context = format!("stage {stage} cannot work on Kafka");
            return Err(BusError::Backend { context, message: why, retryable: true });
        }
        metrics::counter!("prescale_bus_reconnects_total", "stage" => stage).increment(1);
        tracing::warn!(stage, why, "connecting anew and starting from what is committed");
        if kafka.cancelled_within(running.shutdown, backoff.pause()) {
            return running.settle_at_last(&mut unsettled);
        }
    }
}
