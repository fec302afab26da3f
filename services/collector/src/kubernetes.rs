//! Workloads of a Kubernetes cluster, as its API server shows them: which are meant, what they have and what they use.
//!
//! This is for workloads whose KPIs nobody else delivers, and so its samples are whole: capacity, pods that are ready, and
//! where there is a metrics server, what is used. They are not added to those of another source. Each source has its own
//! clock, and one that was away makes up for that; samples that went out meanwhile, made whole by this one, would make what
//! it still has to say come too late. Nor does this one make up for anything: the API server knows nothing of before.

use crate::append::{Appended, Appender, PlacedSample};
use crate::clock;
use crate::config::{Config, KubernetesConfig};
use crate::inputs::{self, InputEntry, Launch};
use crate::tick;
use anyhow::{Context as _, Result};
use api::{Api, List};
use discovery::{Cluster, Metrics};
use prescale_chassis::BusRetry;
use prescale_chassis::config::PartKind;
use prescale_contracts::rfc3339;
use prescale_domain::sample::Sample;
use std::mem::{Discriminant, discriminant};

mod api;
mod discovery;
#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: NAME,
    table: Some(PartKind::of::<KubernetesConfig>(NAME)),
    check: |config| section(config)?.check(),
    is_on: |config| section(config).is_ok_and(KubernetesConfig::is_enabled),
    uses: |_, _| Vec::new(),
    run,
};

const NAME: &str = "kubernetes";
const NAME_KEY: &str = "[collector.kubernetes] name";

fn section(config: &Config) -> Result<&KubernetesConfig> {
    config.own.get(NAME).context("[collector.kubernetes] was not read")
}

/// Looks at each tick until the shutdown. A tick at which the server does not answer is left out.
fn run(launch: &Launch<'_>) -> Result<()> {
    let config = section(launch.config)?;
    let (api, source) = (Api::new(config)?, config.source()?);
    let retry = BusRetry::new(&source, inputs::health(launch.context, &ENTRY), launch.stop);
    let Some((mut appender, stored)) = Appender::open(launch.bus, retry.clone())? else { return Ok(()) };
    let mut last = stored.as_deref().map(|bytes| tick::read_position(bytes, NAME_KEY)).transpose()?;
    let mut told = Told::default();
    loop {
        let due = tick::next(clock::now(), last, config.every_s);
        retry.health().idle();
        if due > clock::now().plus_s(2 * i64::from(config.every_s)) {
            tracing::warn!(source = retry.id(), "the clock was set back: the next samples are of {}", rfc3339(due));
        }
        if !clock::wait_until(due, launch.stop) {
            return Ok(());
        }
        let at = tick::at(due, clock::now(), config.every_s);
        last = Some(at);
        let get = |list: &List| {
            retry.health().alive();
            api.get(list)
        };
        let cluster = match Cluster::look(get, &config.selector) {
            Ok(cluster) => cluster,
            Err(why) => {
                tracing::warn!(source = retry.id(), "nothing is known of {}: {why:#}", rfc3339(at));
                retry.health().failed(format!("the API server cannot be asked: {why:#}"));
                continue;
            }
        };
        retry.health().ready();
        told.tell(&cluster, retry.id());
        let placed = |sample: Sample| PlacedSample { place: at.as_ms().to_string(), sample };
        let samples: Vec<PlacedSample> = cluster.samples(&source, at, config.every_s).into_iter().map(placed).collect();
        if appender.append(&samples, &tick::position(at))? == Appended::Shutdown {
            return Ok(());
        }
    }
}

/// What was said of the cluster, and is not said again.
#[derive(Default)]
struct Told {
    workloads: Option<usize>,
    metrics: Option<Discriminant<Metrics>>,
}

impl Told {
    fn tell(&mut self, cluster: &Cluster, source: &str) {
        let workloads = cluster.workloads();
        if self.workloads.replace(workloads) != Some(workloads) {
            tracing::info!(source, workloads, "workloads are meant: those with prescale.io/enabled");
        }
        let metrics = discriminant(cluster.metrics());
        if self.metrics.replace(metrics) == Some(metrics) {
            return;
        }
        match cluster.metrics() {
            Metrics::Told => tracing::info!(source, "the metrics server says what workloads use"),
            Metrics::Silent(why) => {
                tracing::warn!(
                    source,
                    "what workloads use is not known while the metrics server does not answer: {why}"
                );
            }
            Metrics::Absent => {
                tracing::warn!(source, "there is no metrics server: what workloads use is not known from here");
            }
        }
    }
}
