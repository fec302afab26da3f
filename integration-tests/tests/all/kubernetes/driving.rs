//! Actuators as processes before the API server: each action takes effect at most once, the newest wins, and nothing
//! happens after its deadline, whatever becomes of the calls and of the actuators.

use super::deployment;
use super::world::World;
use bus_tests::conformance::fixture::pass;
use bus_tests::faults::seed::{Chance, Extent};
use integration_tests::actuators::{now, replicas};
use integration_tests::kubernetes::faults::{Fault, Seen};
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Reason};
use serde_json::json;
use std::sync::Arc;

/// A call is given up after so long.
const IMPATIENT: &str = "call_deadline_s = 2";
/// Kills of actuators; there are more with `FAULT_MINUTES`.
const KILLS: usize = 3;

fn refused(status: u16) -> Fault {
    Fault::Refused { status, retry_after_s: None }
}

fn is_applied(result: &ActionResult) -> bool {
    matches!(result.outcome, ActionOutcome::Applied { .. })
}

/// Of each name a Deployment is to go from 2 replicas to 5, while this happens to the requests about it that `applies` picks
/// by its path. What came of each.
fn outcomes<'a>(
    world: &mut World,
    mistakes: &[(&'a str, &[Fault])],
    applies: fn(&Seen, &str) -> bool,
) -> Vec<(&'a str, ActionResult)> {
    for (name, faults) in mistakes {
        world.cluster.apply(&deployment(&world.namespace, name, 2));
        let path = world.path(name);
        world.proxy.script(move |seen| applies(seen, &path), faults);
    }
    world.start();
    let told: Vec<(&str, Arc<str>)> = mistakes
        .iter()
        .map(|(name, _)| (*name, world.actuators.tell(&replicas(&world.namespace, name, 2, 5))))
        .collect();
    let results = told.into_iter().map(|(name, id)| (name, world.actuators.result(&id))).collect();
    assert!(world.proxy.is_played(), "every mistake was made");
    world.actuators.terminate_all();
    results
}

fn is_scaling(seen: &Seen, path: &str) -> bool {
    seen.is_write() && seen.path.strip_suffix("/scale") == Some(path)
}

fn is_look(seen: &Seen, path: &str) -> bool {
    seen.method == "GET" && seen.path == path
}

#[test]
fn whatever_becomes_of_a_call_its_action_takes_effect_once() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    let mistakes: [(&str, &[Fault]); 9] = [
        ("conflict", &[refused(409)]),
        ("throttled", &[Fault::Refused { status: 429, retry_after_s: Some(1) }]),
        ("broken", &[refused(500)]),
        ("away", &[refused(503), refused(503)]),
        ("late", &[Fault::AnsweredAfter { status: 504 }]),
        ("broken-after", &[Fault::AnsweredAfter { status: 500 }]),
        ("unknown-user", &[refused(401)]),
        ("silent", &[Fault::Silent]),
        ("silent-after", &[Fault::SilentAfter]),
    ];
    for (name, result) in outcomes(&mut world, &mistakes, is_scaling) {
        assert!(is_applied(&result), "{name}: {result:?}");
        assert_eq!((result.before.replicas, result.after.replicas), (2, 5), "{name}");
        assert_eq!((world.replicas(name), world.effects_on(name).len()), (5, 1), "{name}");
    }
}

#[test]
fn what_the_server_will_not_do_fails_and_is_told() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    let mistakes: [(&str, &[Fault]); 3] =
        [("no-right", &[refused(403)]), ("gone", &[refused(410)]), ("unsound", &[refused(422)])];
    for (name, result) in outcomes(&mut world, &mistakes, is_scaling) {
        assert!(matches!(result.outcome, ActionOutcome::Failed { .. }), "{name}: {result:?}");
        assert_eq!((result.before.replicas, result.after.replicas), (2, 2), "{name}");
        assert_eq!((world.replicas(name), world.effects_on(name).len()), (2, 0), "{name}");
    }
}

#[test]
fn looks_that_fail_are_repeated() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    let mistakes: [(&str, &[Fault]); 7] = [
        ("unknown-user", &[refused(401)]),
        ("no-right", &[refused(403)]),
        ("throttled", &[Fault::Refused { status: 429, retry_after_s: Some(1) }]),
        ("broken", &[refused(500)]),
        ("away", &[refused(503), Fault::Passed, refused(503)]),
        ("late", &[refused(504)]),
        ("silent", &[Fault::Silent, Fault::Passed, Fault::Silent]),
    ];
    for (name, result) in outcomes(&mut world, &mistakes, is_look) {
        assert!(is_applied(&result), "{name}: {result:?}");
        assert_eq!((world.replicas(name), world.effects_on(name).len()), (5, 1), "{name}");
    }
}

#[test]
fn what_is_old_void_withdrawn_or_said_twice_does_nothing() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    for name in ["twice", "old", "void", "withdrawn"] {
        world.cluster.apply(&deployment(&world.namespace, name, 2));
    }
    let action = |name: &str, to| replicas(&world.namespace, name, 2, to);
    let (twice, newer) = (action("twice", 4), action("old", 6));
    let older = Action { decided_at: newer.decided_at.plus_s(-60), ..action("old", 3) };
    let void = Action { decided_at: now().plus_s(-900), valid_until: now().plus_s(-300), ..action("void", 5) };
    let withdrawn = action("withdrawn", 7);
    let withdrawal = withdrawn.withdrawn(Reason { rule: "governor.paused".into(), text: "paused".into() });
    // Before anybody acts: all of it is on the log by then.
    let ids = [&twice, &twice, &newer, &older, &void, &withdrawn, &withdrawal].map(|a| world.actuators.tell(a));
    world.start();
    let outcome = |id: &str| world.actuators.result(id).outcome;
    assert!(matches!(outcome(&ids[0]), ActionOutcome::Applied { .. }));
    assert!(matches!(outcome(&ids[2]), ActionOutcome::Applied { .. }));
    for id in [&ids[3], &ids[4], &ids[5], &ids[6]] {
        let outcome = outcome(id);
        assert!(matches!(outcome, ActionOutcome::Superseded { .. }), "{outcome:?}");
    }
    for (name, replicas, effects) in [("twice", 4, 1), ("old", 6, 1), ("void", 2, 0), ("withdrawn", 2, 0)] {
        assert_eq!((world.replicas(name), world.effects_on(name).len()), (replicas, effects), "{name}");
    }
}

#[test]
fn an_action_whose_calls_fail_until_its_deadline_does_nothing_afterwards() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    world.cluster.apply(&deployment(&world.namespace, "web", 2));
    let action = Action { valid_until: now().plus_s(4), ..replicas(&world.namespace, "web", 2, 3) };
    world.proxy.script(|seen| seen.is_write() && seen.path.ends_with("/web/scale"), &[refused(503); 200]);
    world.start();
    let id = world.actuators.tell(&action);
    let result = world.actuators.result(&id);
    assert!(!is_applied(&result), "{result:?}");
    assert!(result.at >= action.valid_until, "it was tried until then: {result:?}");
    let next = replicas(&world.namespace, "other", 2, 3);
    world.cluster.apply(&deployment(&world.namespace, "other", 2));
    // One that comes later is through, so the first would have been.
    let next = world.actuators.tell(&next);
    assert!(is_applied(&world.actuators.result(&next)));
    assert_eq!((world.replicas("web"), world.effects_on("web").len()), (2, 0));
}

#[test]
fn a_dry_run_shows_the_request_and_the_api_server_is_asked_whether_it_would_take_it() {
    let mut world = World::new(&["look", "scale"], IMPATIENT);
    let mut object = deployment(&world.namespace, "web", 2);
    object["metadata"]["annotations"] = json!({});
    world.cluster.apply(&object);
    // `kubectl annotate`, as the README has it.
    let annotated = json!({ "metadata": { "annotations": { "prescale.io/enabled": "true" } } });
    world.cluster.done("PATCH", &world.path("web"), &annotated);
    world.start();
    let action = Action { dry_run: true, ..replicas(&world.namespace, "web", 2, 3) };
    let id = world.actuators.tell(&action);
    let outcome = world.actuators.result(&id).outcome;
    let ActionOutcome::DryRun { request: Some(request), .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(request.is_accepted, Some(true), "{request:?}");
    assert!(request.path.starts_with(&world.path("web")), "{request:?}");
    let told = world.actuators.prescale(&["bus", "tail", "action-results"]);
    assert!(told.contains(&request.path), "{told}");
    let asked = world.asked();
    let shown: Vec<_> = asked.iter().filter(|event| event.is_dry_run && event.status == 200).collect();
    assert_eq!(shown.len(), 1, "{asked:?}");
    assert_eq!(shown[0].body["spec"]["replicas"], json!(3));
    assert_eq!((world.replicas("web"), world.effects_on("web").len()), (2, 0));
}

#[test]
fn of_two_actuators_one_acts_and_the_other_takes_over_when_it_is_killed() {
    let (mut world, mut chance) = (World::new(&["look", "scale"], IMPATIENT), Chance::of("kubernetes"));
    world.start();
    world.start();
    let mut told = Vec::new();
    for nth in 0..Extent::of(KILLS).faults() {
        let name = format!("web-{nth}");
        world.cluster.apply(&deployment(&world.namespace, &name, 2));
        let (first, second) = (replicas(&world.namespace, &name, 2, 3), replicas(&world.namespace, &name, 2, 4));
        let second = Action { decided_at: first.decided_at.plus_s(1), ..second };
        let first = world.actuators.tell(&first);
        pass(chance.millis(0..1500));
        let second = world.actuators.tell(&second);
        pass(chance.millis(0..1500));
        world.actuators.kill_oldest();
        world.start();
        told.push((name, first, second));
    }
    for (name, first, second) in told {
        let (first, second) = (world.actuators.result(&first), world.actuators.result(&second));
        assert!(is_applied(&second), "{name}: {second:?}");
        assert_eq!(world.replicas(&name), 4, "{name}: the newest wins");
        let effects: Vec<u64> =
            world.effects_on(&name).iter().filter_map(|event| event.body["spec"]["replicas"].as_u64()).collect();
        let wanted: &[u64] = if is_applied(&first) { &[3, 4] } else { &[4] };
        // One that was killed before it heard what came of its call may have been overtaken by the second.
        assert!(effects == wanted || effects == [3, 4], "{name}: {effects:?}, {first:?}");
    }
}
