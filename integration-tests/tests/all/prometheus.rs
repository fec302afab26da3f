//! A real Prometheus: its history through the whole pipeline, over a stop and while it is away; and what it pushes.

use bus_tests::conformance::fixture::until;
use integration_tests::pipeline::{Pipeline, said};
use integration_tests::stores::{Store, StoreKind};
use prescale::account::account;
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_collector::Event;
use prescale_collector::prometheus::preview::preview;
use prescale_contracts::Contract;
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES, MEMORY_BYTES_MAX};
use prescale_domain::point::Point;
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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
            assert_eq!(of(sample, MEMORY_BYTES_MAX), Some(0.75 * MEMORY_TOTAL));
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

/// What is scraped of a shop in Kubernetes, once a minute for two hours: all by two servers, and the kubelets' numbers from
/// two of their pages. Deployment `web` has two pods of 0.5 cores and one that is done, `db-0` two owners, `bare` none. Of
/// the two containers of `db-0` one has no limits. `web-1` and `web-2` serve a request and a half each second and fail at
/// half a one.
fn kubernetes_metrics() -> String {
    let owners = [
        ("web-1", "ReplicaSet", "web-5f", "true"),
        ("web-2", "ReplicaSet", "web-5f", "true"),
        ("web-3", "ReplicaSet", "web-5f", "true"),
        ("db-0", "StatefulSet", "db", "true"),
        ("db-0", "Backup", "nightly", "false"),
        ("alone-1", "ReplicaSet", "alone", "true"),
        ("report-1", "Job", "report-29", "true"),
        ("bare", "", "", ""),
    ];
    let owner = |kind: &str, name: &str, is: &str| {
        format!("owner_kind=\"{kind}\",owner_name=\"{name}\",owner_is_controller=\"{is}\"")
    };
    let running = ["web-1", "web-2", "db-0", "alone-1", "report-1", "bare"];
    let mut gauges = Vec::new();
    for (pod, kind, name, is) in owners {
        gauges.push(("kube_pod_owner", format!("pod=\"{pod}\",{}", owner(kind, name, is)), 1.0));
    }
    let web = owner("Deployment", "web", "true");
    gauges.push(("kube_replicaset_owner", format!("replicaset=\"web-5f\",{web}"), 1.0));
    gauges.push(("kube_replicaset_owner", format!("replicaset=\"alone\",{}", owner("", "", "")), 1.0));
    let report = owner("CronJob", "report", "true");
    gauges.push(("kube_job_owner", format!("job_name=\"report-29\",{report}"), 1.0));
    for pod in running.into_iter().chain(["web-3"]) {
        let value = if pod == "web-3" { 0.0 } else { 1.0 };
        gauges.push(("kube_pod_status_phase", format!("pod=\"{pod}\",phase=\"Running\""), value));
    }
    for pod in ["web-1", "web-2", "web-3"] {
        for (resource, value) in [("cpu", 2.0), ("memory", 4e9)] {
            let labels = format!("pod=\"{pod}\",container=\"app\",resource=\"{resource}\"");
            gauges.push(("kube_pod_container_resource_limits", labels, value));
        }
    }
    for (resource, value) in [("cpu", 2.0), ("memory", 4e9)] {
        let labels = format!("pod=\"db-0\",container=\"app\",resource=\"{resource}\"");
        gauges.push(("kube_pod_container_resource_limits", labels, value));
    }
    for (pod, container) in [("web-1", "app"), ("web-2", "app"), ("db-0", "app"), ("db-0", "sidecar")] {
        let labels = format!("pod=\"{pod}\",container=\"{container}\",image=\"x\"");
        gauges.push(("kube_pod_container_info", labels, 1.0));
    }
    for pod in running {
        gauges.push(("container_memory_working_set_bytes", format!("pod=\"{pod}\",container=\"app\""), 1e9));
    }
    gauges.sort_by_key(|(name, ..)| *name);
    let until = now_s() / 60;
    let twice = ["a", "b"];
    let mut text = String::new();
    for family in gauges.chunk_by(|a, b| a.0 == b.0) {
        let _ = writeln!(text, "# TYPE {} gauge", family[0].0);
        for minute in until - 120..=until {
            for (name, labels, value) in family {
                for instance in twice {
                    let labels = format!("instance=\"{instance}\",namespace=\"shop\",{labels}");
                    let _ = writeln!(text, "{name}{{{labels}}} {value} {}", minute * 60);
                }
            }
        }
    }
    text += "# TYPE container_cpu_usage_seconds counter\n";
    for minute in until - 120..=until {
        for (pod, instance) in running.iter().flat_map(|pod| twice.map(|instance| (pod, instance))) {
            let labels = format!("instance=\"{instance}\",namespace=\"shop\",pod=\"{pod}\",container=\"app\"");
            let _ = writeln!(text, "container_cpu_usage_seconds_total{{{labels}}} {} {}", minute * 30, minute * 60);
        }
    }
    text + &http_requests(until) + "# EOF\n"
}

/// What two pods serve, as two jobs scrape it until that minute.
fn http_requests(until: i64) -> String {
    let mut text = "# TYPE http_requests counter\n".to_owned();
    for minute in until - 120..=until {
        for (pod, job) in ["web-1", "web-2"].iter().flat_map(|pod| ["a", "b"].map(|job| (pod, job))) {
            for (code, total) in [("200", 60 * minute), ("500", 30 * minute)] {
                let labels = format!("job=\"{job}\",namespace=\"shop\",pod=\"{pod}\",code=\"{code}\"");
                let _ = writeln!(text, "http_requests_total{{{labels}}} {total} {}", minute * 60);
            }
        }
    }
    text
}

#[test]
fn workloads_of_kubernetes_count_once_however_often_they_are_scraped() {
    let mut store = Store::stopped(StoreKind::Prometheus);
    store.backfill(&kubernetes_metrics());
    store.run();
    let mut settings = settings(&store.url());
    settings.collector.prometheus.preset = "kubernetes".to_owned();
    let own = "sum by (namespace, pod) (rate(http_requests_total{code=\"200\",job=\"a\"}[$window]))";
    settings.collector.prometheus.kpis.insert("good_per_s".to_owned(), own.to_owned());
    let seen = preview(&settings.collector.prometheus).expect("it answers");
    let workloads = ["shop/CronJob/report", "shop/Deployment/web", "shop/ReplicaSet/alone", "shop/StatefulSet/db"];
    assert_eq!((seen.examples, seen.workloads_with_capacity), (workloads.map(str::to_owned).to_vec(), 1));
    let of = |name: &str| seen.kpis.iter().find(|kpi| kpi.name == name).and_then(|kpi| kpi.values);
    let [least, _, greatest] = of(CPU_CORES_USED).expect("CPU was measured");
    assert!((least - 0.5).abs() < 1e-6 && (greatest - 1.0).abs() < 1e-6, "{least} to {greatest} cores");
    let [least, _, greatest] = of(MEMORY_BYTES).expect("memory was measured");
    assert_eq!((least, greatest), (1e9, 2e9));
    for (name, per_s) in [("requests_per_s", 3.0), ("errors_per_s", 1.0), ("good_per_s", 2.0)] {
        let [least, _, greatest] = of(name).unwrap_or_else(|| panic!("{name} was measured"));
        assert!((least - per_s).abs() < 1e-6 && (greatest - per_s).abs() < 1e-6, "{name}: {least} to {greatest}");
    }
    assert!(seen.findings.iter().all(|finding| !finding.what.contains("belong to no workload")), "{:?}", seen.findings);
}

/// Two hours of a machine as Telegraf says them, and of two as the OpenTelemetry Collector does, by each core and, as newer
/// versions, by all of them: each has two cores of which 0.8 are in use, and 5 of 8 GB.
fn agents_metrics() -> String {
    let until = now_s() / 60;
    let gauges = [
        ("cpu_usage_idle", "host=\"t-1\",cpu=\"cpu0\"", 60.0),
        ("cpu_usage_idle", "host=\"t-1\",cpu=\"cpu1\"", 50.0),
        ("cpu_usage_idle", "host=\"t-1\",cpu=\"cpu-total\"", 55.0),
        ("cpu_usage_iowait", "host=\"t-1\",cpu=\"cpu0\"", 10.0),
        ("mem_available", "host=\"t-1\"", 3e9),
        ("mem_total", "host=\"t-1\"", 8e9),
        ("system_cpu_logical_count", "instance=\"c:8889\",host_name=\"o-2\"", 2.0),
        ("system_memory_usage_bytes", "instance=\"c:8889\",host_name=\"o-1\",state=\"free\"", 3e9),
        ("system_memory_usage_bytes", "instance=\"c:8889\",host_name=\"o-1\",state=\"used\"", 5e9),
        ("system_memory_usage_bytes", "instance=\"c:8889\",host_name=\"o-2\",state=\"free\"", 3e9),
        ("system_memory_usage_bytes", "instance=\"c:8889\",host_name=\"o-2\",state=\"used\"", 5e9),
    ];
    let mut text = String::new();
    for family in gauges.chunk_by(|a, b| a.0 == b.0) {
        let _ = writeln!(text, "# TYPE {} gauge", family[0].0);
        for minute in until - 120..=until {
            for (name, labels, value) in family {
                let _ = writeln!(text, "{name}{{{labels}}} {value} {}", minute * 60);
            }
        }
    }
    text += "# TYPE system_cpu_time_seconds counter\n";
    for minute in until - 120..=until {
        let of_cores = [("0", "user", 24), ("0", "idle", 36), ("1", "system", 24), ("1", "idle", 36)];
        let of_cores =
            of_cores.map(|(cpu, state, each_min)| (format!("host_name=\"o-1\",cpu=\"cpu{cpu}\""), state, each_min));
        let of_all =
            [("user", 48), ("idle", 72)].map(|(state, each_min)| ("host_name=\"o-2\"".to_owned(), state, each_min));
        for (machine, state, each_min) in of_cores.into_iter().chain(of_all) {
            let labels = format!("instance=\"c:8889\",{machine},state=\"{state}\"");
            let total = each_min * minute;
            let _ = writeln!(text, "system_cpu_time_seconds_total{{{labels}}} {total} {}", minute * 60);
        }
    }
    text + "# EOF\n"
}

#[test]
fn what_agents_of_others_say_of_machines_is_read_by_their_presets() {
    let mut store = Store::stopped(StoreKind::Prometheus);
    store.backfill(&agents_metrics());
    store.run();
    let mut settings = settings(&store.url());
    for (preset, machines) in [("telegraf", &["t-1"][..]), ("otel-host", &["o-1", "o-2"][..])] {
        settings.collector.prometheus.preset = preset.to_owned();
        let seen = preview(&settings.collector.prometheus).expect("it answers");
        assert_eq!(seen.examples, machines, "{preset}");
        assert_eq!(seen.workloads_with_capacity, machines.len(), "{preset}");
        let of = |name: &str| seen.kpis.iter().find(|kpi| kpi.name == name).and_then(|kpi| kpi.values);
        let [least, _, greatest] = of(CPU_CORES_USED).expect("CPU was measured");
        assert!((least - 0.8).abs() < 1e-6 && (greatest - 0.8).abs() < 1e-6, "{preset}: {least} to {greatest} cores");
        assert_eq!(of(MEMORY_BYTES), Some([5e9, 5e9, 5e9]), "{preset}");
        assert!(seen.findings.iter().all(|finding| finding.what.ends_with("no series")), "{:?}", seen.findings);
    }
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

/// What a Prometheus says of itself.
const OF_ITSELF: &str = r#"
about = "A Prometheus, by what it says of itself."
workload = "{job}"
platform = "observed-only"
[kpis.memory_bytes]
query = "process_resident_memory_bytes"
[[series.memory_bytes]]
metric = "process_resident_memory_bytes"
[[series.cpu_cores_used]]
metric = "process_cpu_seconds_total"
total = true
"#;

#[test]
fn what_a_prometheus_pushes_is_what_its_own_store_has() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let preset = folder.path().join("itself.toml");
    std::fs::write(&preset, OF_ITSELF).expect("the folder is writable");
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    settings.assembler.lateness_s = 5;
    let receiver = &mut settings.collector.remote_write;
    receiver.listen = "127.0.0.1:0".to_owned();
    receiver.preset = preset.display().to_string();
    receiver.step_s = 1;
    let bus = embedded(folder.path());
    let pipeline = Pipeline::start(&bus, &settings);
    let (context, stop) = (installation(&settings), CancellationToken::new());
    let mut store = Store::stopped(StoreKind::Prometheus);
    let (tell, told) = sync_channel(1);
    let observe = |event: Event| {
        if let Event::RemoteWriteListens { url } = event {
            let _ = tell.send(url);
        }
    };
    std::thread::scope(|threads| {
        let run = || prescale_collector::run_observed(&settings.collector, &context, Arc::clone(&bus), &stop, &observe);
        let collector = threads.spawn(run);
        let stops = stop.clone().drop_guard();
        let url = told.recv_timeout(Duration::from_secs(60)).expect("it listens");
        store.scrape_itself_and_write_to(&url);
        store.run();
        until("samples of what is pushed", || (decoded::<Sample>(bus.as_ref()).len() >= 4).then_some(()));
        drop(stops);
        collector.join().expect("it does not panic").expect("it ends well");
    });
    pipeline.settle();

    let answer = store.json("/api/v1/query", &[("query", "process_resident_memory_bytes[1h]")]);
    let values = answer["data"]["result"][0]["values"].as_array().expect("it has scraped itself");
    let in_store: BTreeMap<i64, f64> = values
        .iter()
        .map(|pair| {
            let at_s = pair[0].as_f64().expect("an instant");
            let value = pair[1].as_str().and_then(|text| text.parse().ok()).expect("a value");
            ((at_s * 1000.0).round() as i64, value)
        })
        .collect();
    let points = decoded::<Point>(bus.as_ref());
    let memory = points.iter().filter(|point| point.measured.name() == MEMORY_BYTES);
    let pushed: BTreeMap<i64, f64> = memory.filter_map(|point| Some((point.at.as_ms(), point.value?))).collect();
    let (first, last) = (pushed.keys().next().expect("a point"), pushed.keys().next_back().expect("a point"));
    let between: BTreeMap<i64, f64> = in_store.range(*first..=*last).map(|(at, value)| (*at, *value)).collect();
    assert_eq!(pushed, between, "none is lost");
    for sample in decoded::<Sample>(bus.as_ref()) {
        assert_eq!((sample.workload.as_str(), sample.source.as_str()), ("self", "remote-write:main"));
        assert_eq!(of(&sample, MEMORY_BYTES), in_store.get(&sample.at.as_ms()).copied());
        assert!(of(&sample, CPU_CORES_USED).is_none_or(|cores| (0.0..64.0).contains(&cores)), "{sample:?}");
    }
    let accounts = account(bus.as_ref(), &context, &CancellationToken::new()).expect("the log is readable");
    let assembler = accounts.iter().find(|account| account.stage == "assembler").expect("it ran");
    assert_eq!(assembler.faults(), [""; 0], "{assembler:?}");
    pipeline.stop();
}
