//! Rulings on made-up fleets.

use super::core::Heard;
use super::fixtures::*;
use super::orders::Effect;
use super::ruling::Ruling;
use super::{Proposal, View};
use crate::action::{Action, Mechanism, Verdict};
use crate::policy::fixtures::action;
use crate::sample::Capacity;
use crate::time::EventTime;

fn urgent(partition: u32, name: &str, at: (i64, i64)) -> Proposal {
    Proposal { demanded: true, ..proposal(partition, name, at, true) }
}

/// More CPU and less memory, which live use of CPU demands.
fn reshape(at: (i64, i64)) -> Proposal {
    let mut reshape = urgent(0, "busy", at);
    let action = &mut reshape.action;
    (action.verdict, action.mechanism) = (Verdict::Reshape, Mechanism::Limits);
    action.desired.replicas = action.current.replicas;
    action.desired.cpu_cores_per_replica = 2.0 * action.current.cpu_cores_per_replica;
    action.desired.memory_bytes_per_replica = 0.5 * action.current.memory_bytes_per_replica;
    reshape
}

#[test]
fn an_increase_goes_out_at_once_and_all_else_waits_for_every_partition_and_the_next_bin() {
    let mut court = Court::new();
    assert_eq!(words(&court.propose(urgent(0, "busy", (0, 10)))), ["busy governor.urgent"]);
    assert_eq!(words(&court.propose(proposal(0, "soon", (0, 15), true))), ["soon governor.admitted"]);
    assert!(court.propose(proposal(0, "idle", (0, 20), false)).is_empty());
    assert!(court.view(view(0, 0, 20, 20)).is_empty());
    assert!(court.pass(1).is_empty(), "the other partition was never heard of");
    assert_eq!(court.governor.pending(), 1);
    assert!(court.view(view(1, 0, 20, 20)).is_empty(), "the fleet is in the same bin");
    assert_eq!(words(&court.pass(2)), ["idle governor.admitted"]);
    assert!(court.propose(proposal(0, "idle", (0, 20), false)).is_empty(), "it is not newer");
    assert_eq!(court.governor.pending(), 0);
}

#[test]
fn what_asks_for_a_word_waits_for_one_and_the_word_counts_for_an_hour() {
    let asking = |name: &str, at: (i64, i64), grows: bool| {
        let mut asking = proposal(0, name, at, grows);
        let text = "an operator is asked: it is unusual".to_owned();
        asking.action.reasons.push(crate::wording::reason(crate::guardrail::ASKS, text));
        asking
    };
    let mut court = Court::new();
    court.close(0, 30, 30);
    assert_eq!(words(&court.propose(asking("web", (1, 10), true))), ["web governor.asks"]);
    assert_eq!(words(&court.propose(proposal(0, "db", (1, 20), true))), ["db governor.admitted"], "nobody asks");
    let demanded = Proposal { demanded: true, ..asking("web", (1, 30), true) };
    assert_eq!(words(&court.propose(demanded)), ["web governor.urgent"], "live use waits for no word");
    court.propose(asking("web", (1, 40), false));
    assert_eq!(words(&court.close(1, 30, 30)), ["web governor.asks"]);
    court.order(&order("workload:web", Effect::Resume, 600));
    assert_eq!(words(&court.propose(asking("web", (5, 10), true))), ["web governor.admitted"]);
    assert_eq!(words(&court.propose(asking("mail", (5, 20), true))), ["mail governor.asks"], "another workload");
    assert_eq!(words(&court.propose(asking("web", (30, 10), true))), ["web governor.asks"], "it was long ago");
}

#[test]
fn a_share_of_the_fleet_changes_and_increases_count_first() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    for i in 0..4 {
        court.propose(proposal(0, &format!("in-{i}"), (1, 10 + i), false));
    }
    assert_eq!(words(&court.propose(proposal(1, "out", (1, 99), true))), ["out governor.admitted"]);
    let ruled = words(&court.close(1, 30, 30));
    assert_eq!(ruled[..2], ["in-0 governor.admitted", "in-1 governor.admitted"]);
    assert_eq!(ruled[2..], ["in-2 governor.changed_share", "in-3 governor.changed_share"]);
    court.propose(proposal(0, "in-0", (2, 10), false));
    court.propose(proposal(0, "in-2", (2, 11), false));
    let ruled = words(&court.close(2, 30, 30));
    assert_eq!(ruled, ["in-0 governor.admitted", "in-2 governor.changed_share"], "who changed already adds none");
}

#[test]
fn scale_ins_have_a_budget_an_hour_and_dry_runs_one_of_their_own() {
    let mut court = Court::new();
    court.rules.changed_share_max = 1.0;
    court.close(0, 10, 10);
    for i in 0..5 {
        let mut dry = proposal(1, &format!("dry-{i}"), (1, 50 + i), false);
        dry.action.dry_run = true;
        court.propose(dry);
        court.propose(proposal(0, &format!("in-{i}"), (1, 10 + i), false));
    }
    let ruled = words(&court.close(1, 10, 10));
    let admitted = |of: &str| ruled.iter().filter(|w| w.starts_with(of) && w.ends_with("admitted")).count();
    assert_eq!((admitted("in-"), admitted("dry-")), (3, 3), "{ruled:?}");
    for bin in 2..=12 {
        court.close(bin, 10, 10);
    }
    court.propose(proposal(0, "in-4", (13, 9), false));
    court.propose(proposal(0, "in-3", (13, 12), false));
    let ruled = words(&court.close(13, 10, 10));
    assert_eq!(ruled, ["in-4 governor.scale_in_budget", "in-3 governor.admitted"]);
}

#[test]
fn while_most_of_the_fleet_is_gone_nothing_shrinks_until_it_is_back_or_for_a_day() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    let mut over = 0;
    let mut at = |bin: i64, known, present| {
        for between in over + 1..bin {
            court.close(between, known, present);
        }
        over = bin;
        court.propose(proposal(0, &format!("in-{bin}"), (bin, 10), false));
        let ruled = words(&court.close(bin, known, present));
        ruled[0].rsplit('.').next().unwrap().to_owned()
    };
    assert_eq!(at(1, 30, 13), "admitted");
    assert_eq!(at(2, 30, 12), "fleet_gone");
    assert_eq!(at(20, 12, 12), "fleet_gone", "those who are not known any more are still missed");
    assert_eq!(at(40, 30, 13), "admitted");
    assert_eq!(at(60, 30, 0), "fleet_gone");
    assert_eq!(at(60 + 288, 12, 12), "admitted");
}

#[test]
fn a_partition_that_is_silent_beyond_the_patience_is_gone() {
    let mut court = Court::new();
    for bin in 0..5 {
        court.close(bin, 30, 30);
    }
    let mut ruled = Vec::new();
    for bin in 5..12 {
        let out = format!("out-{bin}");
        assert_eq!(words(&court.propose(urgent(0, &out, (bin, 10)))), [format!("{out} governor.urgent")]);
        court.propose(proposal(0, &format!("in-{bin}"), (bin, 20), false));
        court.view(view(0, bin, 10, 10));
        ruled.push(words(&court.pass(bin + 1)));
    }
    assert!(ruled[..4].iter().all(Vec::is_empty), "it is waited for: {ruled:?}");
    let all: Vec<&String> = ruled.iter().flatten().collect();
    assert_eq!(all[0], "in-5 governor.expired");
    assert!(all[1..].iter().all(|w| w.ends_with("governor.fleet_gone") || w.ends_with("expired")), "{all:?}");
    assert!(all.iter().any(|w| w.ends_with("governor.fleet_gone")), "15 of 25 are silent: {all:?}");
}

#[test]
fn partitions_a_day_apart_are_not_gone_where_the_patience_is_a_day() {
    let mut court = Court::new();
    court.rules.patience_s = 86_400;
    for bin in 0..200 {
        if bin % 20 == 5 {
            court.propose(proposal(0, &format!("in-{bin}"), (bin, 10), false));
        }
        assert!(court.view(view(0, bin, 15, 15)).is_empty());
    }
    for bin in 0..200 {
        assert!(court.view(view(1, bin, 15, 15)).is_empty());
    }
    let ruled = words(&court.pass(200));
    assert_eq!(ruled.len(), 10);
    assert!(ruled.iter().all(|w| w.ends_with("governor.admitted")), "{ruled:?}");
}

#[test]
fn half_migrated_metrics_block_scale_ins() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    for (bin, lost_kpi, rule) in [(1, 3, "in-1 governor.admitted"), (2, 4, "in-2 governor.kpis_lost")] {
        court.propose(proposal(0, &format!("in-{bin}"), (bin, 10), false));
        court.view(View { lost_kpi, ..view(0, bin, 15, 15) });
        court.view(View { lost_kpi: 3, ..view(1, bin, 15, 15) });
        assert_eq!(words(&court.pass(bin + 1)), [rule]);
    }
}

#[test]
fn an_order_holds_all_that_comes_and_withdraws_what_is_out() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.propose(urgent(0, "busy", (1, 10)));
    court.propose(proposal(0, "idle", (1, 20), false));
    court.close(1, 30, 30);
    let withdrawn = court.order(&order("fleet:demo", Effect::PauseScaleIn, 700));
    assert_eq!(words(&withdrawn), ["idle withdrawn"]);
    let more = |second: i64, replicas: u32| {
        let mut more = urgent(0, "busy", (2, second));
        more.action.desired.replicas = replicas;
        more
    };
    assert_eq!(words(&court.propose(more(10, 6))), ["busy governor.urgent"]);
    let withdrawn = court.order(&order("all", Effect::Pause, 710));
    assert_eq!(words(&withdrawn), ["busy withdrawn"]);
    assert_eq!(words(&court.propose(more(20, 7))), ["busy governor.paused"]);
    court.propose(proposal(0, "idle", (2, 20), false));
    assert_eq!(words(&court.close(2, 30, 30)), ["idle governor.paused"]);
    assert_eq!(words(&court.order(&order("all", Effect::Resume, 720))), ["busy released"]);
    assert_eq!(words(&court.propose(urgent(0, "busy", (3, 20)))), ["busy governor.urgent"]);
    court.propose(proposal(0, "idle", (3, 20), false));
    assert_eq!(words(&court.close(3, 30, 30)), ["idle governor.paused"], "the fleet's own order stands");
    assert_eq!(court.governor.standing().count(), 1);
}

/// Its planner does not ask again for it before it is void.
#[test]
fn what_live_use_demands_under_a_pause_goes_out_once_no_order_holds_it() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.order(&order("all", Effect::Pause, 310));
    for name in ["busy", "short"] {
        assert_eq!(words(&court.propose(urgent(0, name, (1, 20)))), [format!("{name} governor.paused")]);
    }
    assert_eq!(words(&court.propose(proposal(0, "wanted", (1, 30), true))), ["wanted governor.paused"]);
    court.propose(proposal(0, "idle", (1, 40), false));
    assert_eq!(words(&court.close(1, 30, 30)), ["idle governor.paused"]);
    let mut newer = urgent(0, "busy", (2, 10));
    newer.action.desired.replicas = 7;
    assert_eq!(words(&court.propose(newer)), ["busy governor.paused"]);
    court.order(&order("fleet:demo", Effect::Pause, 620));
    assert!(court.order(&order("all", Effect::Resume, 630)).is_empty(), "the fleet's own order stands");

    let released = court.order(&order("fleet:demo", Effect::PauseScaleIn, 640));
    assert_eq!(words(&released), ["busy released", "short released"]);
    let Ruling::Released(busy) = &released[0] else { panic!("{released:?}") };
    assert_eq!((busy.desired.replicas, busy.decided_at), (7, EventTime::from_s(610)), "the newest");
    assert_eq!(busy.reasons.last().map(|reason| &*reason.rule), Some("governor.urgent"));
    assert!(court.order(&order("fleet:demo", Effect::Resume, 650)).is_empty(), "it is out");

    let withdrawn = court.order(&order("all", Effect::Pause, 660));
    assert_eq!(words(&withdrawn), ["busy withdrawn", "short withdrawn"]);
    assert!(court.order(&order("all", Effect::Resume, 670)).is_empty(), "what was withdrawn stays so");
}

/// A forecast had wanted it before. Its planner asks for it once when live use comes to demand it, and not again before
/// that is void.
#[test]
fn what_live_use_demands_and_was_out_goes_out_again_after_a_pause_that_withdrew_it() {
    let mut court = Court::new();
    assert_eq!(words(&court.propose(proposal(0, "web", (1, 10), true))), ["web governor.admitted"]);
    assert_eq!(words(&court.propose(urgent(0, "web", (1, 70)))), ["web governor.stands"]);
    assert!(court.order(&order("workload:db", Effect::Resume, 380)).is_empty(), "it is out");
    assert_eq!(words(&court.order(&order("all", Effect::Pause, 390))), ["web withdrawn"]);
    let released = court.order(&order("all", Effect::Resume, 400));
    let [Ruling::Released(action)] = &released[..] else { panic!("no order holds it any more: {released:?}") };
    assert_eq!((action.desired.replicas, action.decided_at), (5, EventTime::from_s(370)));
    assert!(court.order(&order("workload:db", Effect::Resume, 410)).is_empty(), "it is out again");
}

#[test]
fn of_a_demanded_reshape_that_was_out_what_it_adds_goes_out_again_and_once_with_each_order() {
    let mut court = Court::new();
    assert_eq!(words(&court.propose(reshape((1, 10)))), ["busy governor.urgent"]);
    assert_eq!(words(&court.propose(reshape((1, 70)))), ["busy governor.stands"]);
    assert_eq!(words(&court.order(&order("all", Effect::PauseScaleIn, 380))), ["busy released"], "what is left of it");
    assert_eq!(words(&court.order(&order("fleet:demo", Effect::Pause, 390))), ["busy withdrawn"]);
    let released = court.order(&order("fleet:demo", Effect::Resume, 400));
    let [Ruling::Released(action)] = &released[..] else { panic!("nothing holds what it adds: {released:?}") };
    let Action { current, desired, .. } = &**action;
    assert!(desired.cpu_cores() > current.cpu_cores(), "{desired:?}");
    assert_eq!(desired.memory_bytes(), current.memory_bytes(), "decreases are held");
    assert_eq!((action.verdict, action.decided_at), (Verdict::ScaleOut, EventTime::from_s(370)));
}

#[test]
fn what_goes_out_with_a_resume_counts_in_the_share_that_changes() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.order(&order("all", Effect::Pause, 310));
    for name in ["a", "b", "c"] {
        court.propose(urgent(0, name, (1, 20)));
    }
    court.order(&order("all", Effect::Resume, 330));
    court.propose(proposal(0, "idle", (1, 40), false));
    assert_eq!(words(&court.close(1, 30, 30)), ["idle governor.changed_share"]);
}

#[test]
fn what_is_void_by_the_resume_or_was_decided_otherwise_is_not_let_out() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.order(&order("all", Effect::Pause, 310));
    for name in ["void", "over"] {
        court.propose(urgent(0, name, (1, 20)));
    }
    court.propose(proposal(0, "over", (1, 30), false));
    court.propose(urgent(0, "busy", (3, 30)));
    court.propose(urgent(0, "late", (4, 20)));
    let released = court.order(&order("all", Effect::Resume, 1230));
    assert_eq!(words(&released), ["busy released", "late released"], "void since 1220 s, of all that was heard of");
}

#[test]
fn where_decreases_are_paused_a_demanded_reshape_takes_nothing_away() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    let Proposal { action, .. } = reshape((1, 10));
    let (current, wanted) = (action.current, action.desired);
    let admitted = |court: &mut Court, second: i64, cores: f64| {
        let mut reshape = reshape((1, second));
        reshape.action.desired.cpu_cores_per_replica = cores;
        let [Ruling::Admitted { action, .. }] = &court.propose(reshape)[..] else { panic!("it goes out at once") };
        action.desired.clone()
    };
    let cores = wanted.cpu_cores_per_replica;
    assert_eq!(admitted(&mut court, 10, cores), wanted);
    let kept = Capacity { memory_bytes_per_replica: current.memory_bytes_per_replica, ..wanted };
    let left = court.order(&order("all", Effect::PauseScaleIn, 320));
    let [Ruling::Released(action)] = &left[..] else { panic!("what it adds stands: {left:?}") };
    assert_eq!((&action.desired, action.verdict), (&kept, Verdict::ScaleOut));
    assert_eq!(action.decided_at, EventTime::from_s(310), "it takes the place of the one before");
    assert_eq!(admitted(&mut court, 30, 2.0 * cores), Capacity { cpu_cores_per_replica: 2.0 * cores, ..kept });
    assert!(court.order(&order("fleet:demo", Effect::PauseScaleIn, 340)).is_empty(), "nothing shrinks any more");
}

/// Without it the lesser one that it raised would come, and its planner would not ask again before it is void.
#[test]
fn an_order_that_stops_decreases_withdraws_none_that_raised_what_is_out() {
    let planned = |(bin, second): (i64, i64), to: u32, demanded: bool| {
        let action = action("web", bin * 300 + second, 4, to);
        Proposal { action, demanded, partition: 0 }
    };
    for demanded in [true, false] {
        let mut court = Court::new();
        court.close(0, 30, 30);
        assert!(court.propose(planned((1, 10), 2, false)).is_empty());
        assert_eq!(words(&court.close(1, 30, 30)), ["web governor.admitted"]);
        assert_eq!(court.propose(planned((2, 10), 3, demanded)).len(), 1, "it goes out at once: 2 are out");
        assert!(court.order(&order("all", Effect::PauseScaleIn, 620)).is_empty());
        let withdrawn = court.order(&order("all", Effect::Pause, 630));
        assert_eq!(words(&withdrawn), ["web withdrawn"], "an order that stops everything takes it back");
    }
}

/// A planner raises a decrease that it had proposed and that is not out: it asks for less than what serves.
#[test]
fn what_live_use_demands_below_what_serves_is_a_decrease_unless_less_is_out() {
    let raised = |name: &str, (bin, second): (i64, i64), to: u32| {
        let action = action(name, bin * 300 + second, 4, to);
        Proposal { action, demanded: true, partition: 0 }
    };
    let mut court = Court::new();
    court.close(0, 30, 30);
    assert!(court.propose(raised("web", (1, 10), 3)).is_empty());
    assert_eq!(words(&court.close(1, 30, 30)), ["web governor.admitted"], "it counts as a scale-in");
    assert!(court.propose(raised("web", (2, 10), 2)).is_empty());
    assert_eq!(words(&court.close(2, 30, 30)), ["web governor.admitted"]);
    assert_eq!(words(&court.propose(raised("web", (3, 10), 3))), ["web governor.urgent"], "2 are out");
    court.close(3, 30, 30);
    court.order(&order("all", Effect::PauseScaleIn, 1300));
    assert!(court.propose(raised("idle", (4, 110), 3)).is_empty());
    assert_eq!(words(&court.close(4, 30, 30)), ["idle governor.paused"]);
}

/// More of one and less of the other, as a dry run asks for again until it comes.
#[test]
fn a_demanded_reshape_goes_out_at_once_each_time() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    for bin in 1..4 {
        let mut reshape = urgent(0, "busy", (bin, 10));
        (reshape.action.verdict, reshape.action.dry_run) = (Verdict::Reshape, true);
        reshape.action.desired.memory_bytes_per_replica *= 0.5;
        assert_eq!(words(&court.propose(reshape)), ["busy governor.urgent"], "the {bin}th time");
        court.close(bin, 30, 30);
    }
}

#[test]
fn a_decrease_that_a_raised_one_overtook_is_held() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.propose(proposal(0, "web", (1, 10), false));
    assert!(court.view(view(0, 1, 15, 15)).is_empty());
    let raised = Proposal { demanded: true, ..proposal(0, "web", (1, 250), false) };
    assert!(court.propose(raised).is_empty());
    assert_eq!(words(&court.close(1, 30, 30)), ["web governor.overtaken"]);
}

/// A forecast alone may raise it.
#[test]
fn a_decrease_is_overtaken_by_whatever_asks_for_more_and_that_goes_out_at_once_where_less_is_out() {
    let planned = |(bin, second): (i64, i64), to: u32| {
        let action = action("web", bin * 300 + second, 6, to);
        Proposal { action, demanded: false, partition: 0 }
    };
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.propose(planned((1, 10), 3));
    assert!(court.view(view(0, 1, 15, 15)).is_empty());
    assert!(court.propose(planned((1, 250), 4)).is_empty(), "nothing less is out");
    assert_eq!(words(&court.close(1, 30, 30)), ["web governor.overtaken"]);
    assert_eq!(words(&court.close(2, 30, 30)), ["web governor.admitted"]);
    assert_eq!(words(&court.propose(planned((3, 10), 5))), ["web governor.admitted"], "4 are out");
    assert!(court.propose(planned((3, 20), 4)).is_empty());
    assert_eq!(words(&court.close(3, 30, 30)), ["web governor.admitted"]);
}

/// The planner's dry run goes on from what it asked for, also where that stood already.
#[test]
fn what_is_held_since_it_stands_overtakes_as_well() {
    let dry = |(bin, second): (i64, i64), from: u32, to: u32| {
        let action = crate::action::Action { dry_run: true, ..action("web", bin * 300 + second, from, to) };
        Proposal { action, demanded: false, partition: 0 }
    };
    let mut court = Court::new();
    court.close(0, 30, 30);
    assert_eq!(words(&court.propose(dry((1, 10), 4, 6))), ["web governor.admitted"]);
    court.close(1, 30, 30);
    assert!(court.propose(dry((2, 10), 6, 4)).is_empty());
    assert_eq!(words(&court.propose(dry((2, 20), 5, 6))), ["web governor.stands"]);
    assert_eq!(words(&court.close(2, 30, 30)), ["web governor.overtaken"]);
}

#[test]
fn a_decrease_that_an_increase_overtook_is_held() {
    let mut court = Court::new();
    court.close(0, 30, 30);
    court.propose(proposal(0, "web", (1, 10), false));
    court.propose(proposal(0, "web", (1, 20), true));
    court.propose(proposal(0, "busy", (1, 10), false));
    assert!(court.view(view(0, 1, 15, 15)).is_empty());
    court.propose(urgent(0, "busy", (1, 250)));
    assert_eq!(words(&court.close(1, 30, 30)), ["busy governor.overtaken", "web governor.overtaken"]);
}

#[test]
fn a_dry_run_that_stands_is_told_of_once_unless_live_use_demands_it() {
    let mut court = Court::new();
    let dry = |of: Proposal| Proposal { action: crate::action::Action { dry_run: true, ..of.action }, ..of };
    let word = |court: &mut Court, of| words(&court.propose(dry(of))).concat();
    assert_eq!(word(&mut court, proposal(0, "web", (1, 10), true)), "web governor.admitted");
    assert_eq!(word(&mut court, proposal(0, "web", (1, 20), true)), "web governor.stands");
    assert_eq!(word(&mut court, urgent(0, "web", (1, 30))), "web governor.urgent");
}

/// A planner asks for what a forecast wanted once more when live use demands it.
#[test]
fn an_increase_that_is_out_is_not_told_of_again_while_it_is_valid() {
    let mut court = Court::new();
    assert_eq!(words(&court.propose(proposal(0, "web", (1, 10), true))), ["web governor.admitted"]);
    assert_eq!(words(&court.propose(urgent(0, "web", (2, 10)))), ["web governor.stands"]);
    assert!(court.order(&order("all", Effect::PauseScaleIn, 900)).is_empty(), "no order holds it");
    assert_eq!(words(&court.propose(urgent(0, "web", (4, 10)))), ["web governor.urgent"], "it is void");
    court.order(&order("all", Effect::Pause, 1300));
    assert_eq!(words(&court.propose(urgent(0, "web", (4, 120)))), ["web governor.paused"], "and withdrawn");
}

#[test]
fn standing_orders_are_repeated_daily_by_one_partition_alone() {
    let mut courts = [Court::new(), Court::new()];
    let pause = order("fleet:demo", Effect::Pause, 0);
    let mut repeats = Vec::new();
    for court in &mut courts {
        court.order(&order("all", Effect::Pause, 0));
        court.order(&order("all", Effect::Resume, 1));
        court.order(&pause);
    }
    for bin in 0..900 {
        for i in 0..courts.len() {
            let court = &mut courts[i];
            let heard = court.governor.view(&court.rules, PARTITIONS, &fleet(), &view(0, bin, 1, 1));
            let Heard::Used { repeat, .. } = heard else { panic!("{heard:?}") };
            for order in &repeat {
                assert_eq!((order.scope.clone(), order.is_repetition), (pause.scope.clone(), true));
                repeats.push(bin);
                courts.iter_mut().for_each(|court| {
                    court.order(order);
                });
            }
        }
    }
    assert_eq!(repeats, [288, 575, 863], "once a day, by whoever comes to it first");
    let mut lost = Court::new();
    lost.order(&super::Order { is_repetition: true, ..pause });
    assert_eq!(words(&lost.propose(urgent(0, "busy", (1, 10)))), ["busy governor.paused"]);
    assert!(courts[1].governor.standing().all(|o| o.at == EventTime::from_s(0)));
}

#[test]
fn counts_of_one_are_said_in_the_singular() {
    let mut court = Court::new();
    (court.rules.changed_share_max, court.rules.scale_ins_per_h_max_share) = (1.0, 0.0);
    court.close(0, 1, 1);
    for name in ["a", "b", "c"] {
        court.propose(proposal(0, name, (1, 10), false));
    }
    let said: Vec<String> = court
        .close(1, 1, 1)
        .into_iter()
        .map(|ruling| match ruling {
            Ruling::Admitted { action, .. } => action.reasons.last().expect("it says why").text.clone(),
            Ruling::Held { why, .. } => why.text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(said[0].starts_with("0 of 1 workload changed within 600 s (at most 1), 0 scale-ins within"), "{said:?}");
    assert!(said[1].starts_with("1 other workload changed within 600 s, of 1 at most 1 may"), "{said:?}");
    assert_eq!(said[2], said[1]);
}
