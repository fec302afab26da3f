//! What a dry run was worth, from the log to what people are told of it.

use integration_tests::pipeline::Pipeline;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::explain::{BACK_WHOLE, Question, explained};
use prescale_collector::Event;
use prescale_domain::governor::Fleets;
use prescale_planner::config::PolicyName;
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const HOURS: u32 = 6;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    settings.planner.policy = PolicyName::Threshold;
    settings.planner.dry_run.simulated = true;
    settings.planner.outcomes.core_price_per_h = 0.5;
    settings.planner.outcomes.currency = "EUR".to_owned();
    let fleet = &mut settings.collector.fleet;
    fleet.enabled = true;
    fleet.workloads = 4;
    fleet.start = "2026-03-02T00:00:00Z".parse().expect("an instant");
    fleet.until = format!("+{HOURS}h").parse().expect("a length");
    settings
}

#[test]
fn a_dry_run_is_told_what_it_would_have_been_worth() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let pipeline = Pipeline::start(&bus, &settings());
    pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
    pipeline.stop();
    let (rules, fleets) = (settings().rules().expect("sound rules"), Fleets::default());
    let workload = integration_tests::pipeline::said(bus.as_ref(), "outcomes")[0].key.clone().expect("a key");
    let workload = String::from_utf8(workload).expect("a name");
    let ask_back = |back_records, at| {
        let question = Question { workload: &workload, actions_max: 1, back_records, at };
        explained(bus.as_ref(), (&rules, &fleets), &question, &CancellationToken::new()).expect("it is known")
    };
    let ask = |at| ask_back(BACK_WHOLE, at);
    let text = ask(None).text();
    let line = text.lines().find(|line| line.starts_with("the last 5 hours: the plan would have ")).expect(&text);
    assert!(line.contains("(reactive rule: ") && line.contains(" EUR instead of "), "{line}");
    let json = ask(None).json().expect("it is shown as JSON");
    assert_eq!(json["worth"]["sentence"], line);
    assert_eq!(json["worth"]["dry_run"], true);
    let observed_s = json["worth"]["observed_s"].as_f64().expect("a number");
    assert!(observed_s > 4.5 * 3600.0 && observed_s <= 5.0 * 3600.0, "{observed_s}");
    let cost = |of: &str| json["worth"][of]["cost"].as_f64().expect("a number");
    let cores_h = json["worth"]["capacity"]["capacity_core_s"].as_f64().expect("a number") / 3600.0;
    assert!((cost("capacity") - 0.5 * cores_h).abs() < 1e-9);
    let earlier = prescale_contracts::parse_rfc3339("2026-03-02T02:30:00Z").expect("an instant");
    assert!(ask(Some(earlier)).text().contains("the last 2 hours: "), "only the hours that were over");

    assert!(
        json["log"]["compared"].is_object() && json["log"]["differing"] == serde_json::json!([]),
        "{}",
        json["log"]
    );
    let youth = json["history"]["youth"].as_str().expect("less than a day is behind it");
    assert!(text.contains(&format!("{line}\n{youth}\n")), "{text}");

    assert!(!text.contains("warning: ") && json["warnings"].as_array().is_some_and(Vec::is_empty), "{text}");
    let whole = |json: &Value, topic: &str| json["read"][topic]["whole"].as_bool().expect("it says so");
    assert!(whole(&json, "predictions") && whole(&json, "outcomes"));
    let (cut, cut_text) = (ask_back(4, None).json().expect("it is shown as JSON"), ask_back(4, None).text());
    assert!(!whole(&cut, "predictions") && !whole(&cut, "outcomes"));
    let from = |json: &Value| json["read"]["predictions"]["from"].as_str().expect("an instant").to_owned();
    assert!(from(&cut) > from(&json), "{}", from(&cut));
    let warnings: Vec<&str> = cut["warnings"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let [planner, outcomes, ..] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(planner.starts_with("the planner was made again from ") && planner.contains(&from(&cut)), "{planner}");
    assert!(outcomes.starts_with("the outcomes were read since "), "{outcomes}");
    assert!(cut_text.starts_with(&format!("warning: {planner}\nwarning: {outcomes}\n")), "{cut_text}");
}
