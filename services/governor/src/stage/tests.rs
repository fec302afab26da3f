//! The governor on made-up records, in one partition or several.

use super::*;
use prescale_bus::OutputRecord;
use prescale_contracts::Contract;
use prescale_domain::action::{Action, Mechanism, Verdict};
use prescale_domain::governor::{Effect, Proposal, Scope, View};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;

const PARTITIONS: u32 = 2;

fn name(text: &str) -> WorkloadId {
    WorkloadId::new(text).unwrap()
}

fn input(key: &str, said: Said) -> Input<FleetRecord> {
    let value = FleetRecord { key: name(key), said };
    let envelope = Envelope::root("test", value.event_type(), &value.key, value.at(), &format!("{:?}", value.said));
    Input { envelope, value }
}

pub(crate) fn proposal(workload: &str, at_s: i64, replicas: u32, demanded: bool) -> Input<FleetRecord> {
    let capacity = |replicas| Capacity {
        replicas,
        cpu_cores_per_replica: 1.0,
        memory_bytes_per_replica: 4e9,
        instance_type: None,
    };
    let action = Action {
        workload: name(workload),
        decided_at: EventTime::from_s(at_s),
        valid_until: EventTime::from_s(at_s + 900),
        prediction_id: "p".into(),
        policy: "threshold".into(),
        verdict: if replicas > 4 { Verdict::ScaleOut } else { Verdict::ScaleIn },
        current: capacity(4),
        desired: capacity(replicas),
        mechanism: Mechanism::Replicas,
        dry_run: false,
        evidence: Vec::new(),
        reasons: Vec::new(),
        platform: Platform::SIMULATED,
    };
    input("demo", Said::Proposal(Box::new(Proposal { action, demanded, partition: 0 })))
}

pub(crate) fn view(partition: u32, at_s: i64, known: u32) -> Input<FleetRecord> {
    let at = EventTime::from_s(at_s);
    input("demo", Said::View(View { partition, at, told_at: at, known, present: known, lost_kpi: 0, step_s: 60 }))
}

fn order(scope: &str, effect: Effect, at_s: i64) -> Input<FleetRecord> {
    let scope = Scope::parse(scope).unwrap();
    let (why, by) = ("a test".to_owned(), "someone".to_owned());
    let order = Order { scope, effect, at: EventTime::from_s(at_s), why, by, is_repetition: false };
    input("order#0", Said::Order(order))
}

fn factory() -> Factory {
    Factory::new(Arc::new(GovernorRules::default()), PARTITIONS)
}

fn records(reply: &Reply) -> Vec<OutputRecord> {
    let Reply::Emit(outgoing) = reply else { return Vec::new() };
    outgoing.iter().map(|o| o.records()[0].clone()).collect()
}

fn actions(replies: &[Reply]) -> Vec<Action> {
    let all = replies.iter().flat_map(records).filter(|r| &*r.topic == topics::ACTIONS);
    all.map(|r| Contract::decode(r.value.as_deref().unwrap()).unwrap()).collect()
}

fn inputs() -> Vec<Input<FleetRecord>> {
    let mut inputs = vec![view(0, 200, 10), view(1, 200, 10)];
    for bin in 1..12 {
        let at = 300 * bin;
        inputs.extend([
            proposal(&format!("in-{}", bin % 5), at + 20, 3, false),
            proposal(&format!("out-{}", bin % 3), at + 30, 6, bin % 2 == 0),
            view(0, at + 100, 10),
            proposal("web", at + 130, 3, false),
            view(1, at + 100, 10),
        ]);
    }
    inputs
}

#[test]
fn each_proposal_gets_one_record_that_follows_from_it() {
    let inputs = inputs();
    let replies = factory().create(0).apply(inputs.clone()).unwrap();
    let made: Vec<OutputRecord> = replies.iter().flat_map(records).collect();
    let id = |r: &OutputRecord| r.headers.iter().find(|h| h.name == "ce_id").map(|h| h.value.to_vec()).unwrap();
    let mut ids: Vec<_> = made.iter().map(id).collect();
    let proposals = inputs.iter().filter(|i| matches!(i.value.said, Said::Proposal(_)));
    let expected = |i: &Input<FleetRecord>| i.envelope.following(NAME, "", &name("demo"), i.envelope.time, 0);
    let mut wanted: Vec<_> = proposals.map(|i| expected(i).id.as_bytes().to_vec()).collect();
    assert_eq!(wanted.len(), 33);
    ids.sort();
    wanted.sort();
    let waiting = wanted.iter().filter(|id| !ids.contains(id)).count();
    assert_eq!((ids.len(), waiting), (30, 3), "the last ones wait for the next bin");
    let topics_of = |topic: &str| made.iter().filter(|r| &*r.topic == topic).count();
    assert!(topics_of(topics::ACTIONS) > 8 && topics_of(topics::PROPOSALS) > 8);
}

#[test]
fn what_was_held_is_counted_by_its_rule_when_it_comes_back() {
    let mut stage = factory().create(0);
    let mut replies = stage.apply(vec![order("all", Effect::Pause, 1), proposal("web", 400, 6, true)]).unwrap();
    let held = records(&replies.remove(1)).remove(0);
    let value: FleetRecord = Contract::decode(held.value.as_deref().unwrap()).unwrap();
    let Said::Held(said) = &value.said else { panic!("{value:?}") };
    assert_eq!((said.workload.as_str(), &*said.rule), ("web", "governor.paused"));
    assert!(said.why.contains("all: nothing changes since 1970-01-01T00:00:01Z by order of someone: a test"));
    assert_eq!(stage.apply(vec![input("demo", value.said)]).unwrap(), [Reply::Drop("paused")]);
}

#[test]
fn an_order_withdraws_and_is_shown_by_the_partition_of_its_scope_alone() {
    let mut shown = 0;
    for partition in 0..PARTITIONS {
        let mut stage = factory().create(partition);
        let pause = order("workload:web", Effect::Pause, 500);
        let replies = stage.apply(vec![proposal("web", 400, 6, true), pause.clone(), pause]).unwrap();
        let withdrawn = actions(&replies[1..2]);
        assert!(withdrawn[0].is_withdrawal() && withdrawn[0].decided_at == EventTime::from_s(400));
        let withdrawal = &records(&replies[1])[0];
        assert!(withdrawal.headers.iter().any(|h| &*h.value == b"io.prescale.v1.Withdrawal"));
        shown += records(&replies[1]).iter().filter(|r| &*r.topic == topics::CONTROL).count();
        assert_eq!(replies[2], Reply::Drop(REPEATED));
    }
    assert_eq!(shown, 1);
}

#[test]
fn what_an_order_held_follows_from_the_one_that_lifts_it() {
    let mut stage = factory().create(0);
    let resume = order("all", Effect::Resume, 2);
    let inputs = vec![order("all", Effect::Pause, 1), proposal("web", 400, 6, true), resume.clone()];
    let replies = stage.apply(inputs).unwrap();
    assert!(actions(&replies[..2]).is_empty());
    let released = actions(&replies[2..]);
    assert_eq!(
        released.iter().map(|a| (a.decided_at, a.is_withdrawal())).collect::<Vec<_>>(),
        [(EventTime::from_s(400), false)]
    );
    let record = records(&replies[2]).remove(0);
    let expected = resume.envelope.following(NAME, "", &name("web"), released[0].decided_at, 2);
    assert!(record.headers.iter().any(|h| h.name == "ce_id" && *h.value == *expected.id.as_bytes()));
}

#[test]
fn standing_orders_are_repeated_into_every_partition() {
    let mut stage = factory().create(1);
    let inputs = vec![order("fleet:demo", Effect::Pause, 1), view(0, 300, 1), view(0, 300 + 86_400, 1)];
    let replies = stage.apply(inputs).unwrap();
    let repeated = records(&replies[2]);
    let partitions: Vec<u32> = repeated.iter().map(|r| partition_of(&r.key, PARTITIONS)).collect();
    assert_eq!(partitions, [0, 1]);
    for record in repeated {
        let record: FleetRecord = Contract::decode(record.value.as_deref().unwrap()).unwrap();
        assert!(matches!(record.said, Said::Order(order) if order.is_repetition && order.at == EventTime::from_s(1)));
    }
}

#[test]
fn a_restart_and_another_cut_change_no_record() {
    let (factory, inputs) = (factory(), inputs());
    let wanted = factory.create(0).apply(inputs.clone()).unwrap();
    let mut first = factory.create(0);
    let mut got = first.apply(inputs[..23].to_vec()).unwrap();
    let mut second = factory.restore(0, &first.snapshot()).unwrap();
    got.extend(inputs[23..].iter().flat_map(|i| second.apply(vec![i.clone()]).unwrap()));
    assert_eq!(got, wanted);
    assert!(factory.restore(0, b"nonsense").is_err());
}
