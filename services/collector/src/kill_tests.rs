//! A collector that is killed (SIGKILL) and started again loses and repeats nothing.

use crate::config::{Config, HostConfig};
use crate::event::Event;
use crate::run::run_observed;
use crate::testing::TestBus;
use crate::{Mapping, config::ReplayConfig};
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, ConsumedRecord};
use prescale_chassis::Context;
use prescale_contracts::topics;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

const FOLDER: &str = "PRESCALE_TEST_KILL_FOLDER";
const SOURCES: u32 = 2;

fn config(folder: &Path) -> Config {
    let mut config = Config { host: HostConfig { enabled: false, ..HostConfig::default() }, ..Config::default() };
    config.replay = ReplayConfig {
        file: folder.join("t.csv"),
        mapping: Mapping::parse("entity=vm,time=ts,cpu=cpu").unwrap(),
        batch_samples_max: 2,
        lag_max_records: 0,
        ..ReplayConfig::default()
    };
    config.fleet.enabled = true;
    config.fleet.workloads = 6;
    config.fleet.settle_s_max = 0;
    config.fleet.start = "2024-01-01".parse().unwrap();
    config.fleet.until = "+1d".parse().unwrap();
    config
}

fn write_trace(folder: &Path) {
    let text = (0..1500).fold("ts,vm,cpu\n".to_owned(), |mut text, row| {
        writeln!(text, "{},vm-{},{}", row / 5 * 60, row % 5, row % 7).unwrap();
        text
    });
    std::fs::write(folder.join("t.csv"), text).unwrap();
}

fn collect(bus: Arc<dyn Bus>, folder: &Path) {
    let (shutdown, ended) = (CancellationToken::new(), AtomicU32::new(0));
    run_observed(&config(folder), &Context::default(), bus, &shutdown, &|event| {
        let is_end = matches!(event, Event::ReplayEnded(_) | Event::FleetEnded { .. });
        if is_end && ended.fetch_add(1, Ordering::SeqCst) + 1 == SOURCES {
            shutdown.cancel();
        }
    })
    .unwrap();
}

/// Not a test of its own: the process that the test below kills.
#[test]
fn child_collects() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let bus = EmbeddedBus::open(folder.join("bus.db"), EmbeddedOptions::default()).unwrap();
    collect(Arc::new(bus), folder);
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_tests::child_collects"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Records by source and partition: sources that run beside each other take turns as they come.
fn by_source(test: &TestBus) -> BTreeMap<(Vec<u8>, u32), Vec<ConsumedRecord>> {
    let mut records: BTreeMap<_, Vec<ConsumedRecord>> = BTreeMap::new();
    for record in test.records(topics::RAW_KPIS) {
        let source = record.header("ce_source").unwrap().to_vec();
        records.entry((source, record.partition)).or_default().push(ConsumedRecord { offset: 0, ..record });
    }
    records
}

#[test]
fn it_goes_on_where_it_was_killed() {
    let (test, undisturbed) = (TestBus::new(), TestBus::new());
    write_trace(test.folder.path());
    collect(Arc::clone(&undisturbed.bus), test.folder.path());
    let wanted = by_source(&undisturbed);
    let all = wanted.values().map(Vec::len).sum::<usize>();
    assert!(all > 1500 + 6 * 1400, "{all}");
    let mut kills = 0;
    for share in [1, 2, 3, 5, 8] {
        let mut child = start(test.folder.path());
        while child.try_wait().unwrap().is_none() && test.records(topics::RAW_KPIS).len() < all * share / 10 {
            std::thread::yield_now();
        }
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(start(test.folder.path()).wait().unwrap().success());
    assert_eq!(by_source(&test), wanted);
    assert!(kills > 0, "at least one of them was killed at work");
}
