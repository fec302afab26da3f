//! Senders that write what they send to a file of their own as well, which says what has to be on the log.

use super::go;
use super::prescale::{Prescale, end, free_address, number_behind, wait};
use crate::run;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const TELEGRAF: &str = "github.com/influxdata/telegraf@v1.37.2";
const TELEGRAF_TAGS: &str = "custom,inputs.cpu,inputs.mem,outputs.file,outputs.influxdb,serializers.influx";
/// Five intervals of Telegraf's.
const TELEGRAF_RUNS: Duration = Duration::from_secs(55);

const COLLECTOR_BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.165.0";
/// Two intervals of the host metrics receiver.
const COLLECTOR_RUNS: Duration = Duration::from_secs(130);
const MEMORY_BYTES: &str = "memory_bytes";

/// Telegraf's InfluxDB output.
pub(super) fn telegraf() -> Result<()> {
    let module = go::copied(TELEGRAF)?;
    let program = module.join("built/telegraf");
    go::build(&module, &program, "./cmd/telegraf", TELEGRAF_TAGS)?;
    let folder = go::folder(TELEGRAF)?.join("run");
    let address = free_address()?;
    let prescale = Prescale::start(&folder, "influx", address, "telegraf")?;
    let (sent, config) = (folder.join("sent.influx"), folder.join("telegraf.conf"));
    let text = format!(
        "[agent]\nhostname = \"peer\"\n[[inputs.cpu]]\n[[inputs.mem]]\n\
         [[outputs.influxdb]]\nurls = [\"http://{address}\"]\n[[outputs.file]]\nfiles = [{:?}]\n",
        sent.display().to_string()
    );
    fs::write(&config, text)?;
    runs(Command::new(&program).arg("--config").arg(&config), &folder.join("telegraf.log"), TELEGRAF_RUNS)?;
    let sent = fs::read_to_string(&sent).context("Telegraf has written nothing")?;
    compare(&of_lines(&sent), &prescale.instants_of(MEMORY_BYTES)?)
}

/// The instants, in milliseconds, of the memory's lines.
fn of_lines(text: &str) -> BTreeSet<i64> {
    let of = |line: &str| Some(line.rsplit_once(' ')?.1.trim().parse::<i64>().ok()?.div_euclid(1_000_000));
    text.lines().filter(|line| line.starts_with("mem,")).filter_map(of).collect()
}

/// The OpenTelemetry Collector with the host metrics receiver and the OTLP exporter.
pub(super) fn collector() -> Result<()> {
    let home = go::folder(COLLECTOR_BUILDER)?;
    let program = home.join("made/otelcol");
    if !program.is_file() {
        let config = home.join("builder.yaml");
        fs::write(&config, builder(&home)?)?;
        run(Command::new("go").args(["run", COLLECTOR_BUILDER]).arg(format!("--config={}", config.display())))?;
    }
    let folder = home.join("run");
    let address = free_address()?;
    let prescale = Prescale::start(&folder, "otlp", address, "otel-host")?;
    let (sent, config) = (folder.join("sent.json"), folder.join("collector.yaml"));
    let text = format!(
        "receivers:\n  hostmetrics:\n    scrapers:\n      cpu:\n      memory:\n\
         processors:\n  resource:\n    attributes:\n    - {{key: host.name, value: peer, action: upsert}}\n\
         exporters:\n  otlp:\n    endpoint: {address}\n    tls: {{insecure: true}}\n  file:\n    path: {}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    metrics:\n      receivers: [hostmetrics]\n      \
         processors: [resource]\n      exporters: [otlp, file]\n",
        sent.display()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(&program);
    runs(command.arg(format!("--config={}", config.display())), &folder.join("collector.log"), COLLECTOR_RUNS)?;
    let sent = fs::read_to_string(&sent).context("the Collector has written nothing")?;
    compare(&of_json(&sent), &prescale.instants_of(MEMORY_BYTES)?)
}

/// What the builder is to make, in a folder; all of one version.
fn builder(home: &Path) -> Result<String> {
    let (_, version) = COLLECTOR_BUILDER.rsplit_once('@').context("the builder has no version")?;
    let contrib = "github.com/open-telemetry/opentelemetry-collector-contrib";
    Ok(format!(
        "dist:\n  name: otelcol\n  output_path: {}\n\
         receivers:\n- gomod: {contrib}/receiver/hostmetricsreceiver {version}\n\
         processors:\n- gomod: {contrib}/processor/resourceprocessor {version}\n\
         exporters:\n- gomod: go.opentelemetry.io/collector/exporter/otlpexporter {version}\n\
         - gomod: {contrib}/exporter/fileexporter {version}\n",
        home.join("made").display()
    ))
}

/// The instants, in milliseconds, of the memory's points in what the file exporter writes.
fn of_json(text: &str) -> BTreeSet<i64> {
    let metrics = text.split("\"name\":\"system.memory.usage\"").skip(1);
    let own = metrics.map(|rest| rest.split("\"name\":\"").next().unwrap_or_default());
    let points = own.flat_map(|own| own.split("\"timeUnixNano\":").skip(1).map(|rest| format!("at:{rest}")));
    points.filter_map(|point| Some(number_behind(&point, "at:")?.div_euclid(1_000_000))).collect()
}

/// Runs a command for so long, then asks it to end.
fn runs(command: &mut Command, log: &Path, lasts: Duration) -> Result<()> {
    let said = File::create(log)?;
    let mut process = command.stdout(said.try_clone()?).stderr(said).spawn().context("cannot start the sender")?;
    wait(lasts);
    ensure!(process.try_wait()?.is_none(), "the sender has ended by itself: see {}", log.display());
    end(&mut process)
}

fn compare(sent: &BTreeSet<i64>, got: &BTreeSet<i64>) -> Result<()> {
    ensure!(sent.len() > 1, "the sender has sent {} points of its memory", sent.len());
    let lost: Vec<&i64> = sent.difference(got).collect();
    let made_up: Vec<&i64> = got.difference(sent).collect();
    ensure!(lost.is_empty() && made_up.is_empty(), "of {} instants {lost:?} are lost, {made_up:?} made up", sent.len());
    eprintln!("xtask: all of {} instants are on the log", sent.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_from_the_senders_own_files() {
        let lines =
            "cpu,cpu=cpu0,host=peer usage_idle=1 1700000000000000000\nmem,host=peer used=1i 1700000010000000000\n";
        assert_eq!(of_lines(lines), BTreeSet::from([1_700_000_010_000]));
        let json = r#"{"metrics":[{"name":"system.cpu.time","sum":{"dataPoints":[{"timeUnixNano":"1000000"}]}},
            {"name":"system.memory.usage","sum":{"dataPoints":[{"timeUnixNano":"2000000"},{"timeUnixNano":"3999999"}]}},
            {"name":"system.x","sum":{"dataPoints":[{"timeUnixNano":"5000000"}]}}]}"#;
        assert_eq!(of_json(json), BTreeSet::from([2, 3]));
    }

    #[test]
    fn what_is_lost_or_made_up_is_told() {
        let set = |instants: &[i64]| instants.iter().copied().collect::<BTreeSet<i64>>();
        assert!(compare(&set(&[1, 2]), &set(&[1, 2])).is_ok());
        let error = compare(&set(&[1, 2]), &set(&[2, 3])).unwrap_err().to_string();
        assert!(error.contains("[1] are lost, [3] made up"), "{error}");
        assert!(compare(&set(&[]), &set(&[])).is_err(), "nothing was compared");
    }
}
