//! Servers that are resized: each resize ends confirmed or reverted, whatever happens, and begins once.

use super::world::{World, is_applied, refused, why};
use bus_tests::conformance::fixture::pass;
use bus_tests::faults::seed::{Chance, Extent};
use integration_tests::kubernetes::faults::Fault;
use integration_tests::openstack::As;
use integration_tests::processes::until;
use prescale_domain::action::{Action, ActionOutcome, Reason};
use serde_json::json;

const RESTARTS: &str = "resize = \"restart\"\ncall_deadline_s = 20\nsettle_s = 120";
const KILLS: usize = 4;

#[test]
fn servers_are_resized_one_after_the_other_and_each_resize_is_confirmed() {
    let mut world = World::new(RESTARTS);
    let ids = world.cloud.make(2);
    world.start();
    let result = world.outcome(&world.action((2, "c1"), (2, "c2")));
    assert!(is_applied(&result), "{result:?}");
    for id in &ids {
        let (server, cloud) = (world.cloud.server(id), &world.cloud);
        assert!(server.is("ACTIVE") && server.flavor() == "c2", "{server:?}");
        assert_eq!((cloud.times(id, "resize"), cloud.times(id, "confirmResize")), (1, 1));
    }
}

#[test]
fn whatever_becomes_of_a_call_a_resize_begins_once_and_is_confirmed_once() {
    let mistakes: [(&str, &[Fault]); 6] = [
        ("prescale.resize", &[Fault::AnsweredAfter { status: 504 }, refused(503)]),
        ("flavorRef", &[refused(503), refused(500)]),
        ("flavorRef", &[Fault::AnsweredAfter { status: 504 }]),
        ("flavorRef", &[Fault::SilentAfter]),
        ("confirmResize", &[refused(503), Fault::AnsweredAfter { status: 500 }]),
        ("confirmResize", &[Fault::SilentAfter]),
    ];
    for (request, faults) in mistakes {
        let mut world = World::new(RESTARTS);
        let ids = world.cloud.make(1);
        world.mistakes(request, faults);
        world.start();
        let result = world.outcome(&world.action((1, "c1"), (1, "c2")));
        assert!(is_applied(&result) && world.proxy.is_played(), "{request} {faults:?}: {result:?}");
        assert!(world.cloud.server(&ids[0]).is("ACTIVE"));
        let times = ["resize", "confirmResize", "revertResize"].map(|name| world.cloud.times(&ids[0], name));
        assert_eq!(times, [1, 1, 0], "{request} {faults:?}");
    }
}

#[test]
fn a_resize_that_nova_cannot_do_is_told() {
    let mut world = World::new(RESTARTS);
    let flavor = json!({ "id": "c17", "name": "c17", "vcpus": 17, "ram": 17_408, "disk": 1 });
    // No host has so many cores; another test may have made it.
    world.cloud.ask(As::Admin, "POST", "/flavors", &json!({ "flavor": flavor }));
    let ids = world.cloud.make(1);
    world.start();
    let result = world.outcome(&world.action((1, "c1"), (1, "c17")));
    assert!(why(&result).contains("no host has room"), "{result:?}");
    let server = world.cloud.server(&ids[0]);
    assert!(server.is("ACTIVE") && server.flavor() == "c1", "{server:?}");
    assert_eq!(world.cloud.times(&ids[0], "resize"), 1);
}

#[test]
fn a_server_that_a_resize_breaks_is_started_again_and_told() {
    for fault in ["resize_fail", "finish_fail"] {
        let mut world = World::new(RESTARTS);
        let ids = world.cloud.make(1);
        world.start();
        let told = world.cloud.tell(fault, "");
        let result = world.outcome(&world.action((1, "c1"), (1, "c2")));
        drop(told);
        assert!(why(&result).contains("could not resize"), "{fault}: {result:?}");
        let server = world.cloud.server(&ids[0]);
        assert!(server.is("ACTIVE") && server.flavor() == "c1", "{fault}: it was started again: {server:?}");
        assert_eq!(["resize", "reboot"].map(|name| world.cloud.times(&ids[0], name)), [1, 1], "{fault}");
    }
}

#[test]
fn a_resize_that_somebody_else_confirms_is_applied() {
    let mut world = World::new(RESTARTS);
    let ids = world.cloud.make(1);
    world.mistakes("confirmResize", &[refused(503); 50]);
    world.start();
    let id = world.actuators.tell(&world.action((1, "c1"), (1, "c2")));
    until("the resize to wait", || world.cloud.server(&ids[0]).is("VERIFY_RESIZE"));
    world.cloud.done("POST", &format!("/servers/{}/action", ids[0]), &json!({ "confirmResize": null }));
    let result = world.actuators.result(&id);
    assert!(is_applied(&result), "{result:?}");
    assert_eq!(world.cloud.times(&ids[0], "confirmResize"), 1);
}

#[test]
fn a_resize_that_is_withdrawn_is_taken_back() {
    let mut world = World::new(RESTARTS);
    let ids = world.cloud.make(1);
    world.start();
    let told = world.cloud.tell("resize_delay", "5");
    let action = world.action((1, "c1"), (1, "c2"));
    let id = world.actuators.tell(&action);
    until("the resize to begin", || world.cloud.times(&ids[0], "resize") == 1);
    let withdrawal = action.withdrawn(Reason { rule: "governor.paused".into(), text: "paused".into() });
    world.actuators.tell(&withdrawal);
    let result = world.actuators.result(&id);
    assert!(matches!(result.outcome, ActionOutcome::Superseded { .. }), "{result:?}");
    until("it to be taken back", || {
        let server = world.cloud.server(&ids[0]);
        server.is("ACTIVE") && server.flavor() == "c1" && world.cloud.times(&ids[0], "revertResize") == 1
    });
    drop(told);
}

#[test]
fn a_newer_action_decides_what_becomes_of_a_resize_that_waits() {
    let mut world = World::new(RESTARTS);
    let ids = world.cloud.make(1);
    world.mistakes("confirmResize", &[refused(503); 20]);
    world.start();
    let first = world.action((1, "c1"), (1, "c2"));
    world.actuators.tell(&first);
    until("the resize to wait", || world.cloud.server(&ids[0]).is("VERIFY_RESIZE"));
    let larger = Action { decided_at: first.decided_at.plus_s(1), ..world.action((1, "c1"), (1, "c4")) };
    let result = world.outcome(&larger);
    assert!(is_applied(&result), "{result:?}");
    let server = world.cloud.server(&ids[0]);
    assert!(server.is("ACTIVE") && server.flavor() == "c4", "{server:?}");
    let times = ["resize", "confirmResize", "revertResize"].map(|name| world.cloud.times(&ids[0], name));
    assert_eq!(times, [2, 1, 1]);
}

#[test]
fn whoever_is_killed_anywhere_resizes_once_and_leaves_nothing_waiting() {
    let (mut world, mut chance) = (World::new(RESTARTS), Chance::of("openstack resize"));
    let ids = world.cloud.make(1);
    let _slow = world.cloud.tell("resize_delay", "1");
    world.start();
    for nth in 0..Extent::of(KILLS).faults() {
        let (from, to) = if nth % 2 == 0 { ("c1", "c2") } else { ("c2", "c1") };
        let id = world.actuators.tell(&world.action((1, from), (1, to)));
        pass(chance.millis(0..6000));
        world.actuators.kill_oldest();
        world.start();
        let result = world.actuators.result(&id);
        assert!(is_applied(&result), "{result:?}");
        let server = world.cloud.server(&ids[0]);
        assert!(server.is("ACTIVE") && server.flavor() == to, "{server:?}");
        let times = ["resize", "confirmResize"].map(|name| world.cloud.times(&ids[0], name));
        assert_eq!(times, [nth + 1, nth + 1]);
    }
}

#[test]
fn a_compute_that_dies_in_a_resize_is_told() {
    let mut world = World::new("resize = \"restart\"\ncall_deadline_s = 20\nsettle_s = 60");
    let ids = world.cloud.make(1);
    let host = world.cloud.ask(As::Admin, "GET", &format!("/servers/{}", ids[0]), &json!(null)).1;
    let host = host["server"]["OS-EXT-SRV-ATTR:host"].as_str().expect("an administrator sees it").to_owned();
    world.start();
    let told = world.cloud.tell("resize_delay", "120");
    let id = world.actuators.tell(&world.action((1, "c1"), (1, "c2")));
    until("the resize to be at the host", || {
        world.cloud.server(&ids[0]).0["OS-EXT-STS:task_state"] == "resize_migrating"
    });
    world.cloud.process("kill", &host);
    drop(told);
    world.cloud.process("restart", &host);
    let result = world.actuators.result(&id);
    assert!(why(&result).contains(&ids[0]), "{result:?}");
    assert_eq!(world.cloud.times(&ids[0], "resize"), 1);
}

#[test]
fn where_guests_may_not_restart_servers_are_replaced_or_nothing_is_done() {
    let mut world = World::new("resize = \"replace\"\nsettle_s = 120");
    let ids = world.cloud.make(2);
    world.start();
    let result = world.outcome(&world.action((2, "c1"), (2, "c2")));
    assert!(is_applied(&result), "{result:?}");
    let servers = world.cloud.servers();
    assert!(servers.iter().all(|server| server.is("ACTIVE") && server.flavor() == "c2"), "{servers:?}");
    assert!(servers.len() == 2 && servers.iter().all(|server| !ids.contains(&server.id().to_owned())), "{servers:?}");
    let mut world = World::new("");
    world.cloud.make(1);
    world.start();
    let result = world.outcome(&world.action((1, "c1"), (1, "c2")));
    assert!(why(&result).contains("restarts the guests"), "{result:?}");
    assert!(world.proxy.seen().iter().all(|seen| !seen.is_write()));
}
