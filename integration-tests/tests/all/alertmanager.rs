//! Incidents to a real Alertmanager that is absent at first, is killed in between, and hears some of them more than once:
//! each is one alert there, and what people silence by a label is suppressed.

use integration_tests::processes::{is_worked_off, until};
use integration_tests::stores::{Store, StoreKind};
use prescale::services::{SERVICES, graph};
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::{BusConfig, Context, FleetsConfig, GroupsConfig, Named, output_record};
use prescale_contracts::{Contract as _, Envelope, topics};
use prescale_detector::Config;
use prescale_detector::alerts::ALERTMANAGER;
use prescale_domain::alarm::Severity;
use prescale_domain::incident::{Incident, Member};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const INCIDENTS: i64 = 20;

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).expect("a sound id")
}

/// An Alertmanager resolves what is to have ended by now.
fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    EventTime::from_s(i64::try_from(since.as_secs()).expect("it is before the end of time"))
}

fn incident(nth: i64, severity: Severity, is_over: bool) -> Incident {
    let (at, started_at) = (now(), now().plus_s(-600));
    let ended_at = is_over.then_some(at);
    let member = Member {
        workload: id(&format!("web-{nth}")),
        anomaly_id: format!("web-{nth}@1").into(),
        started_at,
        ended_at,
        p_value: 1e-7,
        severity,
        kpis: vec![KpiName::new(CPU_CORES_USED)],
    };
    Incident {
        fleet: id("shop"),
        incident_id: format!("incident:web-{nth}@1").into(),
        at,
        started_at,
        ended_at,
        severity,
        workloads: 1,
        members: vec![member],
        is_repetition: false,
    }
}

/// Writes what is known of incidents; `position` names the writing.
fn tell(bus: &dyn Bus, position: &str, incidents: &[Incident]) {
    let record = |(i, incident): (usize, &Incident)| {
        let place = format!("{position} {i}");
        let envelope = Envelope::root("test", Incident::EVENT_TYPE, &incident.fleet, incident.at, &place);
        output_record(&envelope, topics::INCIDENTS, incident).expect("it can be encoded")
    };
    let records = incidents.iter().enumerate().map(record).collect();
    bus.source("test").and_then(|mut source| source.append(records, position.as_bytes())).expect("it can be written");
}

/// An installation that tells the Alertmanager alone.
fn context(group_prefix: &str) -> Context {
    Context::new(&BusConfig { group_prefix: group_prefix.to_owned(), ..BusConfig::default() })
}

/// Runs the detector for as long as `meanwhile` does.
fn alerting(bus: &Arc<dyn Bus>, config: &Config, context: &Context, meanwhile: impl FnOnce()) {
    let shutdown = &CancellationToken::new();
    let (fleets, groups) = (FleetsConfig::new(), GroupsConfig::new());
    let named = Named { fleets: &fleets, groups: &groups };
    std::thread::scope(|scope| {
        let stop_at_end = shutdown.clone().drop_guard();
        let running = scope.spawn(move || prescale_detector::run(config, named, context, Arc::clone(bus), shutdown));
        meanwhile();
        drop(stop_at_end);
        running.join().expect("it does not panic").expect("it ends well");
    });
}

/// Alerts that fire, by the incident that they are of; each with its severity and whether it is suppressed.
fn firing(store: &Store) -> BTreeMap<String, Vec<(String, bool)>> {
    let (status, body) = store.get("/api/v2/alerts").expect("it answers");
    assert_eq!(status, 200);
    let alerts: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
    let mut found: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for alert in alerts {
        let label = |name: &str| alert["labels"][name].as_str().expect("it has the label").to_owned();
        assert_eq!(
            (label("alertname"), label("fleet"), label("team")),
            ("PrescaleAnomaly".into(), "shop".into(), "web".into())
        );
        let is_suppressed = alert["status"]["state"] == "suppressed";
        found.entry(label("incident_id")).or_default().push((label("severity"), is_suppressed));
    }
    found
}

#[test]
fn each_incident_is_one_alert_over_outages_and_repetitions_and_a_label_silences_some() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(folder.path().join("log.db"), options).expect("the log opens"));
    bus.ensure_topics(&specs(&graph(&SERVICES, &Settings::default()), 2, 1)).expect("topics can be made");
    let mut store = Store::stopped(StoreKind::Alertmanager);
    let mut config = Config { log: false, ..Config::default() };
    config.alertmanager.url = store.url();
    config.alertmanager.labels.insert("team".to_owned(), "web".to_owned());
    let first = context("first");
    let is_told = |context: &Context| is_worked_off(bus.as_ref(), context, &[ALERTMANAGER]);

    let begun: Vec<Incident> = (0..INCIDENTS).map(|nth| incident(nth, Severity::Warning, false)).collect();
    tell(bus.as_ref(), "begun", &begun);
    alerting(&bus, &config, &first, || {
        until("the absent Alertmanager to show in the health", || {
            first.health.not_ready().iter().any(|(_, why)| why.contains("waits"))
        });
        assert!(!is_told(&first), "no position moves");
        store.run();
        until("all to be told", || is_told(&first));
        let found = firing(&store);
        assert_eq!(found.len(), INCIDENTS as usize);
        assert!(found.values().all(|alerts| *alerts == [("warning".to_owned(), false)]), "{found:?}");

        store.kill();
        let worse = [incident(0, Severity::Critical, false), incident(1, Severity::Warning, true)];
        tell(bus.as_ref(), "worse", &worse);
        let again: Vec<Incident> =
            begun[2..].iter().map(|incident| Incident { is_repetition: true, at: now(), ..incident.clone() }).collect();
        tell(bus.as_ref(), "again", &again);
        until("the killed one to show in the health", || !first.health.not_ready().is_empty());
        store.run();
        until("what came meanwhile to be told", || is_told(&first));
    });
    let found = firing(&store);
    assert_eq!(found["incident:web-0@1"], [("critical".to_owned(), false)], "the lesser one has ended");
    assert!(!found.contains_key("incident:web-1@1"), "it is over");
    assert_eq!(found.len(), INCIDENTS as usize - 1, "{found:?}");

    // Another installation tells all of it once more.
    let second = context("second");
    alerting(&bus, &config, &second, || until("all to be told again", || is_told(&second)));
    assert_eq!(firing(&store), found, "it drops what it has");

    let matcher = json!({"name": "severity", "value": "warning", "isRegex": false, "isEqual": true});
    let silence = json!({
        "matchers": [matcher],
        "startsAt": prescale_contracts::rfc3339(now()),
        "endsAt": prescale_contracts::rfc3339(now().plus_s(3600)),
        "createdBy": "a test",
        "comment": "maintenance",
    });
    store.post("/api/v2/silences", &silence);
    until("the silence to hold", || {
        firing(&store).values().flatten().all(|(severity, is_suppressed)| *is_suppressed == (severity == "warning"))
    });
}
