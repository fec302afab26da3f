//! A service that is added to the list is everywhere, and nothing else was touched.

use super::*;
use crate::account::account;
use crate::acls::service_acls;
use crate::bus_commands::{GroupInput, lag};
use crate::check_config::in_force;
use crate::topics::specs;
use crate::toy::{Config, Log, NOTES, STAGE, TOY, settings};
use prescale_bus::kafka::acls::Acl;
use prescale_chassis::Loader;
use serde::{Deserialize, Serialize};
use std::path::Path;

pub(super) fn with_toy() -> Vec<ServiceEntry> {
    SERVICES.iter().copied().chain([TOY]).collect()
}

#[test]
fn its_section_is_read_shown_and_checked() {
    let (services, text) = (with_toy(), "[toy]\nforgets_minute = 7\n[planner]\nlead_time_s = 600\n");
    let read = settings(&services, text).unwrap();
    assert_eq!(read.own.get("toy"), Some(&Config { forgets_minute: 7, repeats_minute: -1 }));
    assert_eq!(read.planner.general.forecast.lead_time_s, 600);
    read.check(&services).unwrap();
    assert!(in_force(&services, &read).unwrap().contains("[toy]\nforgets_minute = 7\n"));
    let misspelt = settings(&services, "[toy]\nforget_minute = 7\n").unwrap_err().to_string();
    assert!(misspelt.contains("prescale.toml:2") && misspelt.contains("forgets_minute"), "{misspelt}");
    let wrong = settings(&services, "[toy]\nforgets_minute = 7\nrepeats_minute = 7\n").unwrap();
    assert!(wrong.check(&services).unwrap_err().to_string().contains("[toy]"));
    let unknown = settings(&SERVICES, text).unwrap_err().to_string();
    assert!(unknown.contains("[toy]: unknown section"), "{unknown}");
}

#[test]
fn its_topics_are_made_and_it_has_the_rights_that_it_needs() {
    let services = with_toy();
    let settings = settings(&services, "").unwrap();
    let context = Context::default().with_graph(graph(&services, &settings));
    let specs = specs(&context.graph, 3, 1);
    for name in [NOTES, "toy-notes.dlq", topics::RAW_KPIS] {
        assert_eq!(specs.iter().filter(|spec| spec.name == name && spec.partitions == 3).count(), 1, "{name}");
    }
    let services = service_acls(&services, &context, &settings, "eu.");
    let rights = |name: &str| -> Vec<String> {
        let found = services.iter().find(|service| service.service == name).unwrap();
        found.acls.iter().map(Acl::to_string).collect()
    };
    let toy = rights("toy");
    for right in
        ["Read on topic \"eu.raw-kpis\"", "Write on topic \"eu.toy-notes\"", "Read on group \"eu.prescale-toy\""]
    {
        assert!(toy.contains(&right.to_owned()), "{right}: {toy:?}");
    }
    assert!(rights("console").contains(&"Describe on group \"eu.prescale-toy\"".to_owned()), "it shows the lag");
    assert!(rights("operator").contains(&"Create on topic \"eu.toy-notes\"".to_owned()));
}

#[test]
fn it_is_waited_for_and_its_lag_is_shown_and_its_records_are_accounted_for() {
    let log = Log::of("", 40);
    let stages = log.context.graph.stages();
    let inputs: Vec<GroupInput> =
        stages.iter().map(|s| GroupInput { group: log.context.group(s.stage), topic: s.input }).collect();
    let shown = |log: &Log| lag(log.bus.as_ref(), &inputs, true).unwrap();
    assert!(shown(&log).contains("prescale-toy"));
    assert_eq!(log.context.feedback_stages().len(), 1);
    log.run();
    assert!(!shown(&log).contains("\"lag\": 40"), "{}", shown(&log));
    let accounts = account(log.bus.as_ref(), &log.context, &CancellationToken::new()).unwrap();
    let [toy] = &accounts[..] else { panic!("{accounts:?}") };
    assert_eq!((toy.stage.as_str(), toy.read, toy.followed, toy.unread), (STAGE.stage, 40, 40, 0));
    assert_eq!(toy.faults(), [""; 0]);
}

#[test]
fn the_stages_that_ship_are_in_the_order_of_the_data() {
    let mut settings = Settings::default();
    settings.archiver.parquet.folder = "archive".into();
    settings.grouper.groups.insert("web".to_owned(), prescale_chassis::GroupConfig::default());
    let graph = graph(&SERVICES, &settings);
    let names: Vec<&str> = graph.stages().iter().map(|stage| stage.stage).collect();
    let expected = [
        "fingerprinter",
        "predictor",
        "retrainer",
        "decider",
        "planner",
        "governor",
        "actuator",
        "detector",
        "incidents",
        "alerts-log",
        "archiver-parquet-anomalies",
        "grouper",
        "group-forecaster",
        "archiver-parquet-groups",
        "archiver-parquet-predictions",
        "archiver-parquet-fingerprints",
    ];
    assert_eq!(names, expected);
    let feedback = graph.leading(topics::RAW_KPIS, topics::ACTION_RESULTS);
    let leading = ["fingerprinter", "predictor", "planner", "governor", "actuator"];
    assert_eq!(feedback.iter().map(|stage| stage.stage).collect::<Vec<_>>(), leading);
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Nothing {}

/// A service's own binary knows its own sections alone, so none may have almost the name of another.
#[test]
fn no_section_is_taken_for_a_misspelt_other() {
    let names = || SERVICES.iter().map(|service| service.name).chain(["bus", "schema_registry", "telemetry"]);
    let text: String = names().map(|name| format!("[{name}]\n")).collect();
    for name in names() {
        let loader = Loader::from_text(Path::new("prescale.toml"), &text, []).unwrap();
        loader.section::<Nothing>(name).unwrap();
        assert_eq!(loader.finish_own(), Ok(()), "{name}");
    }
}
