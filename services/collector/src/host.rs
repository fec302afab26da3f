//! Live KPIs of this machine, on a grid of time. Ticks that were missed are not made up.

use crate::append::{Appended, Appender, PlacedSample};
use crate::clock;
use crate::config::{HostConfig, name_from};
use crate::inputs::{self, InputEntry};
use anyhow::{Context as _, Result, bail};
use machine::Machine;
use prescale_bus::Bus;
use prescale_chassis::{BusRetry, Context};
use prescale_contracts::rfc3339;
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
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

/// Layout of the position: this byte, then the bin and step of the last tick.
const POSITION_LAYOUT: u8 = 1;

/// Collects until shutdown.
fn run(config: &HostConfig, context: &Context, bus: &dyn Bus, shutdown: &CancellationToken) -> Result<()> {
    let health = inputs::health(context, &ENTRY);
    let name = match config.name.as_str() {
        "" => name_from(&System::host_name().context("this machine has no host name: set [collector.host] name")?),
        name => name.to_owned(),
    };
    let id = SourceName::new(format!("host:{name}")).context("[collector.host] name")?;
    let workload = WorkloadId::new(&id).context("[collector.host] name")?;
    let retry = BusRetry::new(&id, health, shutdown);
    let Some((mut appender, stored)) = Appender::open(bus, retry.clone())? else { return Ok(()) };
    let mut last = stored.as_deref().map(read_position).transpose()?;
    let mut machine = Machine::open()?;
    retry.health().ready();
    tracing::info!(source = retry.id(), "collecting each {} s", config.every_s);
    loop {
        let due = next_tick(clock::now(), last, config.every_s);
        retry.health().idle();
        if due > clock::now().plus_s(2 * i64::from(config.every_s)) {
            tracing::warn!(source = retry.id(), "the clock was set back: the next sample is at {}", rfc3339(due));
        }
        if !clock::wait_until(due, shutdown) {
            return Ok(());
        }
        let at = EventTime::of_bin(clock::now().bin(config.every_s), config.every_s).max(due);
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
        if appender.append(&[placed], &position(at))? == Appended::Shutdown {
            return Ok(());
        }
        last = Some(at);
    }
}

/// The next instant on the grid that lies after now and after the last one.
fn next_tick(now: EventTime, last: Option<EventTime>, every_s: u32) -> EventTime {
    let newest = last.map_or(now, |last| last.max(now));
    EventTime::of_bin(newest.bin(every_s) + 1, every_s)
}

fn position(at: EventTime) -> Vec<u8> {
    let mut bytes = vec![POSITION_LAYOUT];
    bytes.extend(at.as_ms().to_be_bytes());
    bytes
}

fn read_position(bytes: &[u8]) -> Result<EventTime> {
    match bytes.split_first() {
        Some((&POSITION_LAYOUT, ms)) if ms.len() == 8 => {
            Ok(EventTime::from_ms(i64::from_be_bytes(ms.try_into().context("eight bytes")?)))
        }
        _ => bail!("the stored position is of another build: give the source another name with [collector.host] name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_lie_on_the_grid_and_never_repeat(now_ms in 0i64..1 << 45, back_ms in -100_000i64..100_000, every_s in 1u32..3600) {
            let now = EventTime::from_ms(now_ms);
            let last = EventTime::from_ms((now_ms - back_ms).max(0));
            let next = next_tick(now, Some(last), every_s);
            prop_assert!(next > last && next > now);
            prop_assert_eq!(next.as_ms() % (i64::from(every_s) * 1000), 0);
            prop_assert!(next.as_ms() <= last.max(now).as_ms() + i64::from(every_s) * 1000);
            prop_assert_eq!(read_position(&position(next)).unwrap(), next);
        }
    }

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

    #[test]
    fn a_position_of_another_build_is_refused() {
        assert!(read_position(&[]).is_err());
        assert!(read_position(&[2, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(read_position(&[1, 0]).is_err());
    }
}
