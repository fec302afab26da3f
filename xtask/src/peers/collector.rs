//! The OpenTelemetry Collector with the host metrics receiver: over OTLP, gRPC and HTTP, and by way of Kafka. What it sends
//! it writes to a file as well.

use super::go;
use super::kafka::Kafka;
use super::prescale::Prescale;
use super::sending::{Turns, with_kills};
use super::values::{Values, compare};
use crate::given::Given;
use crate::process::{Program, free_address};
use crate::run;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.165.0";
/// Of the host metrics receiver, in seconds: all else is as it is by default.
const INTERVAL_S: u64 = 5;
/// After an outage its ten senders come back one by one, each when its pause is over, in seconds.
const LATENESS_S: u32 = 30;
/// By which ways it sends; a workload has the name of its way.
const WAYS: [&str; 3] = ["grpc", "http", "kafka"];
/// States of a core in which it does not work.
const IDLE: [&str; 3] = ["idle", "wait", "steal"];

/// The Collector with its exporters' default settings.
pub(super) fn test(given: &Given) -> Result<()> {
    let program = made()?;
    let folder = go::folder(BUILDER)?;
    let topic = format!("peers-{}", std::process::id());
    let kafka = Kafka::with_topic(given, &folder, &topic)?;
    let (folder, address) = (folder.join("run"), free_address()?);
    let sections = format!(
        "[collector.otlp]\nlisten = \"{address}\"\npreset = \"otel-host\"\nstep_s = {INTERVAL_S}\n\
         [collector.kafka_topics.peer]\ntopic = \"{topic}\"\nbootstrap_servers = \"{}\"\nformat = \"otlp-proto\"\n\
         preset = \"otel-host\"\nstep_s = {INTERVAL_S}\n",
        kafka.servers
    );
    let mut prescale = Prescale::start(&given.binary()?, &folder, LATENESS_S, &sections, Some(address))?;
    let exporters = [
        format!("{{endpoint: {address}, tls: {{insecure: true}}}}"),
        format!("{{endpoint: \"http://{address}\"}}"),
        format!("{{brokers: [{}], metrics: {{topic: {topic}}}}}", kafka.servers),
    ];
    let config = folder.join("collector.yaml");
    fs::write(&config, configuration(&folder, &exporters))?;
    let mut command = Command::new(&program);
    command.arg(format!("--config={}", config.display()));
    let mut sender = Program::new(command, folder.join("collector.log"));
    let interval = Duration::from_secs(INTERVAL_S);
    let turns = Turns { both: 10 * interval, alone: 3 * interval, on_its_way: interval };
    let on_its_way = with_kills(&mut prescale, &mut sender, &turns)?;
    let log = prescale.end()?;
    for way in WAYS {
        let stored = fs::read_to_string(stored(&folder, way)).context("the Collector has written nothing")?;
        let sent = of_json(way, &stored)?;
        let got = log.points.only(|place| place.workload == way);
        compare(&format!("Collector, {way}, points"), &sent, &got, |at_ms| on_its_way.contains(&at_ms))?;
        // A sample has the instant of its newest point, and what is measured first is a millisecond older.
        let bin_ms = 1000 * INTERVAL_S as i64;
        let is_memory = |measured: &str| measured == "memory_bytes";
        let samples = log.samples.only(|place| place.workload == way && is_memory(&place.measured)).by_bins(bin_ms);
        let last_ms = samples.span_ms().context("no samples were made")?.1;
        let whole = sent.only(|place| is_memory(&place.measured)).by_bins(bin_ms);
        let whole = whole.only(|place| place.at_ms <= last_ms).sums();
        let was_killed = |at_ms| on_its_way.start - bin_ms < at_ms && at_ms < on_its_way.end;
        compare(&format!("Collector, {way}, samples"), &whole, &samples, was_killed)?;
    }
    Ok(())
}

/// The Collector's program, made by its builder where it is not there.
fn made() -> Result<PathBuf> {
    let home = go::folder(BUILDER)?;
    let program = home.join("made/otelcol");
    if !program.is_file() {
        let config = home.join("builder.yaml");
        fs::write(&config, builder(&home)?)?;
        let config = format!("--config={}", config.display());
        let generated =
            run(Command::new("go").args(["run", BUILDER, "--skip-compilation"]).arg(config).current_dir(&home));
        // It also looks for what the modules' own tests need, of which not all need be there. The build looks for the rest.
        let sources = home.join("made");
        match generated {
            Err(error) if sources.join("go.mod").is_file() => eprintln!("xtask: without what is for tests: {error}"),
            generated => generated?,
        }
        go::build(&sources, &program, ".", "")?;
    }
    Ok(program)
}

/// What the builder is to make, in a folder; all of one version.
fn builder(home: &Path) -> Result<String> {
    let (_, version) = BUILDER.rsplit_once('@').context("the builder has no version")?;
    let (core, contrib) =
        ("go.opentelemetry.io/collector", "github.com/open-telemetry/opentelemetry-collector-contrib");
    Ok(format!(
        "dist:\n  name: otelcol\n  output_path: {}\n\
         receivers:\n- gomod: {contrib}/receiver/hostmetricsreceiver {version}\n\
         processors:\n- gomod: {contrib}/processor/resourceprocessor {version}\n\
         exporters:\n- gomod: {core}/exporter/otlpexporter {version}\n\
         - gomod: {core}/exporter/otlphttpexporter {version}\n\
         - gomod: {contrib}/exporter/fileexporter {version}\n\
         - gomod: {contrib}/exporter/kafkaexporter {version}\n",
        home.join("made").display()
    ))
}

/// Where the Collector's own copy of what it sends by a way is.
fn stored(folder: &Path, way: &str) -> PathBuf {
    folder.join(format!("sent-{way}.json"))
}

/// A pipeline for each of [`WAYS`], from one receiver, with what its exporter is told.
fn configuration(folder: &Path, exporters: &[String; 3]) -> String {
    let each = |of: &dyn Fn(usize, &str) -> String| -> String {
        WAYS.iter().enumerate().map(|(number, way)| of(number, way)).collect()
    };
    let types = ["otlp_grpc", "otlp_http", "kafka"];
    let named = each(&|_, way| {
        format!("  resource/{way}:\n    attributes:\n    - {{key: host.name, value: {way}, action: upsert}}\n")
    });
    let exporters = each(&|number, way| {
        let path = stored(folder, way);
        let (name, told) = (types[number], &exporters[number]);
        // What is there from before a restart stays.
        format!("  {name}: {told}\n  file/{way}: {{path: {}, append: true}}\n", path.display())
    });
    let pipelines = each(&|number, way| {
        let name = types[number];
        format!(
            "    metrics/{way}:\n      receivers: [host_metrics]\n      processors: [resource/{way}]\n      \
             exporters: [{name}, file/{way}]\n"
        )
    });
    format!(
        "receivers:\n  host_metrics:\n    collection_interval: {INTERVAL_S}s\n    scrapers:\n      cpu:\n      memory:\n\
         processors:\n{named}exporters:\n{exporters}service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n{pipelines}"
    )
}

/// What is to be on the log for a workload, by what the file exporter has written.
fn of_json(workload: &str, text: &str) -> Result<Values> {
    let mut values = Values::default();
    // A line that was being written when the Collector was killed has no end.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let request: Value = serde_json::from_str(line).with_context(|| format!("no request: {line}"))?;
        let scopes = list(&request["resourceMetrics"]).flat_map(|resource| list(&resource["scopeMetrics"]));
        for metric in scopes.flat_map(|scope| list(&scope["metrics"])) {
            for point in list(&metric["sum"]["dataPoints"]).chain(list(&metric["gauge"]["dataPoints"])) {
                let state = list(&point["attributes"]).find(|attribute| attribute["key"] == "state");
                let state = state.and_then(|state| state["value"]["stringValue"].as_str()).unwrap_or_default();
                let measured = match metric["name"].as_str() {
                    Some("system.memory.usage") if state == "used" => "memory_bytes",
                    Some("system.cpu.time") if !IDLE.contains(&state) => "cpu_cores_used",
                    Some("system.cpu.logical.count") => "capacity.cpu_cores",
                    _ => continue,
                };
                let at_ns = number(&point["timeUnixNano"]).context("a point without an instant")?;
                let value = number(&point["asInt"]).map(|value| value as f64).or_else(|| point["asDouble"].as_f64());
                let value = value.context("a point without a value")?;
                values.put(workload, measured, at_ns.div_euclid(1_000_000), value);
            }
        }
    }
    Ok(values)
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

/// A whole number, which protobuf's JSON has as a text.
fn number(of: &Value) -> Option<i64> {
    of.as_i64().or_else(|| of.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_from_the_collectors_own_file() {
        let point = |state: &str, value: &str| {
            format!(
                r#"{{"attributes":[{{"key":"state","value":{{"stringValue":{state:?}}}}}],"timeUnixNano":"2000000",{value}}}"#
            )
        };
        let metric = |name: &str, points: &[String]| {
            format!(r#"{{"name":{name:?},"sum":{{"dataPoints":[{}]}}}}"#, points.join(","))
        };
        let metrics = [
            metric("system.memory.usage", &[point("used", r#""asInt":"7""#), point("free", r#""asInt":"9""#)]),
            metric("system.cpu.time", &[point("user", r#""asDouble":1.5"#), point("idle", r#""asDouble":3"#)]),
        ];
        let line = format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{}]}}]}}]}}"#, metrics.join(","));
        let mut wanted = Values::default();
        wanted.put("a", "memory_bytes", 2, 7.0);
        wanted.put("a", "cpu_cores_used", 2, 1.5);
        assert_eq!(of_json("a", &format!("{line}\n{{\"resourceMetr")).unwrap(), wanted);
    }

    #[test]
    fn each_way_has_a_pipeline_and_a_file_of_its_own() {
        let text = configuration(Path::new("/f"), &["{a: 1}", "{b: 2}", "{c: 3}"].map(str::to_owned));
        for line in ["  kafka: {c: 3}", "  file/http: {path: /f/sent-http.json, append: true}", "    metrics/grpc:"] {
            assert!(text.lines().any(|of| of == line), "{line}\n{text}");
        }
    }
}
