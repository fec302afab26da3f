//! The history of a real Prometheus, read through the whole pipeline: over a stop, and while it is away.

use integration_tests::pipeline::{Pipeline, said};
use integration_tests::stores::{Store, StoreKind};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_collector::Event;
use prescale_collector::prometheus::preview::preview;
use prescale_contracts::Contract;
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const MACHINES: usize = 3;
const CPUS: usize = 4;
const HISTORY_S: u32 = 86_400;
const MEMORY_TOTAL: f64 = 16e9;

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() as i64
}

/// Cores that a machine uses, all the time.
fn cores(machine: usize) -> f64 {
    0.8 * (machine + 1) as f64
}

/// What node_exporter would have said of some machines, once a minute for a day and two hours, up to now.
fn node_metrics() -> String {
    let until = now_s() / 60;
    let minutes = until - 26 * 60..=until;
    let mut text = String::from("# TYPE node_cpu_seconds counter\n");
    for minute in minutes.clone() {
        for machine in 0..MACHINES {
            for cpu in 0..CPUS {
                let busy_s = cores(machine) / CPUS as f64 * (minute * 60) as f64;
                for (mode, value) in [("user", busy_s), ("idle", (minute * 60) as f64 - busy_s)] {
                    let labels = format!("instance=\"vm-{machine}\",cpu=\"{cpu}\",mode=\"{mode}\"");
                    let _ = writeln!(text, "node_cpu_seconds_total{{{labels}}} {value} {}", minute * 60);
                }
            }
        }
    }
    for (name, value) in [("MemTotal", MEMORY_TOTAL), ("MemAvailable", MEMORY_TOTAL / 4.0)] {
        let _ = writeln!(text, "# TYPE node_memory_{name}_bytes gauge");
        for minute in minutes.clone() {
            for machine in 0..MACHINES {
                let labels = format!("instance=\"vm-{machine}\"");
                let _ = writeln!(text, "node_memory_{name}_bytes{{{labels}}} {value} {}", minute * 60);
            }
        }
    }
    text + "# EOF\n"
}

fn settings(url: &str) -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    let asked = &mut settings.collector.prometheus;
    asked.url = url.to_owned();
    asked.preset = "node".to_owned();
    asked.history_s = HISTORY_S;
    settings
}

fn embedded(folder: &Path) -> Arc<dyn Bus> {
    Arc::new(EmbeddedBus::open(folder.join("prescale.db"), EmbeddedOptions::default()).expect("the log opens"))
}

fn decoded<C: Contract>(bus: &dyn Bus) -> Vec<C> {
    let records = said(bus, C::TOPIC);
    records.iter().map(|r| C::decode(r.value.as_deref().expect("a value")).expect("it can be decoded")).collect()
}

fn of(sample: &Sample, kpi: &str) -> Option<f64> {
    sample.kpis.iter().find(|k| k.name.as_str() == kpi).and_then(|k| k.value)
}

#[test]
fn a_prometheus_history_is_read_once_over_a_stop_and_forecast() {
    let mut store = Store::stopped(StoreKind::Prometheus);
    store.backfill(&node_metrics());
    store.run();
    let settings = settings(&store.url());
    let folder = tempfile::tempdir().expect("a folder for the log");
    let ends: [fn(&Event) -> bool; 2] =
        [|event| matches!(event, Event::PrometheusProgress { .. }), |event| matches!(event, Event::PrometheusLive)];
    for end in ends {
        let bus = embedded(folder.path());
        let pipeline = Pipeline::start(&bus, &settings);
        pipeline.collect_until(end);
        pipeline.stop();
    }
    let bus = embedded(folder.path());
    let mut by_workload: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in decoded::<Sample>(bus.as_ref()) {
        by_workload.entry(sample.workload.to_string()).or_default().push(sample);
    }
    assert_eq!(by_workload.keys().collect::<Vec<_>>(), ["vm-0", "vm-1", "vm-2"]);
    for (machine, samples) in by_workload.values().enumerate() {
        let instants: Vec<i64> = samples.iter().map(|sample| sample.at.as_ms() / 1000).collect();
        assert!(instants.windows(2).all(|pair| pair[1] - pair[0] == 300), "each step once: {instants:?}");
        assert!((286..=289).contains(&instants.len()), "{} steps in a day", instants.len());
        for sample in samples {
            let cpu = of(sample, CPU_CORES_USED).expect("CPU was measured");
            assert!((cpu - cores(machine)).abs() < 1e-6, "{cpu} cores at {}", sample.at.as_ms());
            assert_eq!(of(sample, MEMORY_BYTES), Some(0.75 * MEMORY_TOTAL));
            let capacity = sample.capacity.as_ref().expect("its size is known");
            assert_eq!((capacity.cpu_cores(), capacity.memory_bytes()), (CPUS as f64, MEMORY_TOTAL));
        }
    }
    let predictions = decoded::<Prediction>(bus.as_ref());
    let forecast: BTreeSet<_> = predictions.iter().map(|p| p.workload.as_str()).collect();
    assert_eq!(forecast.len(), MACHINES);

    let seen = preview(&settings.collector.prometheus).expect("it answers");
    assert_eq!((seen.workloads, seen.workloads_with_capacity, seen.examples.len()), (MACHINES, MACHINES, MACHINES));
    assert!(seen.history_from.is_some());
    assert!(seen.findings.iter().all(|finding| finding.what.ends_with("no series")), "{:?}", seen.findings);
}

#[test]
fn a_prometheus_that_is_away_is_waited_for_and_said() {
    let mut store = Store::stopped(StoreKind::Prometheus);
    store.backfill(&node_metrics());
    let mut settings = settings(&store.url());
    let asked = &mut settings.collector.prometheus;
    // No stage runs, so none is waited for.
    (asked.history_s, asked.lag_max_records) = (3600, 0);
    let folder = tempfile::tempdir().expect("a folder for the log");
    let bus = embedded(folder.path());
    let context = installation(&settings);
    bus.ensure_topics(&specs(&context.graph, 2, 1)).expect("the topics are made");
    let stop = CancellationToken::new();
    let observe = |event: Event| {
        if event == Event::PrometheusLive {
            stop.cancel();
        }
    };
    std::thread::scope(|threads| {
        let run = || prescale_collector::run_observed(&settings.collector, &context, Arc::clone(&bus), &stop, &observe);
        let collector = threads.spawn(run);
        let is_told =
            || context.health.not_ready().iter().any(|(_, why)| why.contains("cannot be read: cpu_cores_used"));
        while !is_told() && !collector.is_finished() {
            std::thread::yield_now();
        }
        store.run();
        collector.join().expect("it does not panic").expect("it ends well");
    });
    assert!(context.health.not_ready().is_empty());
    assert_eq!(decoded::<Sample>(bus.as_ref()).len() % MACHINES, 0);
}
