//! Two weeks of a fleet as blocks of a Prometheus: a sample a minute of every series.

use crate::run;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// By name and whether it is a running total, the series of a workload, in the order of [`Workload::values`]. The last two
/// are its size.
const SERIES: [(&str, bool); 10] = [
    ("vm_cpu_seconds_total", true),
    ("vm_disk_read_bytes_total", true),
    ("vm_disk_written_bytes_total", true),
    ("vm_network_receive_bytes_total", true),
    ("vm_network_transmit_bytes_total", true),
    ("vm_requests_total", true),
    ("vm_memory_used_bytes", false),
    ("vm_latency_ms", false),
    ("vm_cpu_cores", false),
    ("vm_memory_bytes", false),
];

/// What asks for these series.
pub(super) const PRESET: &str = r#"about = "Virtual machines that were made up."
workload = "{vm}"
platform = "observed-only"
[kpis.cpu_cores_used]
query = "sum by (vm) (rate(vm_cpu_seconds_total[$window]))"
[kpis.memory_bytes]
query = "sum by (vm) (vm_memory_used_bytes)"
[kpis.disk_read_bytes_per_s]
query = "sum by (vm) (rate(vm_disk_read_bytes_total[$window]))"
[kpis.disk_write_bytes_per_s]
query = "sum by (vm) (rate(vm_disk_written_bytes_total[$window]))"
[kpis.network_receive_bytes_per_s]
query = "sum by (vm) (rate(vm_network_receive_bytes_total[$window]))"
[kpis.network_transmit_bytes_per_s]
query = "sum by (vm) (rate(vm_network_transmit_bytes_total[$window]))"
[kpis.requests_per_s]
query = "sum by (vm) (rate(vm_requests_total[$window]))"
[kpis.latency_ms]
query = "max by (vm) (vm_latency_ms)"
[capacity]
cpu_cores = "sum by (vm) (vm_cpu_cores)"
memory_bytes = "sum by (vm) (vm_memory_bytes)"
"#;

const STEP_S: i64 = 60;
const HISTORY_S: i64 = 14 * 86_400;
/// So much of what is to come is there as well, so that there is something to read while it runs, and the next time.
const AHEAD_S: i64 = 3 * 3600;
/// A Prometheus that keeps 15 days makes of its blocks such of 18 hours.
const BLOCK_S: i64 = 18 * 3600;

/// The folder with the data of so many workloads, up to `now_s` and beyond; made where it is not there.
pub(super) fn made(home: &Path, workloads: usize, now_s: i64) -> Result<PathBuf> {
    let data = home.join(format!("data-{workloads}"));
    let (until, until_s) = (data.join("until"), now_s / STEP_S * STEP_S + AHEAD_S);
    let reaches_s: Option<i64> = fs::read_to_string(&until).ok().and_then(|text| text.trim().parse().ok());
    if reaches_s.is_some_and(|reaches_s| reaches_s > now_s + AHEAD_S / 6) {
        return Ok(data);
    }
    let _ = fs::remove_dir_all(&data);
    fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let text = home.join("part.om");
    let mut fleet: Vec<Workload> = (0..workloads as u64).map(Workload::new).collect();
    let mut from_s = now_s / STEP_S * STEP_S - HISTORY_S;
    while from_s < until_s {
        let to_s = until_s.min((from_s / BLOCK_S + 1) * BLOCK_S);
        let mut out = BufWriter::new(File::create(&text).context("the user's cache is not writable")?);
        for workload in &mut fleet {
            workload.write(&mut out, from_s, to_s)?;
        }
        out.write_all(b"# EOF\n")?;
        out.into_inner().context("cannot write the history")?;
        let block = format!("--max-block-duration={BLOCK_S}s");
        run(Command::new("promtool")
            .args(["tsdb", "create-blocks-from", &block, "--quiet", "openmetrics"])
            .args([&text, &data]))?;
        from_s = to_s;
    }
    fs::remove_file(&text)?;
    fs::write(&until, until_s.to_string())?;
    Ok(data)
}

/// A machine with a rhythm of its own, and what its totals have come to.
struct Workload {
    number: u64,
    cores: f64,
    totals: [f64; SERIES.len()],
}

impl Workload {
    fn new(number: u64) -> Self {
        Self { number, cores: [2.0, 4.0, 8.0, 16.0][(number % 4) as usize], totals: [0.0; SERIES.len()] }
    }

    fn write(&mut self, out: &mut impl Write, from_s: i64, to_s: i64) -> std::io::Result<()> {
        for minute in from_s / STEP_S..to_s / STEP_S {
            for (((name, is_total), value), total) in SERIES.iter().zip(self.values(minute)).zip(&mut self.totals) {
                let value = if *is_total {
                    *total += value * STEP_S as f64;
                    *total
                } else {
                    value
                };
                writeln!(out, "{name}{{vm=\"vm-{:04}\"}} {value:.2} {}", self.number, minute * STEP_S)?;
            }
        }
        Ok(())
    }

    /// What each series shows in a minute; of a total, its growth in a second.
    fn values(&self, minute: i64) -> [f64; SERIES.len()] {
        let hour = (minute as f64 / 60.0 + chance(self.number, 0) * 24.0) * std::f64::consts::TAU / 24.0;
        let is_weekend = (minute / 1440 + 4) % 7 >= 5;
        let rhythm = (1.0 + hour.sin()) / 2.0 * if is_weekend { 0.5 } else { 1.0 };
        let busy = 0.1 + 0.5 * rhythm + 0.15 * chance(self.number, minute as u64);
        let memory = self.cores * 4e9;
        let requests = 20.0 * self.cores * busy;
        [
            self.cores * busy,
            1e5 * requests,
            4e4 * requests,
            2e4 * requests,
            6e4 * requests,
            requests,
            memory * (0.4 + 0.3 * busy),
            20.0 / (1.0 - 0.9 * busy),
            self.cores,
            memory,
        ]
    }
}

/// From 0 up to 1, the same for the same numbers (splitmix64).
fn chance(of: u64, at: u64) -> f64 {
    let mut x = (of.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ at).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_has_every_series_each_minute_and_totals_grow_on_over_parts() {
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        Workload::new(7).write(&mut whole, 0, 600).unwrap();
        let mut workload = Workload::new(7);
        workload.write(&mut parts, 0, 300).unwrap();
        workload.write(&mut parts, 300, 600).unwrap();
        assert_eq!(whole, parts);
        let text = String::from_utf8(whole).unwrap();
        assert_eq!(text.lines().count(), 10 * SERIES.len());
        let totals = text.lines().filter(|line| line.starts_with("vm_cpu_seconds_total{vm=\"vm-0007\"} "));
        let totals: Vec<f64> = totals.map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert!(totals.is_sorted() && totals[9] > 60.0, "{totals:?}");
        assert!((0..1000).map(|n| chance(3, n)).all(|chance| (0.0..1.0).contains(&chance)));
        assert!(SERIES.iter().all(|(name, _)| PRESET.contains(name)), "each series is asked for");
    }
}
