//! Explanations of made-up logs.

use super::*;
use crate::stage::output_record;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Cleanup, OutputRecord, TopicSpec};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::evaluation::Terms;
use prescale_domain::governor::{Effect, FleetRecord, Proposer, Said, Scope, StandingOrder};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use prescale_domain::policy::{Cost, Rules, Threshold};
use prescale_domain::prediction::{HorizonForecast, Interval, ResourceForecast};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use std::collections::BTreeSet;

const START_S: i64 = 1_700_000_000 / 300 * 300;
const GIB: f64 = 1_073_741_824.0;
const SOURCE: &str = "x:1";

fn at(seconds: i64) -> EventTime {
    EventTime::from_s(START_S + seconds)
}

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).unwrap()
}

fn forecast(kpi: &str, unit: &str, used: f64, most: f64) -> ResourceForecast {
    let upper = most * 1.0625;
    let quantiles = Quantiles::rearranged([most, most, most, most, most, most, upper, upper]).unwrap();
    let interval = Interval { nominal_coverage: 0.9, lower: most, upper, trailing_coverage: None, scored: 0 };
    let horizon = |horizon_s| HorizonForecast {
        horizon_s,
        value: quantiles,
        maximum: quantiles,
        value_interval: interval,
        maximum_interval: interval,
    };
    ResourceForecast {
        resource: KpiName::new(kpi),
        unit: unit.into(),
        last: Some(used),
        model: "gru".into(),
        model_version: "1".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: [300, 900, 3600].map(horizon).to_vec(),
    }
}

/// 10 cores are forecast for 4 replicas of 2 cores and 8 GiB, of which 1 core and 20 GiB are in use.
fn prediction(seconds: i64) -> Prediction {
    Prediction {
        workload: id("web-1"),
        source: SourceName::new(SOURCE).unwrap(),
        made_at: at(seconds),
        step_s: 300,
        resources: vec![
            forecast(CPU_CORES_USED, "cores", 1.0, 10.0),
            forecast(MEMORY_BYTES, "By", 20.0 * GIB, 20.0 * GIB),
        ],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(Capacity {
            replicas: 4,
            cpu_cores_per_replica: 2.0,
            memory_bytes_per_replica: 8.0 * GIB,
            instance_type: None,
        }),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

fn threshold(change: fn(&mut Threshold)) -> Rules {
    let mut threshold = Threshold::default();
    change(&mut threshold);
    Rules { policy: threshold.into(), ..Rules::default() }
}

fn usual() -> Rules {
    threshold(|_| ())
}

/// A log that is written by hand, and by a planner.
struct Story {
    terms: Terms,
    proposer: Proposer,
    records: Vec<OutputRecord>,
}

impl Story {
    /// A planner with those rules.
    fn by(rules: Rules) -> Self {
        Self { terms: Terms { rules: rules.into(), pricing: None }, proposer: Proposer::default(), records: Vec::new() }
    }

    /// Writes a record; gives its id.
    fn write<C: Contract>(&mut self, value: &C) -> Arc<str> {
        let position = self.records.len().to_string();
        let envelope = Envelope::root("test", value.event_type(), value.workload(), value.at(), &position);
        self.records.push(output_record(&envelope, C::TOPIC, value).unwrap());
        envelope.id
    }

    /// A prediction, and what the planner says to it.
    fn predict(&mut self, seconds: i64) {
        let prediction = prediction(seconds);
        let id = self.write(&prediction);
        let desk = (&self.terms, &Fleets::default(), 0);
        let proposed = self.proposer.step(desk, &prediction, (&id, prediction.made_at)).unwrap();
        proposed.said.iter().for_each(|record| {
            self.write(record);
        });
    }

    /// An order, as it is given and shown.
    fn order(&mut self, scope: &str, effect: Effect, given_s: i64) {
        let scope = Scope::parse(scope).unwrap();
        let order = Order {
            scope,
            effect,
            at: EventTime::from_s(given_s),
            why: "migration".to_owned(),
            by: "alice".to_owned(),
            is_repetition: false,
        };
        self.write(&FleetRecord { key: id("order#0"), said: Said::Order(order.clone()) });
        self.write(&StandingOrder { order });
    }

    fn log(self) -> Written {
        let folder = tempfile::tempdir().unwrap();
        let bus = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).unwrap();
        let cleanup = Cleanup::Delete { retention_ms: 7 * 86_400_000 };
        let spec = |name: String| TopicSpec { name, partitions: 1, replication: 1, cleanup };
        let specs: Vec<TopicSpec> = topics::table().into_iter().map(|topic| spec(topic.name)).collect();
        bus.ensure_topics(&specs).unwrap();
        bus.source("test").unwrap().append(self.records, b"1").unwrap();
        Written { bus, _folder: folder }
    }
}

struct Written {
    bus: EmbeddedBus,
    _folder: tempfile::TempDir,
}

impl Written {
    fn explained(&self, rules: Rules, seconds: Option<i64>, back_records: u64) -> (String, Value) {
        let (rules, fleets) = (RuleBook::from(rules), Fleets::default());
        let question = Question { workload: "web-1", actions_max: 3, back_records, at: seconds.map(at) };
        let explanation = explained(&self.bus, (&rules, &fleets), &question, &CancellationToken::new()).unwrap();
        (explanation.text(), explanation.json().unwrap())
    }

    /// By the rules of today, as of an instant.
    fn ask(&self, rules: Rules, seconds: Option<i64>) -> (String, Value) {
        self.explained(rules, seconds, BACK_WHOLE)
    }
}

fn predicted(rules: Rules, instants: &[i64]) -> Written {
    let mut story = Story::by(rules);
    instants.iter().for_each(|seconds| story.predict(*seconds));
    story.log()
}

fn warnings(json: &Value) -> Vec<&str> {
    json["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn under_the_rules_of_then_nothing_differs_from_the_log() {
    let log = predicted(usual(), &[0, 300, 600, 900, 1200]);
    for seconds in [0, 300, 900] {
        let (text, json) = log.ask(usual(), Some(seconds));
        assert_eq!(warnings(&json), Vec::<&str>::new());
        assert_eq!(
            (&json["newest_decision"]["agrees_with_log"], &json["log"]["differing"]),
            (&json!(true), &json!([]))
        );
        assert!(!text.contains("rules of today"), "{text}");
    }
    let newest = log.ask(usual(), None).1;
    assert_eq!(newest["newest_decision"]["agrees_with_log"], Value::Null, "the planner may not have come to it");
}

#[test]
fn a_decision_that_the_log_holds_otherwise_is_told_with_both() {
    let log = predicted(usual(), &[0, 300, 600, 900, 1200]);
    let (text, json) = log.ask(threshold(|t| t.headroom = 1.5), Some(0));
    let both = format!(
        "the decision of {} was made again with the rules of today, which say scale out to 8 replicas of 2 cores and 8 GiB \
         by policy threshold; the log holds a proposal to scale out to 6 replicas of 2 cores and 8 GiB by policy threshold at \
         that time: the rules were others then",
        rfc3339(at(0))
    );
    assert_eq!(warnings(&json), [both.as_str()]);
    assert!(text.starts_with(&format!("warning: {both}\nmade again with the rules of today\nweb-1 at ")), "{text}");
    let logged = text.split_once("the log holds at that time\n").expect("it is shown").1;
    assert!(logged.contains("proposed   6 replicas of 2 cores and 8 GiB\n"), "{text}");
    assert_eq!(json["newest_decision"]["agrees_with_log"], false);
    assert_eq!(json["newest_decision"]["proposed"]["replicas"], 8);
    let differing = &json["log"]["differing"][0];
    assert_eq!(differing["at"], rfc3339(at(0)));
    assert_eq!(
        (&differing["made_again"]["proposed"]["replicas"], &differing["log"]["proposed"]["replicas"]),
        (&json!(8), &json!(6))
    );
}

#[test]
fn where_the_newest_decision_tells_nothing_those_before_are_held_against_the_log() {
    let log = predicted(usual(), &[0, 300, 600, 900, 1200]);
    let (text, json) = log.ask(threshold(|t| t.headroom = 1.5), Some(300));
    let [warning] = warnings(&json)[..] else { panic!("{json:#}") };
    assert!(warning.contains("1 decision of the 24 h before differ") && warning.contains(&rfc3339(at(0))), "{warning}");
    assert_eq!(json["newest_decision"]["verdict"], "hold");
    assert!(!text.contains("made again with the rules of today\nweb-1"), "of a hold nothing is known: {text}");
}

#[test]
fn a_change_that_was_not_proposed_then_and_one_that_would_not_be_now_are_told() {
    let careless = threshold(|t| t.increase_above = 2.0);
    let (_, json) = predicted(careless.clone(), &[0, 300, 600]).ask(usual(), Some(0));
    let [warning] = warnings(&json)[..] else { panic!("{json:#}") };
    assert!(warning.contains("the log holds no proposal at that time"), "{warning}");
    assert_eq!(
        (&json["newest_decision"]["agrees_with_log"], &json["log"]["differing"][0]["log"]),
        (&json!(false), &Value::Null)
    );
    let (text, json) = predicted(usual(), &[0, 300, 600]).ask(careless, Some(0));
    let [warning] = warnings(&json)[..] else { panic!("{json:#}") };
    assert!(warning.contains("which say to hold; the log holds a proposal to scale out to 6 replicas"), "{warning}");
    assert!(text.contains("the log holds at that time\nweb-1 at "), "{text}");
}

#[test]
fn orders_that_cover_the_workload_are_told_as_of_the_instant() {
    let mut story = Story::by(usual());
    story.predict(0);
    story.predict(300);
    story.order(&format!("fleet:{SOURCE}"), Effect::PauseScaleIn, 1_900_000_000);
    story.order("workload:other", Effect::Pause, 1_900_000_001);
    story.predict(600);
    story.predict(900);
    story.order("all", Effect::Pause, 1_900_000_002);
    let log = story.log();
    let scopes = |seconds| -> Vec<String> {
        let json = log.ask(usual(), seconds).1;
        let orders = json["orders"].as_array().unwrap();
        orders.iter().map(|order| order["scope"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(scopes(Some(0)), Vec::<String>::new(), "the fleet had passed that before any was given");
    assert_eq!(scopes(Some(600)), ["fleet:x:1"]);
    assert_eq!(scopes(None), ["all", "fleet:x:1"]);
    let (text, json) = log.ask(usual(), None);
    let since = rfc3339(EventTime::from_s(1_900_000_002));
    assert_eq!((&json["orders"][0]["effect"], &json["orders"][0]["since"]), (&json!("paused"), &json!(since)));
    assert_eq!((&json["orders"][0]["why"], &json["orders"][0]["by"]), (&json!("migration"), &json!("alice")));
    let told = format!(
        "all: paused since {since} by order of alice: migration\n  withheld from this workload: every change, increases that \
         live use demands as well, until it is resumed\nfleet:x:1: scale in paused since "
    );
    assert!(text.starts_with(&told), "{text}");
    assert!(text.contains("governor\n  none yet; the order about all withholds it\n"), "{text}");
}

#[test]
fn an_order_that_was_lifted_is_not_told_and_one_that_only_stops_decreases_withholds_no_increase() {
    let mut story = Story::by(usual());
    story.order("all", Effect::Pause, 1_900_000_000);
    story.order("all", Effect::Resume, 1_900_000_001);
    story.order("workload:web-1", Effect::PauseScaleIn, 1_900_000_002);
    story.predict(0);
    let (text, json) = story.log().ask(usual(), None);
    assert_eq!(json["orders"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["orders"][0]["effect"], "scale_in_paused");
    assert!(text.contains("governor\n  none yet\n"), "{text}");
}

#[test]
fn what_the_governor_held_is_told() {
    let mut story = Story::by(usual());
    story.predict(0);
    let held = Held {
        workload: id("web-1"),
        decided_at: at(0),
        proposal_id: "p".into(),
        rule: "governor.paused".into(),
        why: "all: nothing changes".to_owned(),
    };
    story.write(&FleetRecord { key: id(SOURCE), said: Said::Held(held) });
    let (text, json) = story.log().ask(usual(), None);
    assert!(
        text.contains("governor\n  held, see below\n") && text.contains("  governor.paused: all: nothing changes\n"),
        "{text}"
    );
    assert_eq!(json["held"][0]["rule"], "governor.paused");
}

#[test]
fn a_dry_runs_capacities_are_told_apart() {
    let mut dry = usual();
    dry.dry_run.simulated = true;
    let (text, json) = predicted(dry.clone(), &[0, 300]).ask(dry, None);
    assert!(text.contains("serves now 4 replicas") && text.contains("planned    6 replicas"), "{text}");
    let decision = &json["newest_decision"];
    assert_eq!((&decision["dry_run"], &decision["proposed"]), (&json!(true), &Value::Null));
    assert_eq!((&decision["serves_now"]["replicas"], &decision["planned"]["replicas"]), (&json!(4), &json!(6)));
    assert_eq!(decision["planned"]["memory_bytes_per_replica"], 8.0 * GIB);
}

#[test]
fn memory_is_told_in_units_for_people_and_raw_in_json() {
    let (text, json) = predicted(usual(), &[0]).ask(usual(), None);
    assert!(
        text.contains("  memory_bytes: last 20 GiB, model gru 1\n    5 min: 20 GiB or less in half of the cases, "),
        "{text}"
    );
    assert!(text.contains("  cpu_cores_used: last 1 core, model gru 1\n"), "{text}");
    assert!(!text.contains("21474836480"), "{text}");
    assert_eq!(json["newest_decision"]["forecasts"][1]["last"], 20.0 * GIB);
}

/// What is forecast reads as sentences: how often it is to hold, how often it did, and why it is wide.
#[test]
fn a_forecast_says_what_it_promises_and_what_became_of_such_promises() {
    let (text, json) = predicted(usual(), &[0]).ask(usual(), None);
    let at_0 = rfc3339(at(0));
    let wanted = format!(
        "forecast as of {at_0}, of the greatest demand within each time\n  cpu_cores_used: last 1 core, model gru 1\n    5 min: \
         10 cores or less in half of the cases, 10 cores to "
    );
    assert!(text.contains(&wanted) && text.contains("\n    1 h: 10 cores or less"), "{text}");
    assert!(text.contains(" in 90 % of them; no such range has met what came yet\n"), "{text}");
    let of_cpu = &json["newest_decision"]["forecasts"][0];
    assert_eq!((&of_cpu["model_version"], &of_cpu["drift"]), (&json!("1"), &Value::Null));

    let mut scored = prediction(0);
    scored.resources[0].drift = Some(DriftState::Widened);
    for horizon in &mut scored.resources[0].horizons {
        (horizon.maximum_interval.trailing_coverage, horizon.maximum_interval.scored) = (Some(0.875), 128);
    }
    let mut story = Story::by(usual());
    story.write(&scored);
    let (text, json) = story.log().ask(usual(), None);
    let drifted = "model gru 1; of late it was further off than it used to be, so its ranges are drawn out\n";
    assert!(text.contains(drifted) && text.contains("; of the last 128 such ranges 88 % held what came\n"), "{text}");
    assert_eq!(json["newest_decision"]["forecasts"][0]["drift"], "widened");
}

#[test]
fn every_alternative_is_listed_once_with_its_cost() {
    let (_, json) = predicted(Rules::default(), &[0, 300]).ask(Rules::default(), None);
    let list = json["newest_decision"]["alternatives"].as_array().unwrap();
    let rules: BTreeSet<&str> = list.iter().filter_map(|of| of["rule"].as_str()).collect();
    assert!(rules.len() == list.len() && list.len() > 20, "{list:#?}");
    assert_eq!(list.iter().filter(|of| of["chosen"] == true).count(), 1);
    let chosen = list.iter().find(|of| of["chosen"] == true).unwrap();
    assert!(
        chosen["of"] == CPU_CORES_USED && chosen["capacity"]["cpu_cores"].as_f64().is_some_and(|cores| cores > 1.0)
    );
    assert_eq!(chosen["cost"], Value::Null, "its own sums do not count yet");

    let long: Vec<i64> = (0..200).map(|bin| bin * 300).collect();
    let (_, json) = predicted(Rules::default(), &long).ask(Rules::default(), None);
    let list = json["newest_decision"]["alternatives"].as_array().unwrap();
    let cost = &list[0]["cost"];
    let parts = ["short", "unmet", "spare", "changes"].map(|part| cost[part].as_f64().expect(part));
    assert!((parts.iter().sum::<f64>() - cost["total"].as_f64().unwrap()).abs() < 1e-9, "{cost:#}");
    assert!(cost["worth"]["spare_core_h"].as_f64().is_some_and(|spare| spare > 0.0), "{cost:#}");
    let reasons = json["newest_decision"]["reasons"].as_array().unwrap();
    let why = reasons.iter().find(|of| of["rule"] == "proactive.rule").unwrap()["text"].as_str().unwrap();
    assert!(why.contains("it would have cost ") && why.contains(": short for ") && why.contains(" min, "), "{why}");
    assert!(why.contains("; the best others are ") && why.contains("% of that cost)"), "{why}");

    let by_price = Rules { policy: Cost::default().into(), ..Rules::default() };
    let (_, json) = predicted(by_price.clone(), &[0]).ask(by_price, None);
    let list = json["newest_decision"]["alternatives"].as_array().unwrap();
    let priced: Vec<&Value> = list.iter().filter(|of| of["of"] == "capacity").collect();
    let rules: BTreeSet<&str> = list.iter().filter_map(|of| of["rule"].as_str()).collect();
    assert_eq!(rules.len(), list.len(), "{list:#?}");
    assert!(priced.len() > 1 && priced.iter().any(|of| of["cost"]["price_per_h"].is_number()), "{priced:#?}");
    assert_eq!(priced.iter().filter(|of| of["chosen"] == true).count(), 1);
}

#[test]
fn a_first_day_is_said_to_be_one_until_it_is_over() {
    let log = predicted(Rules::default(), &[0, 300, 86_400]);
    let (text, json) = log.ask(Rules::default(), Some(300));
    let youth = json["history"]["youth"].as_str().expect("it is young");
    assert!(
        youth.starts_with("less than a day of history is behind this workload (0.1 h): until it is a day no memory")
    );
    assert!(text.contains(&format!("\n{youth}\n")), "{text}");
    assert_eq!(json["history"]["watched_s"], 300);
    let (_, json) = log.ask(Rules::default(), None);
    assert_eq!((&json["history"]["youth"], &json["history"]["watched_s"]), (&Value::Null, &json!(86_400)));
    let cut = log.explained(Rules::default(), None, 1).1;
    assert!(cut["history"]["youth"].as_str().unwrap().starts_with("in what was read, less than a day of history"));
}
