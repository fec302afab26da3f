//! Servers that are added and removed.

use super::world::{World, is_applied, refused, why};
use bus_tests::conformance::fixture::pass;
use bus_tests::faults::seed::{Chance, Extent};
use integration_tests::actuators::now;
use integration_tests::kubernetes::faults::Fault;
use integration_tests::openstack::As;
use integration_tests::processes::until;
use prescale_domain::action::{Action, ActionOutcome};

/// A call is given up after so long, and what was taken has so long to serve.
const IMPATIENT: &str = "call_deadline_s = 20\nsettle_s = 120";
const KILLS: usize = 3;

#[test]
fn servers_are_made_by_one_request_and_removed_one_by_one() {
    let mut world = World::new(IMPATIENT);
    let first = world.cloud.make(1);
    world.start();
    let out = world.action((1, "c1"), (4, "c1"));
    let result = world.outcome(&out);
    assert!(is_applied(&result), "{result:?}");
    assert_eq!((result.before.replicas, result.after.replicas), (1, 4));
    let made: Vec<_> = world.cloud.servers().into_iter().filter(|server| server.made_by().is_some()).collect();
    assert_eq!((made.len(), world.makes()), (3, 1));
    assert!(made.iter().all(|server| server.is("ACTIVE") && server.made_by() == Some(&*result.action_id)), "{made:?}");
    let result = world.outcome(&world.action((4, "c1"), (2, "c1")));
    assert!(is_applied(&result), "{result:?}");
    let left: Vec<String> = world.cloud.servers().iter().map(|server| server.id().to_owned()).collect();
    assert!(left.len() == 2 && left.contains(&first[0]), "the oldest stays: {left:?}");
}

#[test]
fn whatever_becomes_of_a_call_its_action_takes_effect_once() {
    let mistakes: [(&str, &[Fault]); 7] = [
        ("throttled", &[Fault::Refused { status: 429, retry_after_s: Some(1) }]),
        ("broken", &[refused(500)]),
        ("away", &[refused(503), refused(503)]),
        ("unknown user", &[refused(401)]),
        ("late", &[Fault::AnsweredAfter { status: 504 }]),
        ("broken after", &[Fault::AnsweredAfter { status: 500 }]),
        ("silent after", &[Fault::SilentAfter]),
    ];
    for (name, faults) in mistakes {
        let mut world = World::new("call_deadline_s = 15\nsettle_s = 120");
        world.cloud.make(1);
        world.mistakes("min_count", faults);
        world.start();
        let result = world.outcome(&world.action((1, "c1"), (3, "c1")));
        assert!(is_applied(&result), "{name}: {result:?}");
        assert!(world.proxy.is_played(), "{name}: the mistake was made");
        assert_eq!((world.cloud.servers().len(), world.makes()), (3, 1), "{name}");
    }
}

#[test]
fn what_was_never_answered_and_does_not_show_is_not_sent_again() {
    let mut world = World::new("call_deadline_s = 5\nsettle_s = 10");
    world.cloud.make(1);
    world.mistakes("min_count", &[Fault::Silent]);
    world.start();
    let action = Action { valid_until: now().plus_s(20), ..world.action((1, "c1"), (3, "c1")) };
    let result = world.outcome(&action);
    assert!(!is_applied(&result), "{result:?}");
    let sent = world.proxy.seen().iter().filter(|seen| seen.body.contains("min_count")).count();
    assert_eq!((sent, world.cloud.servers().len()), (1, 1));
}

#[test]
fn looks_that_fail_are_repeated_and_a_token_is_renewed() {
    let mut world = World::new(IMPATIENT);
    world.cloud.make(1);
    let faults = [refused(401), refused(503), Fault::Refused { status: 429, retry_after_s: Some(1) }, refused(500)];
    world.proxy.script(|seen| seen.method == "GET" && seen.path.ends_with("/servers/detail"), &faults);
    world.start();
    let result = world.outcome(&world.action((1, "c1"), (2, "c1")));
    assert!(is_applied(&result) && world.proxy.is_played(), "{result:?}");
    assert_eq!((world.cloud.servers().len(), world.makes()), (2, 1));
}

#[test]
fn a_quota_that_does_not_suffice_makes_nothing_and_is_told() {
    let mut world = World::new(IMPATIENT);
    world.cloud.make(1);
    world.start();
    let result = world.outcome(&world.action((1, "c1"), (500, "c1")));
    assert!(why(&result).contains("quota leaves"), "{result:?}");
    assert_eq!(world.cloud.servers().len(), 1);
}

#[test]
fn servers_that_do_not_come_up_are_told_and_cleared_away_by_the_next_action() {
    let mut world = World::new(IMPATIENT);
    world.cloud.make(1);
    world.start();
    let told = world.cloud.tell("spawn_fail", "");
    let result = world.outcome(&world.action((1, "c1"), (2, "c1")));
    assert!(why(&result).contains("ERROR"), "{result:?}");
    drop(told);
    let result = world.outcome(&world.action((1, "c1"), (3, "c1")));
    assert!(is_applied(&result), "{result:?}");
    let servers = world.cloud.servers();
    assert!(servers.len() == 3 && servers.iter().all(|server| server.is("ACTIVE")), "{servers:?}");
}

#[test]
fn a_dry_run_shows_the_request_and_does_nothing() {
    let mut world = World::new(IMPATIENT);
    world.cloud.make(1);
    world.start();
    let action = Action { dry_run: true, ..world.action((1, "c1"), (2, "c1")) };
    let result = world.outcome(&action);
    let ActionOutcome::DryRun { request: Some(request), .. } = &result.outcome else { panic!("{result:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str(), request.is_accepted), ("POST", "/servers", None));
    assert!(world.proxy.seen().iter().all(|seen| !seen.is_write()), "{:?}", world.proxy.seen());
    // The request is good as it is shown.
    let body = serde_json::from_str(&request.body).expect("it is JSON");
    let (status, said) = world.cloud.ask(As::User, "POST", &request.path, &body);
    assert_eq!(status, 202, "{said}");
    until("both to run", || world.cloud.servers().iter().filter(|server| server.is("ACTIVE")).count() == 2);
}

#[test]
fn of_two_actuators_one_acts_and_whoever_is_killed_anywhere_makes_no_server_twice() {
    let (mut world, mut chance) = (World::new(IMPATIENT), Chance::of("openstack"));
    world.cloud.make(1);
    world.start();
    for nth in 0..Extent::of(KILLS).faults() {
        let (from, to) = if nth % 2 == 0 { (1, 3) } else { (3, 1) };
        let action = world.action((from, "c1"), (to, "c1"));
        let id = world.actuators.tell(&action);
        world.start();
        pass(chance.millis(0..4000));
        world.actuators.kill_oldest();
        let result = world.actuators.result(&id);
        assert!(is_applied(&result), "{result:?}");
        let servers = world.cloud.servers();
        assert_eq!(servers.len(), to as usize, "{servers:?}");
        let made = servers.iter().filter(|server| server.made_by() == Some(&*id)).count();
        assert_eq!(made, if to > from { 2 } else { 0 });
        assert!(world.makes() <= 1, "{servers:?}");
    }
}
