//! A newer Prometheus than the system's: a pair of replicas that push by remote write, and the tests that there are of one
//! that is asked.

use super::go;
use super::prescale::{LATENESS_S, Prescale};
use super::sending::now_ms;
use super::values::{Place, Values, compare};
use crate::cargo_with;
use crate::given::Given;
use crate::process::{Program, free_address, wait};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MODULE: &str = "github.com/prometheus/prometheus@v0.316.0";
/// Without the ways to find targets in clouds, which take most of the time to build.
const TAGS: &str = "remove_all_sd";
const JOB: &str = "target";
/// By name, what is pushed and compared, and the metric of which it is.
const MEASURED: [(&str, &str); 2] =
    [("memory_bytes", "process_resident_memory_bytes"), ("cpu_cores_used", "process_cpu_seconds_total")];
const PRESET: &str = r#"about = "A process, by what it says of itself."
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
/// How long things go on between two changes.
const TURN: Duration = Duration::from_secs(15);
/// A replica that is silent for so long is taken no more, in milliseconds.
const SILENCE_MS: i64 = 30_000;
/// A Prometheus sends after so long what it has scraped, in milliseconds, and a scrape takes its time.
const ON_ITS_WAY_MS: i64 = 7_000;

pub(super) fn test(given: &Given) -> Result<()> {
    let folder = go::copied(MODULE)?;
    let programs = folder.join("built");
    for name in ["prometheus", "promtool"] {
        go::build(&folder, &programs.join(name), &format!("./cmd/{name}"), TAGS)?;
    }
    pushes(given, &programs)?;
    if given.is_of_others() {
        // They test what is built from here.
        return Ok(());
    }
    let path = path_with(&programs)?;
    cargo_with(
        &["test", "--release", "--package", "integration-tests", "--test", "all", "--", "prometheus::"],
        &[("PATH", path)],
    )
}

/// The path with a folder before all others.
fn path_with(folder: &Path) -> Result<OsString> {
    let all = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&all));
    Ok(std::env::join_paths(folders)?)
}

/// A pair of replicas, of which each is killed once, and so are we.
fn pushes(given: &Given, programs: &Path) -> Result<()> {
    let folder = go::folder(MODULE)?.join("run");
    let address = free_address()?;
    let preset = folder.with_file_name("preset.toml");
    fs::write(&preset, PRESET)?;
    let sections = format!(
        "[collector.remote_write]\nlisten = \"{address}\"\npreset = {:?}\nstep_s = 1\n",
        preset.display().to_string()
    );
    let mut prescale = Prescale::start(&given.binary()?, &folder, LATENESS_S, &sections, Some(address))?;
    let mut target = Replica::new(programs, &folder, JOB, None)?;
    target.start()?;
    let replica = |name: &str| Replica::new(programs, &folder, name, Some((target.address, address)));
    let (mut one, mut two) = (replica("one")?, replica("two")?);
    one.start()?;
    wait(TURN);
    two.start()?;
    wait(TURN);
    let of_one = one.values()?;
    one.program.kill()?;
    let one_killed_ms = now_ms();
    wait(Duration::from_millis(SILENCE_MS as u64) + TURN);
    // It is there again, and not taken.
    one.start()?;
    wait(TURN);
    prescale.kill()?;
    one.program.kill()?;
    wait(TURN);
    prescale.run()?;
    wait(TURN);
    two.program.kill()?;
    let two_killed_ms = now_ms();
    two.start()?;
    wait(TURN);
    let of_two = two.values()?;
    two.program.end()?;
    let log = prescale.end()?;
    let killed = [one_killed_ms, two_killed_ms].map(|ms| ms - ON_ITS_WAY_MS..ms + ON_ITS_WAY_MS);
    hold(&of_one, &of_two, &log.points, |at_ms| killed.iter().any(|killed| killed.contains(&at_ms)))
}

/// Holds the log to the stores of two replicas: first it has what the one has, and from then on what the other has.
fn hold(of_one: &Values, of_two: &Values, got: &Values, was_killed: impl Fn(i64) -> bool) -> Result<()> {
    let (_, one_until) = of_one.span_ms().context("the first replica has scraped nothing")?;
    let (_, two_until) = of_two.span_ms().context("the second replica has scraped nothing")?;
    let (first, _) = got.span_ms().context("nothing is on the log")?;
    let (one_last, two_first) = got.widest_gap_ms().context("there is one instant on the log")?;
    // What the one scraped between the query and its end is not known.
    let is_of_one = |place: &Place| (first..=one_until).contains(&place.at_ms);
    let is_of_two = |place: &Place| (two_first..=two_until).contains(&place.at_ms);
    let [(one, taken), (two, other)] =
        [(of_one.only(is_of_one), got.only(is_of_one)), (of_two.only(is_of_two), got.only(is_of_two))];
    compare("Prometheus, the replica that is taken", &one, &taken, &was_killed)?;
    compare("Prometheus, the other when that is silent", &two, &other, was_killed)?;
    let silent_ms = two_first - one_last;
    eprintln!("xtask: Prometheus: {silent_ms} ms lie between the points of the one and of the other");
    let bounds = SILENCE_MS - ON_ITS_WAY_MS..SILENCE_MS + 2 * ON_ITS_WAY_MS;
    ensure!(bounds.contains(&silent_ms), "the other replica was taken after {silent_ms} ms instead of {SILENCE_MS}");
    Ok(())
}

/// A Prometheus.
struct Replica {
    program: Program,
    promtool: PathBuf,
    address: SocketAddr,
}

impl Replica {
    /// One that does not run yet; where it is told of a target and a receiver, it scrapes the one and pushes to the other.
    fn new(programs: &Path, folder: &Path, name: &str, told: Option<(SocketAddr, SocketAddr)>) -> Result<Self> {
        let address = free_address()?;
        let text = told.map_or_else(String::new, |(target, receiver)| {
            format!(
                "global:\n  scrape_interval: 1s\n  external_labels: {{cluster: pair, __replica__: {name}}}\n\
                 scrape_configs:\n- job_name: {JOB}\n  static_configs:\n  - targets: [\"{target}\"]\n\
                 remote_write:\n- url: http://{receiver}/api/v1/write\n"
            )
        });
        let config = folder.join(format!("{name}.yml"));
        fs::write(&config, text)?;
        let mut command = Command::new(programs.join("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join(name).display()))
            .arg(format!("--web.listen-address={address}"));
        let program = Program::new(command, folder.join(format!("{name}.log")));
        Ok(Self { program, promtool: programs.join("promtool"), address })
    }

    fn start(&mut self) -> Result<()> {
        self.program.start()?;
        self.program.until_listens(self.address)
    }

    /// What it has scraped, all of one instant of its store.
    fn values(&self) -> Result<Values> {
        let url = format!("http://{}", self.address);
        let metrics = MEASURED.map(|(_, metric)| metric).join("|");
        let query = format!("{{__name__=~\"{metrics}\",job=\"{JOB}\"}}[1h]");
        let output = Command::new(&self.promtool).args(["query", "instant", "--format=json", &url, &query]).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "promtool query instant {url} {query}: {error}");
        of_answer(&serde_json::from_slice(&output.stdout)?)
    }
}

/// The samples of a query's answer, which is a list of series.
fn of_answer(answer: &Value) -> Result<Values> {
    let mut values = Values::default();
    for series in answer.as_array().into_iter().flatten() {
        let is_of = |(_, metric): &&(&str, &str)| series["metric"]["__name__"] == *metric;
        let (measured, _) = MEASURED.iter().find(is_of).context("a series that was not asked for")?;
        for sample in series["values"].as_array().into_iter().flatten() {
            let at_s = sample[0].as_f64().context("a sample without an instant")?;
            let value: f64 = sample[1].as_str().context("a sample without a value")?.parse()?;
            values.put(JOB, measured, (at_s * 1000.0).round() as i64, value);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(instants: impl IntoIterator<Item = i64>) -> Values {
        let mut values = Values::default();
        instants.into_iter().for_each(|at_ms| values.put(JOB, "memory_bytes", at_ms, at_ms as f64));
        values
    }

    fn each_s(from_s: i64, to_s: i64, off_ms: i64) -> impl Iterator<Item = i64> {
        (from_s..to_s).map(move |at_s| at_s * 1000 + off_ms)
    }

    #[test]
    fn one_replica_follows_the_other() {
        let (one, two) = (values(each_s(0, 100, 0)), values(each_s(20, 200, 500)));
        let held = |log: Values| hold(&one, &two, &log, |_| false).map_err(|error| error.to_string());
        held(values(each_s(0, 100, 0).chain(each_s(129, 200, 500)))).unwrap();
        let lost = held(values(each_s(0, 50, 0).chain(each_s(51, 100, 0)).chain(each_s(129, 200, 500))));
        assert!(lost.unwrap_err().contains("1 are lost"));
        let both = held(values(each_s(0, 100, 0).chain(each_s(20, 21, 500)).chain(each_s(129, 200, 500))));
        assert!(both.unwrap_err().contains("were not sent"));
        assert!(held(values(each_s(0, 100, 0).chain(each_s(105, 200, 500)))).unwrap_err().contains("after 6500 ms"));
        assert!(held(values(each_s(0, 100, 0))).is_err(), "the other was never taken");
    }

    #[test]
    fn an_answer_of_promtool_is_read() {
        let metric = |name: &str| serde_json::json!({"__name__": name, "job": JOB});
        let answer = |name| serde_json::json!([{"metric": metric(name), "values": [[1.5, "2"], [2.5, "3"]]}]);
        let values = of_answer(&answer("process_cpu_seconds_total")).unwrap();
        assert_eq!((values.count(), values.span_ms()), (2, Some((1500, 2500))));
        assert_eq!(values.only(|place| place.measured == "cpu_cores_used").count(), 2);
        assert!(of_answer(&answer("up")).is_err());
    }
}
