//! The tests that Prometheus' makers have for receivers of remote write.

use super::go;
use super::prescale::{LATENESS_S, Prescale};
use crate::given::Given;
use crate::process::free_address;
use anyhow::{Context as _, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Its own go.mod calls it otherwise.
const MODULE: &str = "github.com/prometheus/compliance/remotewrite/receiver@v0.0.0-20260806071727-67b8327a2e93";
const RECEIVER: &str = "prescale";
/// What stands before the name of a metric that a test writes, but for spaces and the quotation mark.
const BEFORE_NAMES: [&str; 3] = ["\"__name__\":", "basicMetric(", "metricName := fmt.Sprintf("];
/// Of a name that stands for many, with a number in it, so many there are at most.
const NUMBERS: usize = 100;

/// All of them, on a receiver that takes every metric that they write.
pub(super) fn test(given: &Given) -> Result<()> {
    let module = go::copied(MODULE)?;
    let names = metrics_in(&module)?;
    ensure!(!names.is_empty(), "no names of metrics are in {}", module.display());
    let folder = go::folder(MODULE)?.join("run");
    let address = free_address()?;
    let preset_file = folder.with_file_name("preset.toml");
    fs::write(&preset_file, preset(&names))?;
    let preset_file = preset_file.display().to_string();
    let sections = format!("[collector.remote_write]\nlisten = \"{address}\"\npreset = {preset_file:?}\n");
    let _prescale = Prescale::start(&given.binary()?, &folder, LATENESS_S, &sections, Some(address))?;
    let config = folder.join("config.yml");
    fs::write(&config, format!("remote_write:\n- name: {RECEIVER}\n  url: http://{address}/api/v1/write\n"))?;
    let output = Command::new("go")
        .args(["test", "-vet=off", "-count=1", "-v", "-timeout", "10m", "."])
        .env("PROMETHEUS_RW2_COMPLIANCE_CONFIG_FILE", &config)
        .env("PROMETHEUS_RW2_COMPLIANCE_RECEIVERS", RECEIVER)
        .current_dir(&module)
        .output()
        .context("cannot start go")?;
    let said = String::from_utf8_lossy(&output.stdout);
    fs::write(folder.join("tests.txt"), said.as_bytes())?;
    let of = |verdict: &str| {
        let marked = format!("--- {verdict}: ");
        said.lines().filter_map(|line| Some(line.trim().strip_prefix(&marked)?.to_owned())).collect::<Vec<_>>()
    };
    let (failed, skipped) = (of("FAIL"), of("SKIP"));
    eprintln!("xtask: {} passed, {} failed, {} skipped", of("PASS").len(), failed.len(), skipped.len());
    // They take it for right that a receiver refuses with 400 what it does not read, also where they name it a success.
    eprintln!("xtask: answers by status: {:?}", statuses_in(&said));
    failed.iter().for_each(|name| eprintln!("xtask: failed: {name}"));
    skipped.iter().for_each(|name| eprintln!("xtask: skipped: {name}"));
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go test ended with {}: see {}/tests.txt{error}", output.status, folder.display());
    ensure!(!of("PASS").is_empty(), "no test ran: {error}");
    Ok(())
}

/// How often each status was the answer.
fn statuses_in(said: &str) -> BTreeMap<&str, usize> {
    let mut statuses = BTreeMap::new();
    let answers = said.lines().filter(|line| line.contains("Response code from "));
    for (_, status) in answers.filter_map(|line| line.rsplit_once(": ")) {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// The names of all metrics that the tests write.
fn metrics_in(module: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(module)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "go") {
            names.extend(metrics_of(&fs::read_to_string(&path)?));
        }
    }
    Ok(names)
}

fn metrics_of(text: &str) -> impl Iterator<Item = String> {
    let behind = move |before: &'static str| {
        let quoted = text.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        quoted.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
    };
    let numbered = |name: String| {
        let count = if name.contains("%d") { NUMBERS } else { 1 };
        (0..count).map(move |number| name.replace("%d", &number.to_string()))
    };
    BEFORE_NAMES.into_iter().flat_map(behind).filter(|name| !name.is_empty()).flat_map(numbered)
}

/// A preset by which all of these are taken, whatever their other labels are.
fn preset(names: &BTreeSet<String>) -> String {
    let head = "about = \"\"\nworkload = \"{__name__}\"\nplatform = \"observed-only\"\n[kpis.level]\nquery = \"up\"\n";
    names.iter().fold(head.to_owned(), |text, name| format!("{text}[[series.level]]\nmetric = {name:?}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_their_status() {
        let said = "x\n    main_test.go:170: Response code from \"prescale\": 204\n    main_test.go:170: Response code from \"prescale\": 400\n\
                    main_test.go:172: Response body from \"prescale\": \"no: 7\"\n  main_test.go:170: Response code from \"p\": 204\n";
        assert_eq!(statuses_in(said), BTreeMap::from([("204", 2), ("400", 1)]));
    }

    #[test]
    fn names_of_metrics_are_found_in_the_tests() {
        let text =
            "basicMetric(\"up\")\nmap[string]string{\"__name__\":    \"a b\", \"job\": \"x\"}\n{\"__name__\": \"\"}\n";
        let names: BTreeSet<String> = metrics_of(text).collect();
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["a b", "up"]);
        let many: BTreeSet<String> = metrics_of("metricName := fmt.Sprintf(\"m_%d\", i)\n").collect();
        assert!(many.len() == NUMBERS && many.contains("m_0") && many.contains("m_49"), "{many:?}");
        assert!(preset(&names).ends_with("[[series.level]]\nmetric = \"a b\"\n[[series.level]]\nmetric = \"up\"\n"));
    }
}
