//! Fingerprints, predictions and anomalies to where they are kept for good: a time-series database, by Prometheus
//! remote write or InfluxDB's line protocol, and Parquet files, which training reads.
//!
//! Each store and topic is a stage with a consumer group of its own. A stage's position moves when the
//! store has the records, so a store that is down delays its own stages and loses nothing.

pub mod config;
mod features;
mod parquet;
mod push;
pub mod stages;

#[cfg(test)]
mod examples;

pub use config::Config;

use anyhow::{Context as _, Result};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::sink::{SinkOf, SinkRun};
use prescale_chassis::{Context, Running, run_together};
use prescale_contracts::Contract;
use prescale_domain::alarm::Anomaly;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::Prediction;
use stages::{INFLUXDB, PARQUET, PROMETHEUS};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Stores get few records at a time, so that no partition runs far ahead of another in event time:
/// Prometheus refuses what lies too far behind its newest sample.
const PUSHED_RECORDS_MAX: usize = 250;

/// How long a wait for the shutdown is at a time.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// A stage's way to run.
type Start<'a> = Box<dyn FnOnce(&SinkRun<'_>) -> Result<()> + Send + 'a>;

/// Runs the archiver until shutdown, or until one of its stages loses the bus. Blocks; call it outside
/// of any async runtime. Without a store it does nothing and waits.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> Result<()> {
    config.check()?;
    let starts = starts(config)?;
    if starts.is_empty() {
        tracing::info!(
            "no store is configured: set [archiver.prometheus] url, [archiver.influxdb] url or [archiver.parquet] folder"
        );
        while !cancelled_within(shutdown, LOOK_EVERY) {}
    }
    let running = starts.into_iter().map(|(stage, batch_records_max, start)| {
        let bus = bus.as_ref();
        let run = move |shutdown: &CancellationToken| {
            let sink = SinkRun { context, bus, stage, batch_records_max, shutdown };
            start(&sink).with_context(|| format!("{stage} stopped"))
        };
        Running { name: stage, run: Box::new(run) }
    });
    run_together(running.collect(), shutdown)
}

/// The stages that the configuration asks for: name, records at a time, and how to run it.
fn starts(config: &Config) -> Result<Vec<(&'static str, usize, Start<'_>)>> {
    let mut starts: Vec<(&'static str, usize, Start<'_>)> = Vec::new();
    if config.prometheus.is_on() {
        let store = push::prometheus(&config.prometheus)?;
        let [fingerprints, predictions, groups] = PROMETHEUS.map(|entry| entry.stage);
        starts.push(pushed::<Fingerprint>(fingerprints, store.sinks()));
        starts.push(pushed::<Prediction>(predictions, store.sinks()));
        starts.push(pushed::<GroupPrediction>(groups, store.sinks()));
    }
    if config.influxdb.is_on() {
        let store = push::influxdb(&config.influxdb)?;
        let [fingerprints, predictions, groups] = INFLUXDB.map(|entry| entry.stage);
        starts.push(pushed::<Fingerprint>(fingerprints, store.sinks()));
        starts.push(pushed::<Prediction>(predictions, store.sinks()));
        starts.push(pushed::<GroupPrediction>(groups, store.sinks()));
    }
    if config.parquet.is_on() {
        let files = &config.parquet;
        let [fingerprints, predictions, groups, anomalies] = PARQUET.map(|entry| entry.stage);
        starts.push((fingerprints, usize::MAX, Box::new(|s| parquet::run::<Fingerprint>(files, s))));
        starts.push((predictions, usize::MAX, Box::new(|s| parquet::run::<Prediction>(files, s))));
        starts.push((groups, usize::MAX, Box::new(|s| parquet::run::<GroupPrediction>(files, s))));
        starts.push((anomalies, usize::MAX, Box::new(|s| parquet::run::<Anomaly>(files, s))));
    }
    Ok(starts)
}

fn pushed<C: Contract + 'static>(stage: &'static str, sinks: Box<SinkOf<C>>) -> (&'static str, usize, Start<'static>) {
    (stage, PUSHED_RECORDS_MAX, Box::new(move |sink| Ok(sink.run(sinks)?)))
}
