//! `prescale account`: reads the log and accounts for every record of every stage's input.
//!
//! Ids are deterministic, so what must follow from a record can be worked out from the record
//! alone, and looked for. Nothing here trusts a counter.

use anyhow::{Context as _, Result};
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_chassis::StageInput;
use prescale_contracts::event_types::{ACTION, FLEET_VIEW, HELD, PROPOSAL};
use prescale_contracts::{Envelope, topics};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);

/// What became of the records that a stage has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageAccount {
    /// Name of the stage.
    pub stage: String,
    /// Records on its input topic that it is past, each id counted once.
    pub read: u64,
    /// Records on its input topic that it has not come to yet.
    pub unread: u64,
    /// Records on its input topic that it is past and that no output has to follow from: views and orders.
    pub others: u64,
    /// Those read that an output follows from.
    pub followed: u64,
    /// Those in the dead letter queue.
    pub rejected: u64,
    /// The rest of those read: dropped for a reason that the metrics count, or waiting in the
    /// stage's state.
    pub without_output: u64,
    /// Records on the input topic with an id that was there before.
    pub repeated_inputs: u64,
    /// Outputs with an id that was there before: 0 unless something was written twice.
    pub repeated_outputs: u64,
    /// Outputs that follow from no record on the input topic: retention may have removed it.
    pub outputs_without_input: u64,
}

/// What a stage's inputs and outputs are known by.
struct Kinds {
    /// `ce_type` of the inputs that outputs follow from; `None` where the topic has one type.
    input: Option<&'static str>,
    /// Topics that outputs are looked for on, with their `ce_type`s; none for all that there are.
    outputs: &'static [(&'static str, &'static [&'static str])],
}

fn kinds(stage: &str) -> Option<Kinds> {
    let (input, outputs): (_, &[(_, &[_])]) = match stage {
        "fingerprinter" => (None, &[(topics::FINGERPRINTS, &[])]),
        "predictor" => (None, &[(topics::PREDICTIONS, &[])]),
        "planner" => (None, &[(topics::PROPOSALS, &[PROPOSAL, FLEET_VIEW])]),
        // Of a proposal it makes an action, or a record of why it is held. Withdrawals follow from orders.
        "governor" => (Some(PROPOSAL), &[(topics::ACTIONS, &[ACTION]), (topics::PROPOSALS, &[HELD])]),
        "actuator" => (None, &[(topics::ACTION_RESULTS, &[])]),
        "evaluator" => (None, &[(topics::OUTCOMES, &[])]),
        _ => return None,
    };
    Some(Kinds { input, outputs })
}

fn is_of_type(record: &ConsumedRecord, types: &[&str]) -> bool {
    types.is_empty() || types.iter().any(|wanted| record.header("ce_type") == Some(wanted.as_bytes()))
}

/// The accounts of these stages, in their order. `group_of` names a stage's consumer group.
///
/// # Errors
/// When a topic is missing or the bus cannot be read.
pub fn account(
    bus: &dyn Bus,
    group_of: impl Fn(&str) -> String,
    stages: &[StageInput],
    shutdown: &CancellationToken,
) -> Result<Vec<StageAccount>> {
    let mut accounts = Vec::new();
    for input in stages {
        let Some(kinds) = kinds(input.stage) else { continue };
        let lags = bus.lag(&group_of(input.stage), input.topic)?;
        let positions: HashMap<u32, i64> = lags.iter().map(|l| (l.partition, l.position)).collect();
        let mut stage = StageAccount { stage: input.stage.to_owned(), ..StageAccount::default() };
        let mut outputs: HashMap<Id, bool> = HashMap::new();
        for (output, types) in kinds.outputs {
            each(bus, output, shutdown, |record| {
                if let Some(id) = id_of(record).filter(|_| is_of_type(record, types))
                    && outputs.insert(id, false).is_some()
                {
                    stage.repeated_outputs += 1;
                }
            })?;
        }
        let mut rejected: HashMap<Id, ()> = HashMap::new();
        each(bus, &topics::dlq_of(input.topic), shutdown, |record| {
            if let Some(id) = id_of(record) {
                rejected.insert(id, ());
            }
        })?;
        let mut inputs: HashMap<Id, ()> = HashMap::new();
        each(bus, input.topic, shutdown, |record| {
            let is_past = record.offset < positions.get(&record.partition).copied().unwrap_or(0);
            if !is_of_type(record, kinds.input.as_slice()) {
                stage.others += u64::from(is_past);
                return;
            }
            if !is_past {
                stage.unread += 1;
                return;
            }
            let id = id_of(record);
            if let Some(id) = id
                && inputs.insert(id, ()).is_some()
            {
                stage.repeated_inputs += 1;
                return;
            }
            stage.read += 1;
            if mark_following(record, input.stage, &mut outputs) {
                stage.followed += 1;
            } else if id.is_some_and(|id| rejected.contains_key(&id)) {
                stage.rejected += 1;
            } else {
                stage.without_output += 1;
            }
        })?;
        stage.outputs_without_input = outputs.values().filter(|seen| !**seen).count() as u64;
        accounts.push(stage);
    }
    Ok(accounts)
}

/// How far a stage without outputs has come, such as the archiver's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkAccount {
    /// Name of the stage.
    pub stage: String,
    /// Records on its input topic that it is past.
    pub read: u64,
    /// Records on its input topic that it has not come to yet.
    pub unread: u64,
}

/// The accounts of stages without outputs.
///
/// # Errors
/// As [`account`].
pub fn sink_accounts(
    bus: &dyn Bus,
    group_of: impl Fn(&str) -> String,
    sinks: &[StageInput],
    shutdown: &CancellationToken,
) -> Result<Vec<SinkAccount>> {
    let mut accounts = Vec::with_capacity(sinks.len());
    for StageInput { stage, topic } in sinks {
        let lags = bus.lag(&group_of(stage), topic)?;
        let positions: HashMap<u32, i64> = lags.iter().map(|l| (l.partition, l.position)).collect();
        let mut account = SinkAccount { stage: (*stage).to_owned(), ..SinkAccount::default() };
        each(bus, topic, shutdown, |record| {
            let is_read = record.offset < positions.get(&record.partition).copied().unwrap_or(0);
            *(if is_read { &mut account.read } else { &mut account.unread }) += 1;
        })?;
        accounts.push(account);
    }
    Ok(accounts)
}

/// A `ce_id` of ours as a number: 32 hex digits.
type Id = u128;

fn id_of(record: &ConsumedRecord) -> Option<Id> {
    u128::from_str_radix(std::str::from_utf8(record.header("ce_id")?).ok()?, 16).ok()
}

/// Marks the outputs that a stage made of a record, which it numbers from 0; whether there are any.
fn mark_following(record: &ConsumedRecord, stage: &str, outputs: &mut HashMap<Id, bool>) -> bool {
    let mut ordinal = 0;
    while let Some(seen) = following_id(record, stage, ordinal).and_then(|id| outputs.get_mut(&id)) {
        *seen = true;
        ordinal += 1;
    }
    ordinal > 0
}

/// The id of the record number `ordinal` that a stage makes of this one.
fn following_id(record: &ConsumedRecord, stage: &str, ordinal: u32) -> Option<Id> {
    let envelope = Envelope::from_headers(record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()))).ok()?;
    let workload =
        prescale_domain::workload::WorkloadId::new(std::str::from_utf8(record.key.as_deref()?).ok()?).ok()?;
    u128::from_str_radix(&envelope.following(stage, "", &workload, envelope.time, ordinal).id, 16).ok()
}

fn each(bus: &dyn Bus, topic: &str, shutdown: &CancellationToken, mut take: impl FnMut(&ConsumedRecord)) -> Result<()> {
    let mut reader = bus.reader(topic, ReadFrom::Earliest)?;
    while !shutdown.is_cancelled() {
        let (records, caught_up) =
            reader.poll(PAGE_RECORDS, WAIT).with_context(|| format!("cannot read topic {topic:?}"))?;
        records.iter().for_each(&mut take);
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    Ok(())
}

/// The accounts as a table.
pub fn table(accounts: &[StageAccount]) -> String {
    let mut text = format!(
        "{:<14} {:>12} {:>12} {:>12} {:>14} {:>10} {:>10}\n",
        "stage", "read", "followed", "rejected", "without output", "repeated", "unread"
    );
    for a in accounts {
        text += &format!(
            "{:<14} {:>12} {:>12} {:>12} {:>14} {:>10} {:>10}\n",
            a.stage,
            a.read,
            a.followed,
            a.rejected,
            a.without_output,
            a.repeated_inputs + a.repeated_outputs,
            a.unread
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::Header;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;

    #[test]
    fn the_id_that_must_follow_is_worked_out_from_the_record() {
        let workload = WorkloadId::new("web-1").unwrap();
        let at = EventTime::from_s(1000);
        let root = Envelope::root("fleet:demo", "x", &workload, at, "7");
        let record = ConsumedRecord {
            topic: topics::RAW_KPIS.into(),
            partition: 0,
            offset: 0,
            appended_at_ms: 0,
            key: Some(b"web-1".to_vec()),
            value: None,
            headers: root.headers().into_iter().map(|(name, value)| Header { name, value }).collect(),
        };
        let expected = root.following("fingerprinter", "io.prescale.v1.Fingerprint", &workload, at, 0);
        assert_eq!(following_id(&record, "fingerprinter", 0), u128::from_str_radix(&expected.id, 16).ok());
        assert_ne!(following_id(&record, "planner", 0), following_id(&record, "fingerprinter", 0));
        let ids = [0, 1, 3].map(|ordinal| following_id(&record, "planner", ordinal).unwrap());
        let mut outputs = HashMap::from(ids.map(|id| (id, false)));
        assert!(mark_following(&record, "planner", &mut outputs));
        assert_eq!(ids.map(|id| outputs[&id]), [true, true, false], "they are numbered without a gap");
    }
}
