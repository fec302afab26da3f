//! The console in a real browser, over an embedded bus that holds what the services would write.

use integration_tests::chromium::{Browser, key};
use integration_tests::processes::binary;
use prescale::services::installation;
use prescale::settings::Settings;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, OutputRecord};
use prescale_chassis::Named;
use prescale_chassis::{FleetsConfig, GroupsConfig, output_record};
use prescale_console::{Config, run_reporting};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Evidence, Mechanism, Reason, Verdict};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::calibration::{LOWER, NOMINAL_COVERAGE, UPPER};
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::group::{GroupName, GroupPrediction, MemberCount};
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName, MEMORY_BYTES, REQUESTS_PER_S};
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::Value;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

const NOW_S: i64 = 1_700_000_000 / 300 * 300;
const GIB: f64 = 1_073_741_824.0;
const REASON: &str = "the predicted peak of 2.6 cores within 15 min is above 120 % of 2 cores";

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).expect("a sound id")
}

fn at(minutes: i64) -> EventTime {
    EventTime::from_s(NOW_S + minutes * 60)
}

fn capacity(replicas: u32) -> Capacity {
    Capacity { replicas, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 4.0 * GIB, instance_type: None }
}

/// A record of `value`, and its id.
fn record<C: Contract>(value: &C, position: &str) -> (OutputRecord, Arc<str>) {
    let envelope = Envelope::root("test", C::EVENT_TYPE, value.workload(), value.at(), position);
    (output_record(&envelope, C::TOPIC, value).expect("it can be encoded"), envelope.id)
}

fn sample(name: &str, minutes: i64, cores: f64, capacity: Option<Capacity>) -> Sample {
    let kpi = |name: &str, unit: &str, value| Kpi {
        name: KpiName::new(name),
        kind: KpiKind::Gauge,
        unit: unit.into(),
        value: Some(value),
    };
    let platform = if capacity.is_some() { Platform::SIMULATED } else { Platform::OBSERVED_ONLY };
    Sample {
        workload: id(name),
        source: SourceName::new("fleet:test").expect("a name"),
        at: at(minutes),
        step_s: 60,
        kpis: vec![
            kpi(CPU_CORES_USED, "cores", cores),
            kpi(MEMORY_BYTES, "By", (1.0 + cores / 4.0) * GIB),
            kpi(REQUESTS_PER_S, "1/s", cores * 100.0),
        ],
        capacity,
        platform,
    }
}

fn horizon(horizon_s: u32, median: f64, spread: f64) -> HorizonForecast {
    let around = |middle: f64| {
        Quantiles::rearranged([-1.64, -1.28, -0.67, 0.0, 0.67, 1.28, 1.64, 2.33].map(|z| middle + z * spread))
            .expect("finite quantiles")
    };
    let interval = |quantiles: &Quantiles| Interval {
        nominal_coverage: NOMINAL_COVERAGE,
        lower: quantiles.values()[LOWER],
        upper: quantiles.values()[UPPER],
        trailing_coverage: Some(0.893),
        scored: 288,
    };
    let (value, maximum) = (around(median), around(median * 1.1));
    let (value_interval, maximum_interval) = (interval(&value), interval(&maximum));
    HorizonForecast { horizon_s, value, maximum, value_interval, maximum_interval }
}

fn prediction(name: &str, minutes: i64, cores: f64) -> Prediction {
    let resource = |name: &str, unit: &str, scale: f64| ResourceForecast {
        resource: KpiName::new(name),
        unit: unit.into(),
        last: Some(cores * scale),
        model: "gru".into(),
        model_version: "1.0.0".into(),
        drift: Some(DriftState::Stable),
        started_from: Vec::new(),
        horizons: [(300, 0.08), (900, 0.12), (3600, 0.2)]
            .map(|(h, s)| horizon(h, cores * scale * (1.0 + f64::from(h) / 7200.0), s * scale))
            .to_vec(),
    };
    Prediction {
        workload: id(name),
        source: SourceName::new("fleet:test").expect("a name"),
        made_at: at(minutes),
        step_s: 60,
        resources: vec![resource(CPU_CORES_USED, "cores", 1.0), resource(MEMORY_BYTES, "By", GIB)],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(capacity(1)),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

fn action(name: &str, prediction_id: Arc<str>) -> Action {
    Action {
        workload: id(name),
        decided_at: at(-30),
        valid_until: at(-20),
        prediction_id,
        policy: "threshold".into(),
        verdict: Verdict::ScaleOut,
        current: capacity(1),
        desired: capacity(2),
        mechanism: Mechanism::Replicas,
        dry_run: false,
        evidence: vec![Evidence {
            resource: CPU_CORES_USED.into(),
            horizon_s: 900,
            predicted: 2.6,
            lower: 2.4,
            upper: 2.8,
            relative_width: 0.077,
            capacity: 2.0,
            model: "gru".into(),
        }],
        reasons: vec![Reason { rule: "threshold.increase".into(), text: REASON.to_owned() }],
        platform: Platform::SIMULATED,
    }
}

fn fingerprint(name: &str) -> Fingerprint {
    let window =
        WindowFeatures { count: 60, mean: Some(1.25), max: Some(2.5), acf_1h: Some(0.75), ..WindowFeatures::default() };
    Fingerprint {
        workload: id(name),
        source: SourceName::new("fleet:test").expect("a name"),
        at: at(0),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "00112233aabbccdd".into(),
        kpis: vec![KpiFingerprint {
            name: KpiName::new(CPU_CORES_USED),
            unit: "cores".into(),
            last: Some(1.5),
            windows: Windows::boxed(window.clone(), window),
        }],
        capacity: Some(capacity(1)),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

/// Two hours of three workloads: one that runs short and was acted on, one that fits, and one whose
/// capacity is not known and whose name needs escaping in an address.
fn history() -> Vec<OutputRecord> {
    let mut records = Vec::new();
    for minutes in -120..=0 {
        let cores = 1.5 + 0.4 * (minutes as f64 / 9.0).sin();
        let replicas = if minutes < -28 { 1 } else { 2 };
        records.push(record(&sample("web-1", minutes, cores, Some(capacity(replicas))), "s").0);
        records.push(record(&sample("web-2", minutes, 1.0, Some(capacity(1))), "s").0);
        records.push(record(&sample("host:build/box", minutes, 0.5, None), "s").0);
    }
    let mut newest = "".into();
    for minutes in (-120..=0).step_by(5) {
        let (written, id) = record(&prediction("web-1", minutes, 4.0), "p");
        records.push(written);
        newest = id;
        records.push(record(&prediction("web-2", minutes, 1.0), "p").0);
        let Prediction { made_at, resources, .. } = prediction("all of web", minutes, 6.0);
        let group = GroupName::new("all of web").expect("a sound name");
        let members = MemberCount { reported: 2, carried: 1 };
        records.push(record(&GroupPrediction { group, made_at, members, resources }, "g").0);
    }
    let (decided, action_id) = record(&action("web-1", newest), "a");
    let result = ActionResult {
        workload: id("web-1"),
        action_id,
        at: at(-29),
        outcome: ActionOutcome::Applied { effective_at: at(-28) },
        before: capacity(1),
        after: capacity(2),
        price_per_h: Some(0.21),
        platform: Platform::SIMULATED,
    };
    records.extend([decided, record(&result, "r").0, record(&fingerprint("web-1"), "f").0]);
    records
}

struct Console {
    bus: Arc<dyn Bus>,
    url: String,
    shutdown: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
    folder: tempfile::TempDir,
}

impl Console {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bus: Arc<dyn Bus> = Arc::new(
            EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens"),
        );
        let context = installation(&Settings::default());
        bus.ensure_topics(&prescale::topics::specs(&context.graph, 4, 1)).expect("the topics are made");
        bus.source("test").and_then(|mut source| source.append(history(), b"1")).expect("it is written");
        let config = Config { listen: "127.0.0.1:0".to_owned(), ..Config::default() };
        let (tell, told) = sync_channel(1);
        let shutdown = CancellationToken::new();
        let (stop, of_console) = (shutdown.clone(), bus.clone());
        let thread = std::thread::spawn(move || {
            let named = Named { fleets: &FleetsConfig::default(), groups: &GroupsConfig::default() };
            let planner = (&prescale_planner::Config::default(), named);
            let bound = |address| tell.send(address).expect("it is awaited");
            run_reporting(&config, planner, &context, of_console, &stop, bound)
        });
        let url = format!("http://{}", told.recv().expect("the console listens"));
        Self { bus, url, shutdown, thread, folder }
    }

    fn append(&self, records: Vec<OutputRecord>) {
        self.bus.source("test").and_then(|mut source| source.append(records, b"2")).expect("it is written");
    }

    /// The status and the body of an answer.
    fn get(&self, path: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        let mut response = agent.get(format!("{}/{path}", self.url)).call().expect("the console answers");
        let body = response.body_mut().read_to_string().expect("a text");
        (response.status().as_u16(), body)
    }

    /// What `prescale explain` says on the same log.
    fn explain(&self, args: &[&str]) -> Output {
        Command::new(binary("prescale"))
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("PRESCALE_CONFIG")
            .arg("explain")
            .args(args)
            .output()
            .expect("prescale starts")
    }

    fn stop(self) {
        self.shutdown.cancel();
        self.thread.join().expect("the console does not panic").expect("the console ends well");
    }
}

#[test]
fn the_console_shows_the_fleet_and_why_it_was_changed() {
    let mut browser = Browser::start().unwrap_or_else(|error| panic!("{error}"));
    let console = Console::start();
    browser.open(&console.url);
    fleet_is_shown(&browser);
    values_follow_in_place(&browser, &console);
    the_keyboard_opens_a_workload(&browser);
    the_fan_lies_ahead_of_the_history(&browser);
    the_action_says_why(&browser);
    an_earlier_instant_is_explained(&browser);
    fingerprint_and_pipeline_are_shown(&browser);
    groups_are_shown_as_workloads_are(&browser);
    the_theme_switches(&browser);
    an_unknown_workload_is_said_to_be(&browser);
    nothing_went_wrong_or_elsewhere(&mut browser, &console.url);
    console.stop();
}

fn fleet_is_shown(browser: &Browser) {
    browser.wait_for("document.querySelectorAll('.fleet tbody tr').length === 3");
    browser.wait_for("document.querySelector('[data-id=\"web-1\"] .badge').textContent === 'Runs short'");
    browser.wait_for("document.querySelector('[data-id=\"web-1\"] .col-action').textContent.includes('applied')");
    let states = browser.eval("[...document.querySelectorAll('.fleet tbody tr')].map(r => [r.dataset.id, r.querySelector('.badge').textContent].join())");
    assert_eq!(
        states,
        serde_json::json!(["web-1,Runs short", "web-2,Fits", "host:build/box,Observed"]),
        "most urgent first"
    );
    let use_of_1 = browser.eval("document.querySelector('[data-id=\"web-1\"] .use').innerText").to_string();
    assert!(use_of_1.contains("1.5 / 4") && use_of_1.contains("cores"), "{use_of_1}");
    let line = browser.eval("document.querySelector('[data-id=\"web-1\"] .spark-line').getBBox().width");
    assert!(line.as_f64().is_some_and(|length| length > 100.0), "the sparkline has a curve: {line}");
}

fn values_follow_in_place(browser: &Browser, console: &Console) {
    browser.eval("void (window.row = document.querySelector('[data-id=\"web-2\"]'), window.row.focus())");
    console.append(vec![record(&sample("web-2", 1, 1.75, Some(capacity(1))), "s").0]);
    browser.wait_for("window.row.querySelector('.use').innerText.includes('1.75 / 2')");
    assert_eq!(browser.eval("document.activeElement === window.row && window.row.isConnected"), true);
}

fn the_keyboard_opens_a_workload(browser: &Browser) {
    browser.press(&["/"]);
    browser.wait_for("document.activeElement.id === 'filter'");
    browser.press(&["w", "e", "b"]);
    browser.wait_for("document.querySelectorAll('.fleet tbody tr').length === 2");
    browser.press(&[key::DOWN]);
    browser.wait_for("document.activeElement.dataset.id === 'web-1'");
    browser.press(&[key::DOWN]);
    browser.wait_for("document.activeElement.dataset.id === 'web-2'");
    let ring = browser.eval(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth",
    );
    assert_eq!(ring, "solid2px", "the focus is seen");
    browser.press(&[key::ENTER]);
    browser.wait_for("document.querySelector('main h1')?.textContent === 'web-2'");
    browser.press(&[key::ESCAPE]);
    browser.wait_for("document.activeElement.dataset.id === 'web-2'");
    browser.press(&[key::UP, key::ENTER]);
    browser.wait_for("document.querySelector('main h1')?.textContent === 'web-1'");
    assert_eq!(browser.eval("location.hash"), "#/workload/web-1");
}

/// The box of a layer of the CPU chart, as [x, y, width, height] in pixels.
fn bounds(browser: &Browser, layer: &str) -> [f64; 4] {
    let script = format!(
        "(() => {{ const b = document.querySelector('[data-resource=cpu_cores_used] .layer.{layer}').getBBox();
          return [b.x, b.y, b.width, b.height]; }})()"
    );
    serde_json::from_value(browser.eval(&script)).expect("the script gives what is asked for")
}

fn the_fan_lies_ahead_of_the_history(browser: &Browser) {
    browser.wait_for("document.querySelector('[data-resource=cpu_cores_used] .layer.capacity')?.getAttribute('d')");
    let [line, envelope, outer, inner, median, steps, trail] =
        ["line", "envelope", "band90", "band50", "median", "capacity", "trail"].map(|layer| bounds(browser, layer));
    let end = |b: [f64; 4]| b[0] + b[2];
    let bottom = |b: [f64; 4]| b[1] + b[3];
    assert!(line[2] > 100.0 && envelope[2] > 100.0);
    assert!((end(line) - outer[0]).abs() < 3.0, "the fan begins where the history ends: {line:?} {outer:?}");
    assert!(outer[2] > 60.0 && (end(outer) - end(inner)).abs() < 1.0 && (end(outer) - end(median)).abs() < 1.0);
    assert!(outer[1] < inner[1] && bottom(outer) >= bottom(inner) && inner[3] > 2.0, "{outer:?} holds {inner:?}");
    assert!(median[1] > inner[1] && bottom(median) <= bottom(outer));
    assert!(steps[3] > 10.0, "the capacity steps: {steps:?}");
    assert!((end(steps) - end(outer)).abs() < 2.0 && end(trail) > end(line), "{steps:?} {trail:?}");
    assert!(median[1] < steps[1], "a peak above the capacity is drawn above it");
    assert_eq!(browser.eval("document.querySelectorAll('[data-resource=cpu_cores_used] .mark.scale-out').length"), 1);
    assert_eq!(browser.eval("document.querySelectorAll('[data-resource=memory_bytes] .layer.band90').length"), 1);
    assert_eq!(browser.eval("document.querySelectorAll('.small-chart .layer.line').length"), 1, "requests");
    let value = bounds(browser, "band90");
    browser.eval("void document.querySelector('[data-value=maximum]').click()");
    assert_ne!(value, bounds(browser, "band90"), "the peak's band is another one");
    browser.eval("void document.querySelector('[data-resource=cpu_cores_used] .chart').focus()");
    browser.press(&[key::RIGHT]);
    browser.wait_for("!document.querySelector('[data-resource=cpu_cores_used] .tip').hidden");
    let tip = browser.text("[data-resource=cpu_cores_used] .tip");
    assert!(tip.contains("Median") && tip.contains("Capacity") && tip.contains("4 cores"), "{tip}");
}

fn the_action_says_why(browser: &Browser) {
    let card = browser.text("details.action[open]");
    for text in [
        "Scale out",
        "1 → 2 replicas",
        "Applied",
        REASON,
        "threshold.increase",
        "2.6",
        "gru",
        "0.21 per hour",
        "Served then",
        "Proposed",
    ] {
        assert!(card.contains(text), "{text:?} is missing in {card}");
    }
    let utc = browser.eval("document.querySelector('details.action time').title").to_string();
    assert!(utc.contains("2023-11-14") && utc.contains("UTC"), "{utc}");
}

fn an_earlier_instant_is_explained(browser: &Browser) {
    browser.wait_for("document.getElementById('explain-at').value.startsWith('2023-11-14T22:1')");
    let ask = "(document.getElementById('explain-at').value = '2023-11-14T21:12', document.querySelector('.explain-form button').click())";
    browser.eval(&format!("void {ask}"));
    browser.wait_for(
        "document.querySelector('.explanation').innerText.includes('forecast as of 2023-11-14T21:10:00.000Z')",
    );
    assert_eq!(browser.eval("location.hash"), "#/workload/web-1?at=2023-11-14T21:12:00Z");
    assert!(!browser.text(".explanation").contains(REASON), "that was decided later");
    browser.eval("void (location.hash = '#/workload/web-1?at=2023-11-14T22:06:00Z')");
    browser.wait_for(
        "document.querySelector('.explanation').innerText.includes('forecast as of 2023-11-14T22:05:00.000Z')",
    );
    assert!(browser.text(".explanation").contains(REASON));
    assert_eq!(browser.eval("document.getElementById('explain-at').value"), "2023-11-14T22:06");
    browser.eval("void (location.hash = '#/workload/web-1')");
    browser.wait_for("document.querySelector('.explanation').hidden");
}

fn fingerprint_and_pipeline_are_shown(browser: &Browser) {
    let features = browser.text(".features");
    assert!(features.contains("1.25 cores") && features.contains("0.75"), "{features}");
    browser.wait_for("document.querySelectorAll('#strip li').length === 10");
    browser.eval("void (location.hash = '#/pipeline')");
    browser.wait_for("(window.stages = [...document.querySelectorAll('main table')].find(t => t.textContent.includes('prescale-fingerprinter')))");
    let stages = browser.eval("[...window.stages.tBodies[0].rows].map(r => r.cells[3].textContent)");
    assert_eq!(
        stages,
        serde_json::json!(["364", "1", "0", "0", "50", "0", "1", "50", "0", "0"]),
        "no stage runs, so all is lag"
    );
    browser.eval("void (location.hash = '#/actions')");
    browser.wait_for("document.querySelector('details.action summary')?.innerText.includes('web-1')");
}

fn groups_are_shown_as_workloads_are(browser: &Browser) {
    browser.eval("void document.querySelector('nav a[data-view=groups]').click()");
    browser.wait_for("document.querySelectorAll('.groups tbody tr').length === 2");
    let row = browser.text(".groups tbody tr[data-resource=cpu_cores_used]");
    for text in ["all of web", "2 of 3", "CPU", "6 cores", "7.4"] {
        assert!(row.contains(text), "{text:?} is missing in {row}");
    }
    let line = browser.eval("document.querySelector('.groups .spark-line').getBBox().width");
    assert!(line.as_f64().is_some_and(|length| length > 30.0), "the sparkline has a curve: {line}");
    browser.eval("void document.querySelector('.groups a').click()");
    browser.wait_for("document.querySelector('main h1')?.textContent === 'all of web'");
    assert_eq!(browser.eval("location.hash"), "#/group/all%20of%20web");
    assert!(browser.text(".facts").contains("2 of 3") && browser.text(".facts").contains("gru 1.0.0"));
    browser.wait_for("document.querySelector('[data-resource=cpu_cores_used] .layer.band90')?.getAttribute('d')");
    let [line, outer] = ["line", "band90"].map(|layer| bounds(browser, layer));
    assert!(line[2] > 100.0 && outer[2] > 60.0, "{line:?} {outer:?}");
    assert!((line[0] + line[2] - outer[0]).abs() < 3.0, "the fan begins where the history ends: {line:?} {outer:?}");
    browser.press(&[key::ESCAPE]);
    browser.wait_for("document.querySelectorAll('.groups tbody tr').length === 2");
    browser.eval("void (location.hash = '#/group/no-such')");
    browser.wait_for("document.querySelector('main').innerText.includes('no forecast of group \"no-such\"')");
}

fn the_theme_switches(browser: &Browser) {
    let background = "getComputedStyle(document.body).backgroundColor";
    let (theme, before) = (browser.eval("document.documentElement.dataset.theme"), browser.eval(background));
    browser.press(&["t"]);
    browser.wait_for(&format!("document.documentElement.dataset.theme !== {theme}"));
    assert_ne!(browser.eval(background), before);
    browser.eval("void document.getElementById('theme').click()");
    assert_eq!(browser.eval(background), before);
}

fn an_unknown_workload_is_said_to_be(browser: &Browser) {
    browser.eval("void (location.hash = '#/workload/no-such')");
    browser.wait_for("document.querySelector('main').innerText.includes('no record of workload \"no-such\"')");
    browser.eval("void (location.hash = '#/workload/host%3Abuild%2Fbox')");
    browser.wait_for("document.querySelector('main h1')?.textContent === 'host:build/box'");
    browser.wait_for("document.querySelector('main').innerText.includes('No forecast yet')");
}

fn nothing_went_wrong_or_elsewhere(browser: &mut Browser, url: &str) {
    let requested = browser.requested();
    assert!(requested.iter().any(|r| r.starts_with(&format!("{url}/api/fleet"))), "{requested:?}");
    let elsewhere: Vec<_> = requested.iter().filter(|r| r.starts_with("http") && !r.starts_with(url)).collect();
    assert!(elsewhere.is_empty(), "requests to other hosts: {elsewhere:?}");
    let answers = browser.answers();
    let page = answers.iter().find(|a| a.url == format!("{url}/")).expect("the page was answered");
    let policy =
        page.headers.iter().find(|(name, _)| name == "content-security-policy").expect("the page has a policy");
    assert!(
        policy.1.starts_with("default-src 'none'; script-src 'self';") && !policy.1.contains("unsafe"),
        "{}",
        policy.1
    );
    let failed: Vec<_> = answers.iter().filter(|a| a.status >= 400 && !a.url.contains("no-such")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let complaints: Vec<_> = browser
        .console_messages()
        .into_iter()
        .filter(|(level, text)| matches!(level.as_str(), "SEVERE" | "WARNING") && !text.contains("no-such"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_console_explains_any_instant_as_the_command_does() {
    let console = Console::start();
    for (at, newest, actions) in [
        ("2023-11-14T21:12:00Z", "2023-11-14T21:10:00.000Z", 0),
        ("2023-11-14T21:41:00.500Z", "2023-11-14T21:40:00.000Z", 1),
        ("2023-11-14T22:10:00Z", "2023-11-14T22:10:00.000Z", 1),
    ] {
        let (status, body) = console.get(&format!("api/workloads/web-1/explanation?at={at}"));
        assert_eq!(status, 200, "{body}");
        let explained: Value = serde_json::from_str(&body).expect("it is JSON");
        let command = console.explain(&["web-1", "--at", at, "--format", "json"]);
        assert_eq!(explained, serde_json::from_slice::<Value>(&command.stdout).expect("it is JSON"));
        assert_eq!(explained["newest_decision"]["made_at"], newest);
        assert_eq!(explained["actions"].as_array().map(Vec::len), Some(actions), "{at}");
        let (_, text) = console.get(&format!("api/workloads/web-1/explanation?format=text&at={at}"));
        assert_eq!(text.as_bytes(), console.explain(&["web-1", "--at", at]).stdout);
        assert!(text.contains("because") && text.contains(newest), "{text}");
    }
    what_the_log_does_not_hold_is_said_to_be_missing(&console);
    console.stop();
}

fn what_the_log_does_not_hold_is_said_to_be_missing(console: &Console) {
    let (status, body) = console.get("api/workloads/web-1/explanation?at=2023-11-14T20:00:00Z");
    let why = "as of 2023-11-14T20:00:00.000Z: in what was read it begins at 2023-11-14T20:10:00.000Z";
    assert!(status == 404 && body.contains(why), "{status} {body}");
    let command = console.explain(&["web-1", "--at", "2023-11-14T20:00:00Z"]);
    assert!(!command.status.success() && String::from_utf8_lossy(&command.stderr).contains(why));
    let (status, body) = console.get("api/workloads/nobody/explanation");
    assert!(status == 404 && body.contains("nothing is known of workload"), "{status} {body}");
    let (status, body) = console.get("api/workloads/web-1/explanation?at=yesterday");
    assert!(status == 400 && body.contains("give an instant such as"), "{status} {body}");
}
