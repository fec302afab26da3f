//! Rules for some workloads, sizing by rates, and capacity at the least price, in the whole pipeline over the embedded
//! bus, on a generated fleet.

use integration_tests::pipeline::{Pipeline, said};
use prescale::services::SERVICES;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::Loader;
use prescale_collector::Event;
use prescale_contracts::Contract;
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Mechanism};
use prescale_domain::cloud::PriceList;
use std::path::Path;
use std::sync::Arc;

/// What was decided on a fleet of 20 in so many hours, and what became of it.
fn run(hours: u32, text: &str) -> (Vec<Action>, Vec<ActionResult>) {
    let fleet = format!(
        "[collector.host]\nenabled = false\n[collector.fleet]\nenabled = true\nworkloads = 20\n\
         start = \"2026-03-02T06:00:00Z\"\nuntil = \"+{hours}h\"\n{text}"
    );
    let loader = Loader::from_text(Path::new("prescale.toml"), &fleet, []).expect("it is TOML");
    let settings = Settings::read(&SERVICES, &loader).expect("it can be read");
    settings.check(&SERVICES).expect("it is sound");
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let pipeline = Pipeline::start(&bus, &settings);
    pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
    pipeline.stop();
    (all(bus.as_ref()), all(bus.as_ref()))
}

fn all<C: Contract>(bus: &dyn Bus) -> Vec<C> {
    let records = said(bus, C::TOPIC);
    records.iter().map(|r| C::decode(r.value.as_deref().expect("a value")).expect("it can be decoded")).collect()
}

fn reason<'a>(action: &'a Action, rule: &str) -> Option<&'a str> {
    action.reasons.iter().find(|reason| &*reason.rule == rule).map(|reason| reason.text.as_str())
}

#[test]
fn sections_give_workloads_rules_of_their_own() {
    let text = "[grouper.groups.services]\nworkloads = [\"*-office-*\", \"*-consumer-*\"]\n\
                [planner]\npolicy = \"threshold\"\nresources = [\"cpu_cores_used\"]\n\
                [planner.for.watched]\ngroups = [\"services\"]\ndry_run.simulated = true\n\
                [planner.for.proactive]\nworkloads = [\"*-office-*\"]\npriority = 1\npolicy = \"proactive\"\n";
    let (actions, _) = run(6, text);
    let of = |kind: &str| actions.iter().filter(|a| a.workload.as_str().contains(kind)).collect::<Vec<_>>();
    let (office, consumer) = (of("-office-"), of("-consumer-"));
    assert!(!office.is_empty() && !consumer.is_empty(), "{} and {}", office.len(), consumer.len());
    let from = "the general rules, with those of watched, then proactive on top";
    assert!(office.iter().all(|a| a.dry_run && &*a.policy == "proactive" && reason(a, "rules.sections") == Some(from)));
    assert!(consumer.iter().all(|a| a.dry_run && &*a.policy == "threshold"));
    let others = actions.iter().filter(|a| ["-office-", "-consumer-"].iter().all(|k| !a.workload.as_str().contains(k)));
    let others: Vec<&Action> = others.collect();
    assert!(!others.is_empty());
    assert!(others.iter().all(|a| !a.dry_run && &*a.policy == "threshold" && reason(a, "rules.sections").is_none()));
}

#[test]
fn workloads_are_sized_by_their_requests() {
    let text = "[predictor]\nresources = [\"cpu_cores_used\", \"memory_bytes\", \"requests_per_s\"]\n\
                [planner]\npolicy = \"threshold\"\n\
                [planner.rates.requests_per_s]\nper_replica = \"learn\"\n";
    let (actions, _) = run(6, text);
    let learning = actions.iter().filter(|a| reason(a, "rate.learning").is_some()).count();
    let sized: Vec<&Action> = actions.iter().filter(|a| reason(a, "rate.replicas").is_some()).collect();
    assert!(learning > 0 && !sized.is_empty(), "{learning} while learning, {} after", sized.len());
    for action in sized {
        let text = reason(action, "rate.replicas").expect("it has one");
        assert!(text.contains("a replica serves") && text.contains("loaded bins, at 70 % of"), "{text}");
        assert!(action.evidence.iter().any(|e| &*e.resource == "requests_per_s"));
    }
    let mut jobs = actions.iter().filter(|a| a.workload.as_str().contains("-batch-"));
    assert!(jobs.all(|a| reason(a, "rate.replicas").is_none()), "they serve no requests");
}

#[test]
fn capacity_is_had_at_the_least_price() {
    let (actions, results) = run(8, "[planner]\npolicy = \"cost\"\n");
    let prices = PriceList::default();
    assert!(actions.iter().any(|a| a.mechanism == Mechanism::InstanceType), "{} actions", actions.len());
    for action in &actions {
        assert_eq!(&*action.policy, "cost");
        assert!(reason(action, "cost.choice").is_some_and(|text| text.contains("an hour")), "{:?}", action.reasons);
        let desired = &action.desired;
        let listed = desired.instance_type.as_deref().and_then(|name| prices.instance_type(name));
        assert_eq!(listed.map(|t| t.capacity(desired.replicas)).as_ref(), Some(desired));
    }
    assert!(!results.is_empty());
    for result in results {
        assert!(matches!(result.outcome, ActionOutcome::Applied { .. }), "{:?}", result.outcome);
    }
}
