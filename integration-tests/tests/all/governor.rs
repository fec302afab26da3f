//! The governor in the whole pipeline, over the embedded bus: orders of operators hold what comes, and what is
//! admitted keeps to the fleet's budgets.

use integration_tests::pipeline::{Pipeline, said};
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::orders::{Wish, order};
use prescale_collector::Event;
use prescale_contracts::Contract;
use prescale_domain::action::{Action, Verdict};
use prescale_domain::governor::{Effect, FleetRecord, Said, Scope, StandingOrder};
use prescale_domain::time::EventTime;
use prescale_planner::config::PolicyName;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

const WORKLOADS: usize = 40;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    // It changes much, from the first hour on.
    settings.planner.policy = PolicyName::Threshold;
    let fleet = &mut settings.collector.fleet;
    fleet.enabled = true;
    fleet.workloads = WORKLOADS as u32;
    fleet.start = "2026-03-02T00:00:00Z".parse().expect("an instant");
    fleet.until = "+12h".parse().expect("a length");
    settings
}

fn all<C: Contract>(bus: &dyn Bus) -> Vec<C> {
    let records = said(bus, C::TOPIC);
    records.iter().map(|r| C::decode(r.value.as_deref().expect("a value")).expect("it can be decoded")).collect()
}

/// Goes on for so many chunks of five minutes, or to the end of the span.
fn go_on(pipeline: &Pipeline, chunks: u64) {
    let seen = AtomicU64::new(0);
    pipeline.collect_until(|event| match event {
        Event::FleetProgress { .. } => seen.fetch_add(1, Ordering::Relaxed) + 1 >= chunks,
        other => matches!(other, Event::FleetEnded { .. }),
    });
}

fn give(bus: &dyn Bus, effect: Effect) {
    give_of(bus, "all", effect);
}

/// Gives an order of a scope; what came of it.
fn give_of(bus: &dyn Bus, scope: &str, effect: Effect) -> String {
    let scope = Scope::parse(scope).expect("a scope");
    let wish = Wish { scope, effect, why: "a test".to_owned(), by: "the test".to_owned() };
    order(bus, wish, &CancellationToken::new()).expect("the governor shows it")
}

#[test]
fn a_pause_holds_every_action_until_it_is_lifted() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let pipeline = Pipeline::start(&bus, &settings());
    go_on(&pipeline, 60);
    let before = all::<Action>(bus.as_ref()).len();
    assert!(before > 5, "{before} actions in five hours");
    give(bus.as_ref(), Effect::Pause);
    let admitted = |actions: &[Action]| actions.iter().filter(|action| !action.is_withdrawal()).count();
    let at_the_pause = admitted(&all::<Action>(bus.as_ref()));
    go_on(&pipeline, 36);
    assert_eq!(admitted(&all::<Action>(bus.as_ref())), at_the_pause, "nothing goes out");
    let held = all::<FleetRecord>(bus.as_ref()).into_iter().filter_map(|record| match record.said {
        Said::Held(held) => Some(held),
        _ => None,
    });
    let paused: Vec<_> = held.filter(|held| &*held.rule == "governor.paused").collect();
    assert!(!paused.is_empty() && paused.iter().all(|held| held.why.contains("by order of the test")));
    give(bus.as_ref(), Effect::Resume);
    let mistyped = give_of(bus.as_ref(), "fleet:demo", Effect::PauseScaleIn);
    assert!(mistyped.contains("nothing of that name was heard of lately (there are "), "{mistyped}");
    let mistyped = give_of(bus.as_ref(), "workload:nobody", Effect::Resume);
    assert!(mistyped.contains("nothing of that name was heard of lately (there are "), "{mistyped}");
    go_on(&pipeline, u64::MAX);
    pipeline.stop();
    let actions = all::<Action>(bus.as_ref());
    assert!(admitted(&actions) > at_the_pause, "it goes on");
    let shown: Vec<Effect> = all::<StandingOrder>(bus.as_ref()).iter().map(|s| s.order.effect).collect();
    assert_eq!(shown.last(), Some(&Effect::Resume));
    keeps_to_budgets(actions);
}

fn is_urgent(action: &Action) -> bool {
    action.reasons.iter().any(|reason| &*reason.rule == "governor.urgent")
}

fn keeps_to_budgets(actions: Vec<Action>) {
    let mut of_choice: Vec<Action> = actions.into_iter().filter(|a| !a.is_withdrawal() && !is_urgent(a)).collect();
    of_choice.sort_by_key(|action| action.decided_at);
    for last in &of_choice {
        let within = |s: i64| {
            let since: EventTime = last.decided_at.plus_s(-s);
            of_choice.iter().filter(move |a| a.decided_at > since && a.decided_at <= last.decided_at)
        };
        let changed = within(600).map(|action| &action.workload).collect::<BTreeSet<_>>().len();
        assert!(changed <= WORKLOADS / 10, "{changed} changed within ten minutes");
        let scale_ins = within(3600).filter(|action| action.verdict == Verdict::ScaleIn).count();
        assert!(scale_ins <= WORKLOADS * 3 / 10, "{scale_ins} scale-ins within an hour");
    }
}
