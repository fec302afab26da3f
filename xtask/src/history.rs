//! `cargo xtask time-history`: how long `prescale up` takes from a Prometheus that holds two weeks of a fleet, a sample a
//! minute, until it has forecasts and the dry run's account of all of it; and where that time goes.

mod blocks;

use crate::cache;
use crate::given::Given;
use crate::process::{Program, free_address};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const WORKLOADS: usize = 500;
/// Longer than this it is not waited for.
const WITHIN: Duration = Duration::from_secs(1800);
/// What `up` says when all stages have come through the history.
const THROUGH: &str = "the history is through";
/// What the kernel counts processor time in, a second.
const TICKS_PER_S: f64 = 100.0;

/// Measures it once, with arguments such as `--binary FILE 500`.
pub(crate) fn time(arguments: &[String]) -> Result<()> {
    let given = Given::of(arguments)?;
    let workloads = given.names.first().map_or(Ok(WORKLOADS), |text| text.parse());
    let workloads = workloads.context("the number of workloads is no number")?;
    let binary = given.binary()?;
    let home = cache()?.join("history");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let data = blocks::made(&home, workloads, now_s)?;
    let folder = home.join("run");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let (mut prometheus, url) = prometheus(&folder, &data)?;
    let (preset, config) = (folder.join("preset.toml"), folder.join("prescale.toml"));
    fs::write(&preset, blocks::PRESET)?;
    let bus = folder.join("prescale.db").display().to_string();
    fs::write(
        &config,
        format!(
            "[bus.embedded]\npath = {bus:?}\n[console]\nlisten = \"127.0.0.1:0\"\n[collector.host]\nenabled = false\n"
        ),
    )?;
    let mut up = Command::new(&binary);
    up.arg("--config").arg(&config).args(["up", "--prometheus", &url, "--preset"]).arg(&preset);
    let mut prescale = Program::new(up, folder.join("prescale.log"));
    let started = Instant::now();
    prescale.start()?;
    let (id, prometheus_id) = (prescale.id()?, prometheus.id()?);
    let before = threads(prometheus_id)?;
    prescale.until_says(WITHIN, |said| said.contains(THROUGH).then_some(()))?;
    let took = started.elapsed();
    let (own, theirs) = (threads(id)?, threads(prometheus_id)?);
    prescale.end()?;
    prometheus.end()?;
    let (forecast, accounted) = (named(&binary, &config, "predictions-latest")?, named(&binary, &config, "outcomes")?);
    println!("{:.0} s to the forecasts of {} and the account of {} workloads", took.as_secs_f64(), forecast, accounted);
    println!("processor time: {:.0} s, and {:.0} s of Prometheus", sum(&own), sum(&theirs) - sum(&before));
    let mut own: Vec<_> = own.into_iter().collect();
    own.sort_by(|a, b| b.1.total_cmp(&a.1));
    own.iter().filter(|(_, s)| *s >= 1.0).for_each(|(name, s)| println!("{s:8.0} s {name}"));
    ensure!(forecast == workloads && accounted == workloads, "of {workloads} workloads some are missing");
    Ok(())
}

/// A Prometheus with these data, and where it listens.
fn prometheus(folder: &Path, data: &Path) -> Result<(Program, String)> {
    let (address, config) = (free_address()?, folder.join("prometheus.yml"));
    fs::write(&config, "")?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address={address}"));
    let mut program = Program::new(command, folder.join("prometheus.log"));
    program.start()?;
    program.until_says(WITHIN, |said| said.contains("Server is ready to receive web requests").then_some(()))?;
    Ok((program, format!("http://{address}")))
}

/// Processor time by the threads' names, in seconds.
fn threads(process_id: u32) -> Result<BTreeMap<String, f64>> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process_id}/task"))? {
        // It may have ended.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        if let Some((name, s)) = time_of(&stat) {
            *times.entry(name).or_default() += s;
        }
    }
    Ok(times)
}

/// Name and processor time, in seconds, of a line of the kernel's `stat`.
fn time_of(stat: &str) -> Option<(String, f64)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    // The 14th and the 15th field, of which the third is the first of the rest.
    let mut ticks = rest.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks.next()??, ticks.next()??);
    Some((name.to_owned(), (user + system) / TICKS_PER_S))
}

fn sum(times: &BTreeMap<String, f64>) -> f64 {
    times.values().sum()
}

/// How many workloads a topic's records name.
fn named(binary: &Path, config: &Path, topic: &str) -> Result<usize> {
    let tail = ["bus", "tail", topic, "--from", "earliest", "--format", "json"];
    let output = Command::new(binary).arg("--config").arg(config).args(tail).output()?;
    ensure!(output.status.success(), "prescale bus tail {topic}: {}", String::from_utf8_lossy(&output.stderr));
    let mut names = BTreeSet::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let record: Value = serde_json::from_str(line)?;
        names.insert(record["value"]["workload"].as_str().context("a record without a workload")?.to_owned());
    }
    Ok(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_any_signs() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1000 1 1";
        assert_eq!(time_of(stat), Some(("a) b".to_owned(), 3.0)));
        assert_eq!(time_of("17 (short) S 1"), None);
    }
}
