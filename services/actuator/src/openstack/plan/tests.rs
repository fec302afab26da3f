//! What comes next, for what the cloud shows.

use super::super::config::GroupConfig;
use super::super::group::Room;
use super::super::server::Deed;
use super::super::testing::{NOW, aim, deed, facts, resized, server, withdrawal};
use super::*;
use crate::drive::step::{Method, Request};
use prescale_domain::action::Action;
use serde_json::json;
use std::sync::Arc;

const RESTARTS: Rules = Rules { resize: ResizeMode::Restart, windows: Windows::ANY, groups: BTreeMap::new() };

fn rules(resize: ResizeMode) -> Rules {
    Rules { resize, ..RESTARTS }
}

fn servers(count: usize) -> Facts {
    facts((0..count).map(|nth| server(&format!("s-{nth}"), "c1")).collect())
}

fn changed(aim: &Aim, change: impl FnOnce(&mut Action)) -> Aim {
    let mut aim = aim.clone();
    change(&mut Arc::make_mut(&mut aim.order).action);
    aim
}

/// As it is once a request for it was sent from here.
fn sent(facts: &Facts, rules: &Rules, aim: &Aim) -> Aim {
    Aim { sent_from: Some(standing(facts, rules, aim).mark), ..aim.clone() }
}

fn id(aim: &Aim) -> String {
    aim.order.id().to_string()
}

fn request(step: &Step) -> &Request {
    let (Step::Send(request) | Step::TidyUp(request)) = step else { panic!("{step:?} is no request") };
    request
}

fn why(step: &Step) -> &str {
    match step {
        Step::Wait { why, .. } | Step::Done(ActionOutcome::Failed { why, .. } | ActionOutcome::Superseded { why }) => {
            why
        }
        other => panic!("{other:?} does not say why"),
    }
}

#[test]
fn missing_servers_are_made_by_one_request_and_waited_for() {
    let (mut facts, aim) = (servers(2), aim((2, "c1"), (5, "c1")));
    let step = next(&facts, &RESTARTS, &aim, NOW);
    assert_eq!(request(&step).body["server"]["min_count"], 3);
    assert!(!standing(&facts, &RESTARTS, &aim).is_taken);
    for nth in 0..3 {
        let made_by = Some(id(&aim));
        facts.servers.push(Server { status: Status::Build, made_by, ..server(&format!("n-{nth}"), "c1") });
    }
    assert!(standing(&facts, &RESTARTS, &aim).is_taken);
    assert!(why(&next(&facts, &RESTARTS, &aim, NOW)).starts_with("0 of the 3"));
    facts.servers.iter_mut().for_each(|server| server.status = Status::Active);
    assert_eq!(next(&facts, &RESTARTS, &aim, NOW), Step::Done(ActionOutcome::Applied { effective_at: NOW }));
    assert_eq!(standing(&facts, &RESTARTS, &aim).capacity.unwrap(), aim.order.action.desired);
}

#[test]
fn what_was_not_answered_is_looked_for_and_not_sent_again() {
    let (facts, aim) = (servers(2), aim((2, "c1"), (5, "c1")));
    let step = next(&facts, &RESTARTS, &sent(&facts, &RESTARTS, &aim), NOW);
    assert!(why(&step).contains("does not show"), "{step:?}");
    let more = servers(3);
    let step = next(&more, &RESTARTS, &sent(&facts, &RESTARTS, &aim), NOW);
    assert!(why(&step).contains("does not show"), "somebody else's server is not the answer: {step:?}");
}

#[test]
fn servers_that_it_has_made_and_that_are_gone_are_not_made_anew() {
    let (mut facts, aim) = (servers(2), aim((2, "c1"), (4, "c1")));
    facts.servers.push(Server { made_by: Some(id(&aim)), ..server("n-1", "c1") });
    assert!(why(&next(&facts, &RESTARTS, &aim, NOW)).contains("gone again"));
}

#[test]
fn a_quota_that_does_not_suffice_is_told_before_anything_is_sent() {
    let mut facts = servers(2);
    facts.room = Room { vcpus: Some(2), ..Room::default() };
    let step = next(&facts, &RESTARTS, &aim((2, "c1"), (5, "c1")), NOW);
    assert!(why(&step).contains("leaves 2 vCPUs, and 3 more"), "{step:?}");
    let larger = next(&facts, &RESTARTS, &aim((2, "c1"), (2, "c4")), NOW);
    assert!(why(&larger).contains("leaves 2 vCPUs, and 3 more"), "{larger:?}");
}

#[test]
fn servers_are_spread_over_zones() {
    let config = GroupConfig { zones: vec!["a".to_owned(), "b".to_owned()], ..GroupConfig::default() };
    let groups = BTreeMap::from([("shop/web".to_owned(), Group { config, user_data: None })]);
    let (rules, mut facts) = (Rules { groups, ..RESTARTS }, servers(2));
    facts.servers.iter_mut().for_each(|server| server.zone = "a".to_owned());
    let aim = aim((2, "c1"), (5, "c1"));
    let asked = |facts: &Facts| {
        let step = next(facts, &rules, &aim, NOW);
        let server = &request(&step).body["server"];
        (server["availability_zone"].clone(), server["max_count"].clone())
    };
    assert_eq!(asked(&facts), (json!("b"), json!(2)));
    let made = |nth: i32, zone: &str| Server {
        made_by: Some(id(&aim)),
        zone: zone.to_owned(),
        ..server(&format!("n-{nth}"), "c1")
    };
    facts.servers.extend([made(0, "b"), made(1, "b")]);
    assert_eq!(asked(&facts), (json!("a"), json!(1)), "zone b has had its request");
}

#[test]
fn what_is_too_much_goes_one_by_one_the_youngest_of_the_fullest_zone_first() {
    let mut facts = servers(4);
    for (nth, zone) in ["a", "b", "a", "b"].into_iter().enumerate() {
        (facts.servers[nth].zone, facts.servers[nth].created) = (zone.to_owned(), format!("2026-01-0{}", nth + 1));
    }
    let aim = aim((4, "c1"), (2, "c1"));
    let gone = |facts: &Facts| {
        let step = next(facts, &RESTARTS, &aim, NOW);
        assert_eq!(request(&step).method, Method::Delete);
        request(&step).path.clone()
    };
    assert_eq!(gone(&facts), "/servers/s-3");
    facts.servers[3].is_being_deleted = true;
    assert_eq!(gone(&facts), "/servers/s-2");
    facts.servers[2].is_locked = true;
    assert_eq!(gone(&facts), "/servers/s-0", "the locked one stays");
    facts.servers[0].is_being_deleted = true;
    assert!(why(&next(&facts, &RESTARTS, &aim, NOW)).contains("being removed"));
}

#[test]
fn an_increase_never_lowers_and_a_decrease_never_raises() {
    let more = next(&servers(6), &RESTARTS, &aim((2, "c1"), (5, "c1")), NOW);
    assert!(why(&more).contains("6 servers already"), "{more:?}");
    let fewer = next(&servers(1), &RESTARTS, &aim((4, "c1"), (2, "c1")), NOW);
    assert!(why(&fewer).contains("1 servers by now"), "{fewer:?}");
    let (before, outgrown) = (servers(2), servers(6));
    let out = aim((2, "c1"), (5, "c1"));
    let step = next(&outgrown, &RESTARTS, &sent(&before, &RESTARTS, &out), NOW);
    assert!(matches!(step, Step::Done(ActionOutcome::Applied { .. })), "{step:?}");
}

#[test]
fn a_server_is_marked_then_resized_then_confirmed() {
    let (mut facts, aim) = (servers(1), aim((1, "c1"), (1, "c2")));
    let mark = next(&facts, &RESTARTS, &aim, NOW);
    assert_eq!(request(&mark).path, "/servers/s-0/metadata");
    assert_eq!(request(&mark).body["metadata"]["prescale.resize"], format!("{} 0 c2", id(&aim)));
    facts.servers[0].mark = Some(ResizeMark { action: id(&aim), resizes: 0, flavor: "c2".to_owned() });
    let resize = next(&facts, &RESTARTS, &aim, NOW);
    assert_eq!(request(&resize).body, json!({"resize": {"flavorRef": "id-c2"}}));
    let unseen = next(&facts, &RESTARTS, &sent(&facts, &RESTARTS, &aim), NOW);
    assert!(why(&unseen).contains("does not show"), "{unseen:?}");
    facts.servers[0] = resized(server("s-0", "c1"), "c2", &id(&aim));
    let confirm = next(&facts, &RESTARTS, &aim, NOW);
    assert!(matches!(&confirm, Step::TidyUp(request) if request.body == json!({"confirmResize": null})), "{confirm:?}");
    facts.servers[0].record.insert(0, deed("confirmResize"));
    facts.servers[0].status = Status::Active;
    assert!(matches!(next(&facts, &RESTARTS, &aim, NOW), Step::Done(ActionOutcome::Applied { .. })));
}

#[test]
fn a_resize_that_came_to_nothing_is_told_and_not_tried_again() {
    let aim = aim((1, "c1"), (1, "c2"));
    let with = |record: Vec<Deed>| {
        let mark = ResizeMark { action: id(&aim), resizes: 1, flavor: "c2".to_owned() };
        let old = deed("resize");
        let record = record.into_iter().chain([old]).collect();
        next(&facts(vec![Server { mark: Some(mark), record, ..server("s-0", "c1") }]), &RESTARTS, &aim, NOW)
    };
    let no_room = with(vec![Deed { is_failed: true, ..deed("resize") }]);
    assert!(why(&no_room).contains("no host has room"), "{no_room:?}");
    let reverted = with(vec![deed("revertResize"), deed("resize")]);
    assert!(why(&reverted).contains("has reverted"), "{reverted:?}");
    let unclear = with(vec![deed("resize")]);
    assert!(matches!(unclear, Step::Wait { .. }), "{unclear:?}");
    let mark = Some(ResizeMark { action: id(&aim), resizes: 0, flavor: "c2".to_owned() });
    let failed = Deed { is_failed: true, ..deed("resize") };
    let mut broken = Server { status: Status::Error, mark, record: vec![failed], ..server("s-0", "c1") };
    let step = next(&facts(vec![broken.clone()]), &RESTARTS, &aim, NOW);
    assert!(matches!(&step, Step::TidyUp(request) if request.body.get("reboot").is_some()), "{step:?}");
    broken.record.insert(0, deed("reboot"));
    broken.fault = Some("fault on demand".to_owned());
    let step = next(&facts(vec![broken.clone()]), &RESTARTS, &aim, NOW);
    assert!(why(&step).contains("fault on demand"), "it did not help: {step:?}");
    broken.status = Status::Active;
    let step = next(&facts(vec![broken]), &RESTARTS, &aim, NOW);
    assert!(why(&step).contains("could not resize"), "{step:?}");
}

#[test]
fn a_resize_is_a_restart_and_needs_to_be_allowed() {
    let (facts, aim) = (servers(1), aim((1, "c1"), (1, "c2")));
    let refused = next(&facts, &rules(ResizeMode::Refuse), &aim, NOW);
    assert!(why(&refused).contains("restarts the guests"), "{refused:?}");
    let windows = Windows::read(&["12:00-13:00".to_owned()]).unwrap();
    let late = next(&facts, &Rules { windows, ..RESTARTS }, &aim, NOW);
    assert!(why(&late).contains("12:00-13:00 UTC"), "{late:?}");
    let replaced = next(&facts, &rules(ResizeMode::Replace), &aim, NOW);
    assert_eq!(request(&replaced).path, "/servers");
    let otherwise = changed(&aim, |action| action.desired.cpu_cores_per_replica = 3.0);
    let step = next(&facts, &RESTARTS, &otherwise, NOW);
    assert!(why(&step).contains("has 2 vCPUs"), "{step:?}");
}

#[test]
fn what_never_ran_is_cleared_away_by_the_next_action() {
    let mut facts = servers(1);
    let made_by = Some("an earlier one".to_owned());
    facts.servers.push(Server { status: Status::Error, was_launched: false, made_by, ..server("n-1", "c1") });
    let step = next(&facts, &RESTARTS, &aim((1, "c1"), (2, "c1")), NOW);
    assert!(matches!(&step, Step::TidyUp(request) if request.path == "/servers/n-1"), "{step:?}");
}

#[test]
fn a_dry_run_shows_the_request_and_what_is_withdrawn_does_nothing() {
    let (facts, out, larger) = (servers(2), aim((2, "c1"), (3, "c1")), aim((2, "c1"), (2, "c2")));
    for (aim, path) in [(&out, "/servers"), (&larger, "/servers/s-0/action")] {
        let step = next(&facts, &RESTARTS, &changed(aim, |action| action.dry_run = true), NOW);
        let Step::Done(ActionOutcome::DryRun { request: Some(shown), .. }) = step else { panic!("{step:?}") };
        assert_eq!((shown.path.as_str(), shown.is_accepted), (path, None));
    }
    assert_eq!(why(&next(&facts, &RESTARTS, &withdrawal(&out), NOW)), "paused");
}
