//! Every stage loses its snapshots between two runs, or finds them damaged: its state is made again from the log, and
//! every topic holds, byte for byte, what it holds when nobody is interrupted ([`reference`]).

use bus_tests::conformance::backends::{Embedded, Kafka};
use bus_tests::conformance::{BusUnderTest, Damage};
use bus_tests::faults::seed::Chance;
use integration_tests::open_loop::{FIRST_HOURS, HOURS, reference, run, settings};
use integration_tests::pipeline::{assert_accounted, assert_same, outputs};
use prescale::services::installation;

/// Who keeps nothing, and who has heard nothing of a fleet that is too young to be unusual, and has no model on trial.
const WITHOUT: [&str; 3] = ["incidents", "alerts-log", "decider"];

const KINDS: [Damage; 3] = [Damage::Removed, Damage::Truncated, Damage::Flipped];

fn lost_snapshots_change_nothing(backend: &str, under_test: &dyn BusUnderTest) {
    let mut chance = Chance::of(&format!("lost snapshots on {backend}"));
    let settings = settings(HOURS);
    let context = installation(&settings);
    run(&under_test.open("a"), FIRST_HOURS);
    let mut to_reject = Vec::new();
    for stage in context.graph.stages().iter().filter(|stage| !WITHOUT.contains(&stage.stage)) {
        let (group, damage) = (context.group(stage.stage), KINDS[chance.among(0..KINDS.len())]);
        let found = under_test.damage_snapshots(&group, damage);
        assert!(found > 0, "{} has a snapshot", stage.stage);
        println!("{}: {damage:?}", stage.stage);
        to_reject.push((group, if damage == Damage::Removed { 0 } else { found }));
    }
    run(&under_test.open("a"), HOURS);
    for (group, damaged) in to_reject {
        assert_eq!(under_test.rejected_snapshots(&group), damaged, "{group}");
    }
    let bus = under_test.open("a");
    assert_accounted(bus.as_ref(), &settings);
    assert_same(&outputs(bus.as_ref()), reference());
}

#[test]
fn lost_snapshots_change_nothing_on_the_embedded_bus() {
    lost_snapshots_change_nothing("the embedded bus", &Embedded::fresh());
}

#[test]
fn lost_snapshots_change_nothing_on_kafka() {
    lost_snapshots_change_nothing("Kafka", &Kafka::fresh());
}
