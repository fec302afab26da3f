//! Live KPIs of this machine, on a grid of time. Ticks that were missed are not made up.

use crate::append::{Appended, Appender, PlacedSample};
use crate::clock;
use crate::config::{HostConfig, name_from};
use crate::inputs::{self, InputEntry};
use crate::tick;
use anyhow::{Context as _, Result};
use machine::Machine;
use prescale_bus::Bus;
use prescale_chassis::{BusRetry, Context};
use prescale_contracts::rfc3339;
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::workload::WorkloadId;
use sysinfo::System;
use tokio_util::sync::CancellationToken;

mod machine;
mod rates;

/// Its entry in the list of inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "host",
    table: None,
    check: |config| config.host.check(),
    is_on: |config| config.host.enabled,
    uses: |_, _| Vec::new(),
    run: |l| run(&l.config.host, l.context, l.bus, l.stop),
};

const NAME_KEY: &str = "[collector.host] name";

/// Collects until shutdown.
fn run(config: &HostConfig, context: &Context, bus: &dyn Bus, shutdown: &CancellationToken) -> Result<()> {
    let health = inputs::health(context, &ENTRY);
    let name = match config.name.as_str() {
        "" => name_from(&System::host_name().context("this machine has no host name: set [collector.host] name")?),
        name => name.to_owned(),
    };
    let id = SourceName::new(format!("host:{name}")).context(NAME_KEY)?;
    let workload = WorkloadId::new(&id).context(NAME_KEY)?;
    let retry = BusRetry::new(&id, health, shutdown);
    let Some((mut appender, stored)) = Appender::open(bus, retry.clone())? else { return Ok(()) };
    let mut last = stored.as_deref().map(|bytes| tick::read_position(bytes, NAME_KEY)).transpose()?;
    let mut machine = Machine::open()?;
    retry.health().ready();
    tracing::info!(source = retry.id(), "collecting each {} s", config.every_s);
    loop {
        let due = tick::next(clock::now(), last, config.every_s);
        retry.health().idle();
        if due > clock::now().plus_s(2 * i64::from(config.every_s)) {
            tracing::warn!(source = retry.id(), "the clock was set back: the next sample is at {}", rfc3339(due));
        }
        if !clock::wait_until(due, shutdown) {
            return Ok(());
        }
        let at = tick::at(due, clock::now(), config.every_s);
        let snapshot = machine.snapshot();
        let sample = Sample {
            workload: workload.clone(),
            source: id.clone(),
            at,
            step_s: config.every_s,
            kpis: snapshot.kpis,
            capacity: snapshot.capacity,
            platform: Platform::OBSERVED_ONLY,
        };
        let placed = PlacedSample { sample, place: at.as_ms().to_string() };
        if appender.append(&[placed], &tick::position(at))? == Appended::Shutdown {
            return Ok(());
        }
        last = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_collected_on_the_grid_and_over_a_restart() {
        let test = crate::testing::TestBus::new();
        let config = HostConfig { enabled: true, every_s: 1, name: "here".to_owned() };
        for samples in [2, 4] {
            let shutdown = CancellationToken::new();
            std::thread::scope(|threads| {
                let running = threads.spawn(|| run(&config, &Context::default(), &*test.bus, &shutdown));
                while test.samples().len() < samples && !running.is_finished() {
                    std::thread::yield_now();
                }
                shutdown.cancel();
                running.join().unwrap().unwrap();
            });
        }
        let samples = test.samples();
        assert!(samples.windows(2).all(|pair| pair[0].at < pair[1].at), "none is there twice");
        for sample in &samples {
            assert_eq!((sample.workload.as_str(), &*sample.source, sample.step_s), ("host:here", "host:here", 1));
            assert_eq!((sample.platform, sample.at.as_ms() % 1000), (Platform::OBSERVED_ONLY, 0));
            assert!(sample.capacity.is_some());
            prescale_domain::stream::validity::check(sample).unwrap();
        }
    }
}
