//! How fast a trace becomes samples on an embedded bus that nobody reads.
//!
//! `cargo bench -p prescale-collector --bench replay -- FILE [FROM] [TO] [SORT_MIB] [MAPPING]`, with
//! `FROM` and `TO` as in the configuration and `MAPPING` as on the command line. It says what became of the
//! rows, how many a second were written, and the most memory that the process took.

use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, Cleanup, TopicSpec};
use prescale_chassis::Context;
use prescale_collector::{Config, Mapping, run_reporting};
use prescale_contracts::{rfc3339, topics};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(file) = arguments.first() else {
        println!(
            "name a trace: cargo bench -p prescale-collector --bench replay -- FILE [FROM] [TO] [SORT_MIB] [MAPPING]"
        );
        return Ok(());
    };
    let mut config = Config::default();
    config.host.enabled = false;
    config.replay.file = file.into();
    config.replay.from = arguments.get(1).map_or("", String::as_str).parse()?;
    config.replay.to = arguments.get(2).map_or("", String::as_str).parse()?;
    config.replay.lag_max_records = 0;
    if let Some(mebibytes) = arguments.get(3) {
        config.replay.sort_memory_bytes_max = mebibytes.parse::<usize>()? << 20;
    }
    if let Some(mapping) = arguments.get(4) {
        config.replay.mapping = Mapping::parse(mapping)?;
    }
    let folder = tempfile::tempdir()?;
    let bus = EmbeddedBus::open(folder.path().join("bus.db"), EmbeddedOptions::default())?;
    let cleanup = Cleanup::Delete { retention_ms: 7 * 86_400_000 };
    bus.ensure_topics(&[TopicSpec { name: topics::RAW_KPIS.to_owned(), partitions: 4, replication: 1, cleanup }])?;
    let (shutdown, began) = (CancellationToken::new(), Instant::now());
    let mut report = None;
    run_reporting(&config, &Context::default(), Arc::new(bus), &shutdown, |ended| {
        report = Some(ended);
        shutdown.cancel();
    })?;
    let took_s = began.elapsed().as_secs_f64();
    let report = report.ok_or("the replay did not come to its end")?;
    let dropped: u64 = report.rows_dropped.values().sum();
    println!("rows read        {}", report.rows_read);
    println!("samples written  {}", report.samples_written);
    println!("rows dropped     {dropped} {:?}", report.rows_dropped);
    println!("accounted for    {}", report.rows_read == report.samples_written + report.rows_joined + dropped);
    println!("first, last      {:?}, {:?}", report.first_at.map(rfc3339), report.last_at.map(rfc3339));
    println!("took             {took_s:.2} s, {:.0} rows/s", report.rows_read as f64 / took_s);
    println!("peak memory      {}", peak_memory().unwrap_or_else(|| "unknown".to_owned()));
    println!("log              {} MB", std::fs::metadata(folder.path().join("bus.db"))?.len() / 1_000_000);
    Ok(())
}

/// The most memory that this process ever took, as Linux tells it.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|value| value.trim().to_owned())
}
