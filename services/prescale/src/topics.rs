//! `prescale topics`: the topics that the pipeline needs, shown or made: those of the contracts' table, and those that
//! services read or write beside them.

use crate::pretty_json;
use anyhow::Result;
use prescale_bus::{Bus, Cleanup, TopicSpec};
use prescale_chassis::Graph;
use prescale_contracts::topics::{Retention, TopicContract, dlq_of, table};
use serde_json::json;
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;

/// How long a topic keeps its records that the contracts' table does not name, in days.
const RETENTION_DAYS: i64 = 7;

/// The topics of the contracts' table and of these stages and sources, with the installation's partitions and
/// replication. One that the table does not name has a dead letter queue as well.
pub fn specs(graph: &Graph, partitions: u32, replication: u16) -> Vec<TopicSpec> {
    let listed: Vec<TopicSpec> = table().iter().map(|contract| spec(contract, partitions, replication)).collect();
    let own: Vec<&str> = graph.topics().into_iter().filter(|topic| listed.iter().all(|l| l.name != *topic)).collect();
    let cleanup = Cleanup::Delete { retention_ms: RETENTION_DAYS * DAY_MS };
    let own = own.into_iter().flat_map(|topic| [topic.to_owned(), dlq_of(topic)]);
    let own = own.map(|name| TopicSpec { name, partitions, replication, cleanup });
    listed.into_iter().chain(own).collect()
}

fn spec(contract: &TopicContract, partitions: u32, replication: u16) -> TopicSpec {
    let cleanup = match contract.retention {
        Retention::Delete { retention_ms } => Cleanup::Delete { retention_ms },
        Retention::Compact => Cleanup::Compact,
    };
    TopicSpec { name: contract.name.to_string(), partitions, replication, cleanup }
}

fn cleanup_text(cleanup: Cleanup) -> String {
    match cleanup {
        Cleanup::Delete { retention_ms } => format!("delete, {} d", retention_ms / DAY_MS),
        Cleanup::Compact => "compact".to_owned(),
    }
}

/// What `apply` would do to each topic, as text or JSON.
///
/// # Errors
/// When the bus cannot be read.
pub fn plan(bus: &dyn Bus, wanted: &[TopicSpec], as_json: bool) -> Result<String> {
    let existing: BTreeMap<String, u32> = bus.topics()?.into_iter().collect();
    let rows = wanted.iter().map(|spec| {
        let change = match existing.get(&spec.name) {
            None => "create".to_owned(),
            Some(found) if *found == spec.partitions => "keep".to_owned(),
            Some(found) => format!("refuse: has {found} partitions"),
        };
        (spec, change)
    });
    if as_json {
        let list: Vec<_> = rows
            .map(|(spec, change)| {
                json!({"topic": spec.name, "partitions": spec.partitions, "replication": spec.replication,
                       "cleanup": cleanup_text(spec.cleanup), "change": change})
            })
            .collect();
        return pretty_json(&list);
    }
    let mut text = format!("{:<24} {:>10} {:>11}  {:<14} change\n", "topic", "partitions", "replication", "cleanup");
    for (spec, change) in rows {
        text += &format!(
            "{:<24} {:>10} {:>11}  {:<14} {change}\n",
            spec.name,
            spec.partitions,
            spec.replication,
            cleanup_text(spec.cleanup),
        );
    }
    Ok(text)
}
