//! Ends of logs, and of transactions: a place is settled up to its stable end, behind which lies
//! the first record of a transaction that has not ended. A broker may say that a transaction is over
//! before its markers are written, and may lose them ([`super::settle`]).

use super::port::{Kafka, Place};
use crate::error::BusError;
use crate::wait::Pauses;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Those of the places that hold records of a transaction that has not ended.
pub(crate) fn open_places(kafka: &impl Kafka, places: &BTreeSet<Place>) -> Result<BTreeSet<Place>, BusError> {
    let stable = kafka.stable_ends(places)?;
    let ends = kafka.ends(places)?;
    Ok(ends.into_iter().filter(|(place, end)| stable[place] < *end).map(|(place, _)| place).collect())
}

/// Waits until everything that is now in these places is settled.
pub(crate) fn await_settled(kafka: &impl Kafka, places: &BTreeSet<Place>, at_most: Duration) -> Result<(), BusError> {
    let ends = kafka.ends(places)?;
    await_stable_ends(kafka, &ends, at_most)
}

/// Waits until the stable ends have come to these ends.
///
/// # Errors
/// When they have not within `at_most`, or the ends could not be read at the last try.
pub(crate) fn await_stable_ends(
    kafka: &impl Kafka,
    ends: &BTreeMap<Place, i64>,
    at_most: Duration,
) -> Result<(), BusError> {
    let deadline = kafka.now() + at_most;
    let mut open: BTreeSet<Place> = ends.keys().cloned().collect();
    let mut pauses = Pauses::default();
    loop {
        let stable = kafka.stable_ends(&open);
        if let Ok(stable) = &stable {
            open.retain(|place| stable[place] < ends[place]);
        }
        let Some(Place { topic, partition }) = open.first() else { return Ok(()) };
        if kafka.now() >= deadline {
            let first = Place { topic: Arc::clone(topic), partition: *partition };
            let stable = stable?[&first];
            return Err(BusError::Backend {
                context: format!("{topic}/{partition} is not settled up to {}", ends[&first]),
                message: format!(
                    "a transaction is open at {stable}; if it stays so its producer is gone: `kafka-transactions.sh find-hanging` names it, `abort` ends it"
                ),
                retryable: true,
            });
        }
        kafka.pause(&mut pauses);
    }
}
