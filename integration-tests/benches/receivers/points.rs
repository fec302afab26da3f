//! Points over HTTP, through the receiver of remote write, the embedded log and the assembler.

use crate::message::{WriteRequest, series};
use crate::threads::cpu_s;
use integration_tests::processes::{count, is_worked_off, until};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_collector::Event;
use prescale_contracts::topics;
use prost::Message as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const KPIS: [&str; 8] = [
    "cpu_cores_used",
    "memory_bytes",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "network_receive_bytes_per_s",
    "network_transmit_bytes_per_s",
    "requests_per_s",
    "queue_length",
];
/// Those that are running totals.
const TOTALS: [&str; 6] = [
    "cpu_cores_used",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "network_receive_bytes_per_s",
    "network_transmit_bytes_per_s",
    "requests_per_s",
];
const STEP_MS: i64 = 60_000;
/// As a Prometheus sends them.
const SERIES_A_REQUEST: usize = 2_000;
const SENDERS: usize = 4;

pub(crate) fn run(workloads: u32, minutes: u32) {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let settings = settings(folder.path());
    let context = installation(&settings);
    let opened = EmbeddedBus::open(folder.path().join("bench.db"), EmbeddedOptions::default()).expect("it opens");
    let bus: Arc<dyn Bus> = Arc::new(opened);
    bus.ensure_topics(&specs(&context.graph, settings.bus.partitions, 1)).expect("the topics are made");
    let points = u64::from(workloads) * u64::from(minutes) * KPIS.len() as u64;
    println!("{workloads} workloads, {} KPIs, {minutes} minutes: {points} points over HTTP", KPIS.len());
    let requests = requests(workloads, minutes);

    let stop = CancellationToken::new();
    let (tell, told) = sync_channel(1);
    let observe = |event: Event| {
        if let Event::RemoteWriteListens { url } = event {
            let _ = tell.send(url);
        }
    };
    std::thread::scope(|threads| {
        // Also when something panics.
        let stops = stop.clone().drop_guard();
        let collector = threads.spawn(|| {
            prescale_collector::run_observed(&settings.collector, &context, Arc::clone(&bus), &stop, &observe)
        });
        let assembler = std::thread::Builder::new().name("assembler".to_owned());
        let assembler = assembler
            .spawn_scoped(threads, || prescale_assembler::run(&settings.assembler, &context, Arc::clone(&bus), &stop));
        let url = told.recv_timeout(Duration::from_secs(60)).expect("it listens");
        let (began, cpu_before) = (Instant::now(), cpu_s());
        send(&url, &requests);
        let sent = began.elapsed();
        until("the assembler", || {
            count(bus.as_ref(), topics::RAW_POINTS) >= points as i64
                && is_worked_off(bus.as_ref(), &context, &[prescale_assembler::STAGE])
        });
        let took = began.elapsed();
        let cpu_after = cpu_s();
        let samples = count(bus.as_ref(), topics::RAW_KPIS);
        drop(stops);
        collector.join().expect("it does not panic").expect("it ends well");
        assembler.expect("a thread starts").join().expect("it does not panic").expect("it ends well");

        let per_s = |took: Duration| points as f64 / took.as_secs_f64();
        println!("acknowledged             {:>10.2} s {:>10.0} points/s", sent.as_secs_f64(), per_s(sent));
        println!("assembled                {:>10.2} s {:>10.0} points/s", took.as_secs_f64(), per_s(took));
        println!("samples                  {samples:>10}");
        println!("CPU of threads:");
        for (name, after_s) in cpu_after {
            let spent_s = after_s - cpu_before.get(&name).copied().unwrap_or(0.0);
            if spent_s >= 0.05 {
                println!("  {name:<22} {spent_s:>10.2} s {:>10.2} us a point", spent_s * 1e6 / points as f64);
            }
        }
    });
}

fn settings(folder: &Path) -> Settings {
    let mut preset = String::from("about = \"\"\nworkload = \"{vm}\"\nplatform = \"observed-only\"\n");
    preset += "[kpis.cpu_cores_used]\nquery = \"not asked\"\n";
    for kpi in KPIS {
        let is_total = TOTALS.contains(&kpi);
        preset += &format!("[[series.{kpi}]]\nmetric = \"bench_{kpi}\"\ntotal = {is_total}\n");
    }
    let file = folder.join("bench.toml");
    std::fs::write(&file, preset).expect("the folder is writable");
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    settings.collector.remote_write.listen = "127.0.0.1:0".to_owned();
    settings.collector.remote_write.preset = file.display().to_string();
    settings
}

/// By minute, the bodies of the requests.
fn requests(workloads: u32, minutes: u32) -> Vec<Vec<Vec<u8>>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    let now_ms = i64::try_from(now.as_millis()).expect("it is not that late");
    let first_ms = (now_ms / STEP_MS - i64::from(minutes)) * STEP_MS;
    let names: Vec<(String, &str)> =
        (0..workloads).flat_map(|vm| KPIS.map(|kpi| (format!("bench-{vm}"), kpi))).collect();
    let metrics = KPIS.map(|kpi| (kpi, format!("bench_{kpi}")));
    let metric = |kpi: &str| metrics.iter().find(|(name, _)| *name == kpi).map_or("", |(_, metric)| metric.as_str());
    let body = |minute: u32, names: &[(String, &str)]| {
        let at_ms = first_ms + i64::from(minute) * STEP_MS;
        let of = |(vm, kpi): &(String, &str)| {
            let labels =
                [("__name__", metric(kpi)), ("instance", "10.0.0.1:9100"), ("job", "bench"), ("vm", vm.as_str())];
            series(&labels, at_ms, f64::from(minute) * 30.0)
        };
        let message = WriteRequest { timeseries: names.iter().map(of).collect() }.encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&message).expect("it fits")
    };
    (0..minutes).map(|minute| names.chunks(SERIES_A_REQUEST).map(|names| body(minute, names)).collect()).collect()
}

/// Sends all, each minute's requests over several connections, and one minute after the other.
fn send(url: &str, requests: &[Vec<Vec<u8>>]) {
    let minute_ends = Barrier::new(SENDERS);
    std::thread::scope(|threads| {
        for sender in 0..SENDERS {
            let minute_ends = &minute_ends;
            let send_all = move || {
                let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
                let agent = ureq::Agent::from(config);
                for minute in requests {
                    for body in minute.iter().skip(sender).step_by(SENDERS) {
                        push(&agent, url, body);
                    }
                    minute_ends.wait();
                }
            };
            std::thread::Builder::new().name("sender".to_owned()).spawn_scoped(threads, send_all).expect("it starts");
        }
    });
}

/// Sends one request until it is taken.
fn push(agent: &ureq::Agent, url: &str, body: &[u8]) {
    loop {
        let request =
            agent.post(url).header("content-type", "application/x-protobuf").header("content-encoding", "snappy");
        match request.send(body).expect("the receiver answers").status().as_u16() {
            204 => return,
            503 => std::thread::yield_now(),
            other => panic!("the receiver said {other}"),
        }
    }
}
