//! Fingerprints and predictions to where they are kept for good: a time-series database, by Prometheus
//! remote write or InfluxDB's line protocol, and Parquet files, which training reads.
//!
//! Each store and topic is a stage with a consumer group of its own. A stage's position moves when the
//! store has the records, so a store that is down delays its own stages and loses nothing.

pub mod config;
mod features;
mod parquet;
mod patience;
mod push;
mod stage;

#[cfg(test)]
mod examples;

pub use config::Config;

use anyhow::{Context as _, Result, anyhow};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::Context;
use prescale_contracts::Contract;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::prediction::Prediction;
use stage::{SinkOf, SinkRun};
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
    }
    let stop = shutdown.child_token();
    std::thread::scope(|scope| {
        let running: Vec<_> = starts
            .into_iter()
            .map(|(stage, batch_records_max, start)| {
                let (bus, stop) = (Arc::clone(&bus), &stop);
                let run = move || {
                    // One that fails or panics must not leave the others running without it.
                    let stop_all = stop.clone().drop_guard();
                    let sink = SinkRun { context, bus: bus.as_ref(), stage, batch_records_max, shutdown: stop };
                    let ended = start(&sink).with_context(|| format!("{stage} stopped"));
                    if ended.is_ok() {
                        stop_all.disarm();
                    }
                    ended
                };
                std::thread::Builder::new().name(stage.to_owned()).spawn_scoped(scope, run)
            })
            .collect();
        if running.is_empty() {
            while !cancelled_within(&stop, LOOK_EVERY) {}
        }
        if running.iter().any(Result::is_err) {
            stop.cancel();
        }
        let mut ended = Ok(());
        for thread in running {
            let one = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|_| Err(anyhow!("a stage of the archiver panicked"))),
                Err(error) => Err(anyhow::Error::new(error).context("cannot start a thread")),
            };
            ended = ended.and(one);
        }
        ended
    })
}

/// The stages that the configuration asks for: name, records at a time, and how to run it.
fn starts(config: &Config) -> Result<Vec<(&'static str, usize, Start<'_>)>> {
    let mut starts: Vec<(&'static str, usize, Start<'_>)> = Vec::new();
    if config.prometheus.is_on() {
        let store = push::prometheus(&config.prometheus)?;
        starts.push(pushed::<Fingerprint>("archiver-prometheus-fingerprints", store.sinks()));
        starts.push(pushed::<Prediction>("archiver-prometheus-predictions", store.sinks()));
    }
    if config.influxdb.is_on() {
        let store = push::influxdb(&config.influxdb)?;
        starts.push(pushed::<Fingerprint>("archiver-influxdb-fingerprints", store.sinks()));
        starts.push(pushed::<Prediction>("archiver-influxdb-predictions", store.sinks()));
    }
    if config.parquet.is_on() {
        let files = &config.parquet;
        starts.push(("archiver-parquet-fingerprints", usize::MAX, Box::new(|s| parquet::run::<Fingerprint>(files, s))));
        starts.push(("archiver-parquet-predictions", usize::MAX, Box::new(|s| parquet::run::<Prediction>(files, s))));
    }
    Ok(starts)
}

fn pushed<C: Contract + 'static>(stage: &'static str, sinks: Box<SinkOf<C>>) -> (&'static str, usize, Start<'static>) {
    (stage, PUSHED_RECORDS_MAX, Box::new(move |sink| Ok(sink.run(sinks)?)))
}
