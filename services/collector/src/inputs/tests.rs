//! An input that is added to the list is read, checked, has its rights and runs, and nothing else was touched.

use super::*;
use crate::append::{Appended, Appender, PlacedSample};
use crate::config::HostConfig;
use crate::run::run_inputs;
use crate::testing::TestBus;
use anyhow::{Context as _, ensure};
use prescale_chassis::BusRetry;
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName};
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::stream::validity;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeSet;

/// It writes a sample a minute, so many in all.
const TOY: InputEntry = InputEntry {
    name: "toy",
    table: Some(PartKind::of::<ToyConfig>("toy")),
    check: |config| {
        let samples = toy(config)?.samples;
        ensure!(samples <= 100, "[collector.toy] samples = {samples}: at most 100");
        Ok(())
    },
    is_on: |config| toy(config).is_ok_and(|toy| toy.samples > 0),
    uses: |_, _| vec![Use::Reads("toy-orders".to_owned())],
    run,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ToyConfig {
    samples: u8,
}

fn toy(config: &Config) -> Result<&ToyConfig> {
    config.own.get("toy").context("[collector.toy] was not read")
}

fn run(launch: &Launch<'_>) -> Result<()> {
    let samples = toy(launch.config)?.samples;
    let retry = BusRetry::new("toy:a", health(launch.context, &TOY), launch.stop);
    let Some((mut appender, stored)) = Appender::open(launch.bus, retry.clone())? else { return Ok(()) };
    retry.health().ready();
    let done = stored.map_or(0, |position| position[0]);
    for minute in done..samples {
        let placed = PlacedSample { sample: sample(minute)?, place: minute.to_string() };
        if appender.append(&[placed], &[minute + 1])? == Appended::Shutdown {
            return Ok(());
        }
    }
    retry.health().idle();
    Ok(())
}

fn sample(minute: u8) -> Result<Sample> {
    let used = Kpi {
        name: KpiName::new(CPU_CORES_USED),
        kind: KpiKind::Gauge,
        unit: "cores".into(),
        value: Some(f64::from(minute)),
    };
    Ok(Sample {
        workload: WorkloadId::new("toy-1")?,
        source: SourceName::new("toy:a").unwrap(),
        at: EventTime::from_s(60 * i64::from(minute)),
        step_s: 60,
        kpis: vec![used],
        capacity: None,
        platform: Platform::OBSERVED_ONLY,
    })
}

fn with_toy() -> Vec<InputEntry> {
    INPUTS.into_iter().chain([TOY]).collect()
}

/// The section with what it has of the toy, and without the host.
fn config(toy: &str) -> Result<Config, String> {
    let own = OwnTables::read(&with_toy(), &toy.parse::<Table>().unwrap())?;
    Ok(Config { own, host: HostConfig { enabled: false, ..HostConfig::default() }, ..Config::default() })
}

#[test]
fn its_table_is_read_shown_and_checked() {
    let read = config("[toy]\nsamples = 3\n").unwrap();
    assert_eq!(toy(&read).unwrap(), &ToyConfig { samples: 3 });
    let shown = toml::Value::try_from(&read).unwrap();
    assert_eq!(shown["toy"]["samples"].as_integer(), Some(3));
    assert_eq!(config("[toy]\nsample = 3\n").unwrap_err(), "toy.sample: unknown key, did you mean \"samples\"?");
    assert_eq!(config("[toi]\n").unwrap_err(), "toi: unknown key, did you mean \"toy\"?");
    let nobodys = OwnTables::read(&INPUTS, &"[toy]\n".parse::<Table>().unwrap()).unwrap_err();
    assert_eq!(
        nobodys,
        "toy: unknown key, known are: fleet, host, influx, kafka_topics, kubernetes, otlp, prometheus, remote_write, replay"
    );
    let (test, unsound) = (TestBus::new(), config("[toy]\nsamples = 101\n").unwrap());
    let stop = CancellationToken::new();
    let error = run_inputs(&with_toy(), &unsound, &Context::default(), &*test.bus, &stop, &|_| ()).unwrap_err();
    assert!(error.to_string().contains("[collector.toy] samples = 101"), "{error}");
}

#[test]
fn its_samples_come_onto_the_log_each_once_also_over_a_restart() {
    let (test, inputs, context) = (TestBus::new(), with_toy(), Context::default());
    for samples in [2, 5] {
        let (config, stop) = (config(&format!("[toy]\nsamples = {samples}\n")).unwrap(), CancellationToken::new());
        std::thread::scope(|threads| {
            let running = threads.spawn(|| run_inputs(&inputs, &config, &context, &*test.bus, &stop, &|_| ()));
            while test.samples().len() < samples && !running.is_finished() {
                std::thread::yield_now();
            }
            stop.cancel();
            running.join().unwrap().unwrap();
        });
    }
    let samples = test.samples();
    assert_eq!(samples, (0..5).map(|minute| sample(minute).unwrap()).collect::<Vec<_>>());
    for sample in &samples {
        validity::check(sample).unwrap();
    }
    assert!(context.health.not_ready().is_empty());
}

#[test]
fn its_uses_are_the_collectors_while_it_is_on() {
    let reads = |toy: &str| {
        let uses = uses_of(&with_toy(), &config(toy).unwrap(), &Graph::default());
        let reads = uses.into_iter().filter_map(|one| if let Use::Reads(topic) = one { Some(topic) } else { None });
        reads.collect::<Vec<_>>()
    };
    assert_eq!(reads("[toy]\nsamples = 1\n"), ["toy-orders"]);
    assert_eq!(reads(""), [""; 0]);
}

#[test]
fn each_input_has_a_name_of_its_own_and_its_table_has_that_name() {
    let names: BTreeSet<&str> = INPUTS.iter().map(|input| input.name).collect();
    assert_eq!(names.len(), INPUTS.len());
    let section = toml::Value::try_from(Config::default()).unwrap();
    for input in &INPUTS {
        assert!(input.table.is_none_or(|table| table.name() == input.name), "{}", input.name);
        assert!(section.get(input.name).is_some(), "{}: neither a field nor a table", input.name);
    }
}
