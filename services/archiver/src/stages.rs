//! The stages that stores ask for: one for each store and topic, so that a store that is down holds up no other. Their
//! effect is outside the bus.

use prescale_chassis::{Ids, StageEntry, audit};
use prescale_contracts::topics;

/// What a time-series database takes by remote write.
pub const PROMETHEUS: [StageEntry; 3] = [
    sink("archiver-prometheus-fingerprints", topics::FINGERPRINTS),
    sink("archiver-prometheus-predictions", topics::PREDICTIONS),
    sink("archiver-prometheus-groups", topics::GROUP_PREDICTIONS),
];

/// What InfluxDB takes.
pub const INFLUXDB: [StageEntry; 3] = [
    sink("archiver-influxdb-fingerprints", topics::FINGERPRINTS),
    sink("archiver-influxdb-predictions", topics::PREDICTIONS),
    sink("archiver-influxdb-groups", topics::GROUP_PREDICTIONS),
];

/// What becomes Parquet files.
pub const PARQUET: [StageEntry; 4] = [
    sink("archiver-parquet-fingerprints", topics::FINGERPRINTS),
    sink("archiver-parquet-predictions", topics::PREDICTIONS),
    sink("archiver-parquet-groups", topics::GROUP_PREDICTIONS),
    sink("archiver-parquet-anomalies", topics::ANOMALIES),
];

const fn sink(stage: &'static str, input: &'static str) -> StageEntry {
    StageEntry { stage, input, outputs: &[], ids: Ids::OfInput, audit: audit::nothing }
}
