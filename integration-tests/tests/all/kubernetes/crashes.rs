//! Actuators that end at each point around what they do: each action takes effect once, counted by the API server.

use super::deployment;
use super::world::World;
use bus_tests::faults::crash::{is_of_sources, of_backend};
use integration_tests::actuators::{now, replicas};
use integration_tests::processes::until;
use prescale_bus::crash_point::CrashPoint;
use prescale_domain::action::{Action, ActionOutcome};
use std::ops::RangeInclusive;

/// The actuator's stage and its driver come by the points of the log, the driver before a call and with a result.
const PASSINGS: RangeInclusive<u32> = 1..=3;
/// By so many actions every point is passed that often.
const ACTIONS_MAX: u32 = 8;

#[test]
fn wherever_an_actuator_ends_each_action_takes_effect_once() {
    let points = of_backend("embedded").filter(|point| is_of_sources(*point)).chain(of_backend("cloud"));
    let cases: Vec<(CrashPoint, u32)> =
        points.flat_map(|point| PASSINGS.map(move |passing| (point, passing))).collect();
    assert_eq!(cases.len(), 18, "{cases:?}");
    std::thread::scope(|scope| {
        for (point, passing) in cases {
            scope.spawn(move || ends_at(point, passing));
        }
    });
}

fn ends_at(point: CrashPoint, passing: u32) {
    let mut world = World::new(&["look", "scale"], "call_deadline_s = 5");
    world.cluster.apply(&deployment(&world.namespace, "web", 2));
    let (kubeconfig, began) = (world.kubeconfig.clone(), now().plus_s(-60));
    world.actuators.start_crashing(&kubeconfig, point, passing);
    let mut told = Vec::new();
    let mut has_crashed = false;
    while !has_crashed {
        assert!(told.len() < ACTIONS_MAX as usize, "it does not come by {point:?} {passing} times");
        let from = 2 + told.len() as u32;
        let decided_at = began.plus_s(from.into());
        let id = world.actuators.tell(&Action { decided_at, ..replicas(&world.namespace, "web", from, from + 1) });
        until("a result, or the end", || {
            has_crashed = has_crashed || world.actuators.has_crashed();
            has_crashed || world.actuators.results().iter().any(|result| result.action_id == id)
        });
        told.push(id);
    }
    world.start();
    for id in &told {
        let result = world.actuators.result(id);
        assert!(matches!(result.outcome, ActionOutcome::Applied { .. }), "{point:?}, {passing}: {result:?}");
    }
    let effects = world.effects_on("web");
    let set: Vec<u64> = effects.iter().filter_map(|event| event.body["spec"]["replicas"].as_u64()).collect();
    let wanted: Vec<u64> = (0..told.len() as u64).map(|nth| nth + 3).collect();
    assert_eq!(set, wanted, "{point:?}, {passing}");
}
