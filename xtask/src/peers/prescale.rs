//! A process of ours that receives, and what it has written to its log.

use super::values::Values;
use crate::process::Program;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What comes from a sender that keeps the order of what it sends is hardly late, in seconds.
pub(super) const LATENESS_S: u32 = 10;

/// A `prescale up` with a log of its own.
pub(super) struct Prescale {
    binary: PathBuf,
    config: PathBuf,
    listen: Option<SocketAddr>,
    program: Program,
}

impl Prescale {
    /// Starts one in a folder, which is emptied, with sections of the configuration and the lateness of points, in seconds;
    /// it listens on an address where one is given.
    pub(super) fn start(
        binary: &Path,
        folder: &Path,
        lateness_s: u32,
        sections: &str,
        listen: Option<SocketAddr>,
    ) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join("prescale.toml");
        let bus = folder.join("prescale.db").display().to_string();
        let text = format!(
            "[bus.embedded]\npath = {bus:?}\n[console]\nlisten = \"127.0.0.1:0\"\n[collector.host]\nenabled = false\n\
             [assembler]\nlateness_s = {lateness_s}\n{sections}"
        );
        fs::write(&config, text)?;
        let mut up = Command::new(binary);
        up.arg("--config").arg(&config).arg("up");
        let program = Program::new(up, folder.join("prescale.log"));
        let mut prescale = Self { binary: binary.to_owned(), config, listen, program };
        prescale.run()?;
        Ok(prescale)
    }

    /// Starts it again, with the log that it has.
    pub(super) fn run(&mut self) -> Result<()> {
        self.program.start()?;
        self.listen.map_or(Ok(()), |address| self.program.until_listens(address))
    }

    /// Kills it at once (SIGKILL).
    pub(super) fn kill(&mut self) -> Result<()> {
        self.program.kill()
    }

    /// Ends it in good order, with what is then on its log: every record must be accounted for.
    pub(super) fn end(mut self) -> Result<Log> {
        self.program.end()?;
        self.ask(&["account"]).context("the account has a gap")?;
        Ok(Log { points: points(&self.tail("raw-points")?)?, samples: samples(&self.tail("raw-kpis")?)? })
    }

    fn tail(&self, topic: &str) -> Result<String> {
        self.ask(&["bus", "tail", topic, "--from", "earliest", "--format", "json"])
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        let output =
            command.arg("--config").arg(&self.config).args(arguments).output().context("cannot start prescale")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "prescale {}: {said}{error}", arguments.join(" "));
        Ok(said)
    }
}

/// What is on a log.
#[derive(Debug, PartialEq)]
pub(super) struct Log {
    /// The points, each once: a request that is sent again may write the same ones a second time.
    pub(super) points: Values,
    /// The KPIs' values in the samples that were made of them, as often as they are there.
    pub(super) samples: Values,
}

fn records(text: &str) -> impl Iterator<Item = Result<Value>> {
    text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).with_context(|| format!("no record: {line}"))?;
        Ok(record["value"].clone())
    })
}

fn points(text: &str) -> Result<Values> {
    let mut once = BTreeMap::new();
    for point in records(text) {
        let point = point?;
        let text = |name: &str| point[name].as_str().unwrap_or_default().to_owned();
        let at_ms = point["at"].as_i64().context("a point without an instant")?;
        let Some(value) = point["value"].as_f64() else { continue };
        let key = (text("workload"), text("measured"), at_ms, text("series"));
        let before = once.insert(key, value);
        ensure!(before.is_none_or(|before| before == value), "two values of one series at one instant: {point}");
    }
    let mut values = Values::default();
    once.iter().for_each(|((workload, measured, at_ms, _), value)| values.put(workload, measured, *at_ms, *value));
    Ok(values)
}

fn samples(text: &str) -> Result<Values> {
    let mut values = Values::default();
    for sample in records(text) {
        let sample = sample?;
        let at_ms = sample["at"].as_i64().context("a sample without an instant")?;
        for kpi in sample["kpis"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (kpi["name"].as_str(), kpi["value"].as_f64()) {
                values.put(sample["workload"].as_str().unwrap_or_default(), name, at_ms, value);
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_is_there_twice_counts_once_and_a_sample_as_often_as_it_is_there() {
        let point = |at: i64, series: &str, value: f64| {
            format!(
                "{{\"value\":{{\"workload\":\"a\",\"measured\":\"m\",\"at\":{at},\"series\":{series:?},\"value\":{value:?}}}}}\n"
            )
        };
        let text = point(1, "x", 1.0) + &point(1, "y", 2.0) + &point(1, "x", 1.0);
        assert_eq!(points(&text).unwrap().count(), 2);
        assert!(points(&(text + &point(1, "x", 3.0))).is_err(), "another value");
        let sample = "{\"value\":{\"workload\":\"a\",\"at\":5,\"kpis\":[{\"name\":\"m\",\"value\":1.5},{\"name\":\"n\",\"value\":null}]}}\n";
        let samples = samples(&sample.repeat(2)).unwrap();
        assert_eq!((samples.count(), samples.span_ms()), (2, Some((5, 5))));
    }
}
