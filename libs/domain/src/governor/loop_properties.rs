//! Planner and governor in one closed loop: what is let out changes the capacity that the planner sees.

use super::fixtures::order;
use super::{Effect, FleetRecord, Fleets, Governor, GovernorRules, Heard, Order, Orders, Proposer, Ruling, Said};
use crate::action::{Action, Mechanism, Verdict};
use crate::evaluation::Terms;
use crate::policy::fixtures::{GIB, capacity, prediction, threshold_rules, workload};
use crate::policy::properties::{Gap, followed_rules, gap, waits};
use crate::policy::{Planning, Rules};
use crate::prediction::Prediction;
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const WORKLOADS: usize = 3;
/// Of the source of the predictions.
const FLEET: &str = "fleet:test";
const HOUR_S: i64 = 3600;

/// A workload and what it has, or will have, of what was let out.
struct Member {
    name: WorkloadId,
    /// With the instant from which it serves, in seconds.
    orders: Vec<(i64, Action)>,
    /// What was asked for by what was let out last, and not withdrawn.
    out: Option<Capacity>,
    /// Until then its planner counts on something that an operator withdrew, in seconds.
    misled_until_s: i64,
}

impl Member {
    /// The capacity that serves at an instant.
    fn serves(&self, at_s: i64) -> Capacity {
        let newest = self.orders.iter().rev().find(|(from_s, _)| *from_s <= at_s);
        newest.map_or_else(|| capacity(4), |(_, action)| action.desired.clone())
    }
}

/// Something that was let out.
struct LetOut {
    action: Action,
    /// Whether it leaves less than what served and than what was out.
    takes_away: bool,
    /// Whether an order held decreases then.
    is_paused: bool,
}

/// A fleet whose capacity is what was let out, a lead time after it was decided, be it a dry run. An action that is void
/// when it is let out, or withdrawn before it serves, is not carried out.
struct ClosedLoop<'a> {
    rules: &'a Rules,
    terms: Terms,
    governor_rules: &'a GovernorRules,
    planner: Proposer,
    /// Decides the same, and says why also where nothing comes of it.
    twin: Planning,
    governor: Governor<usize>,
    orders: Orders,
    members: Vec<Member>,
    proposed: usize,
    let_out: Vec<LetOut>,
}

impl<'a> ClosedLoop<'a> {
    fn new(rules: &'a Rules, governor_rules: &'a GovernorRules, workloads: usize) -> Self {
        let member =
            |i: usize| Member { name: workload(&format!("w{i}")), orders: Vec::new(), out: None, misled_until_s: 0 };
        Self {
            rules,
            terms: Terms { rules: rules.clone().into(), pricing: None },
            governor_rules,
            planner: Proposer::default(),
            twin: Planning::default(),
            governor: Governor::default(),
            orders: Orders::default(),
            members: (0..workloads).map(member).collect(),
            proposed: 0,
            let_out: Vec::new(),
        }
    }

    /// A prediction for a member. Whether the decision on it waits for a surge to last.
    fn predict(&mut self, member: usize, made: &Prediction) -> bool {
        let id: Arc<str> = "p".into();
        let decision = self.twin.step(self.rules, made, &id).expect("it is newer than all before");
        let fleets = Fleets::default();
        let proposed =
            self.planner.step((&self.terms, &fleets, 0), made, (&id, made.made_at)).expect("as for the twin");
        for FleetRecord { key, said } in proposed.said {
            let heard = match said {
                Said::Proposal(proposal) => {
                    self.proposed += 1;
                    let tagged = (member, *proposal);
                    self.governor.propose(self.governor_rules, 1, &key, tagged, made.made_at)
                }
                Said::View(view) => self.governor.view(self.governor_rules, 1, &key, &view),
                Said::Order(_) | Said::Held(_) => continue,
            };
            self.hear(seconds(made.made_at), heard);
        }
        waits(&decision)
    }

    /// An operator's order.
    fn give(&mut self, now_s: i64, order: &Order) {
        self.orders.take(order);
        let heard = self.governor.order(order);
        self.hear(now_s, heard);
    }

    /// Whether nothing may change of a member.
    fn is_paused(&self, member: usize) -> bool {
        let fleet = workload(FLEET);
        self.orders.covering(&fleet, &self.members[member].name).any(|order| order.effect == Effect::Pause)
    }

    fn hear(&mut self, now_s: i64, heard: Heard<usize>) {
        let Heard::Used { rulings, .. } = heard else { return };
        for ruling in rulings {
            match ruling {
                Ruling::Admitted { tag, action } => self.carry_out(now_s, tag, *action),
                Ruling::Released(action) => self.carry_out(now_s, self.member(&action), *action),
                Ruling::Withdrawn(action) => self.withdraw(now_s, &action),
                Ruling::Held { .. } => {}
            }
        }
    }

    fn member(&self, action: &Action) -> usize {
        self.members.iter().position(|member| member.name == action.workload).expect("it is one of them")
    }

    fn carry_out(&mut self, now_s: i64, member: usize, action: Action) {
        let is_paused = self.orders.covering(&workload(FLEET), &action.workload).next().is_some();
        let Member { orders, out, .. } = &mut self.members[member];
        let is_more = out.as_ref().is_some_and(|out| exceeds(&action.desired, out));
        *out = Some(action.desired.clone());
        let serves_from_s = now_s.max(seconds(action.decided_at) + i64::from(self.rules.forecast.lead_time_s));
        if now_s < seconds(action.valid_until) {
            orders.push((serves_from_s, action.clone()));
        }
        let takes_away = action.verdict == Verdict::ScaleIn && !is_more;
        self.let_out.push(LetOut { action, takes_away, is_paused });
    }

    fn withdraw(&mut self, now_s: i64, withdrawn: &Action) {
        let place = self.member(withdrawn);
        let Member { orders, out, misled_until_s, .. } = &mut self.members[place];
        *out = None;
        let is_it = |(from_s, action): &(i64, Action)| *from_s > now_s && action.decided_at == withdrawn.decided_at;
        if let Some(place) = orders.iter().position(is_it) {
            // Also of a decrease that was raised: what it overtook may be on its way.
            let (_, action) = orders.remove(place);
            *misled_until_s = seconds(action.valid_until);
        }
    }
}

fn seconds(at: EventTime) -> i64 {
    at.as_ms() / 1000
}

fn exceeds(a: &Capacity, b: &Capacity) -> bool {
    a.cpu_cores() > b.cpu_cores() || a.memory_bytes() > b.memory_bytes()
}

/// A prediction of a use of cores and GiB that goes on; what is missing was not measured.
fn predicted(name: &str, (at_s, step_s): (i64, u32), (cores, gib): (f64, f64), missing: Gap) -> Prediction {
    let mut made = prediction(name, at_s, cores, gib, 4);
    made.step_s = step_s;
    made.resources[0].last = missing.has_cpu().then_some(cores);
    made.resources[1].last = missing.has_memory().then_some(gib * GIB);
    made
}

/// What was measured of a workload last, and whether an increase may lawfully be missing.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    cores: f64,
    gib: f64,
    /// The decision waits for the surge to last.
    waits: bool,
    /// An order holds everything, or has since nothing was decided.
    is_paused: bool,
    /// The planner counts on what an operator withdrew.
    is_misled: bool,
}

fn governor_rules() -> impl Strategy<Value = GovernorRules> {
    (0.0f64..1.0, 300u32..3600, 0.0f64..1.0).prop_map(|(changed, window_s, scale_ins)| GovernorRules {
        changed_share_max: changed,
        changed_window_s: window_s,
        scale_ins_per_h_max_share: scale_ins,
        ..GovernorRules::default()
    })
}

/// The change of CPU and of memory in a step, whether it is a slow one, and what is missing.
fn wanted() -> impl Strategy<Value = (f64, f64, bool, Gap)> {
    (0.0f64..1.0, 0.0f64..1.0, prop::bool::weighted(0.9), gap())
}

/// Orders by the step before which they are given: pauses of some scope, and their ends.
fn orders() -> impl Strategy<Value = Vec<(usize, Order)>> {
    let scope = prop_oneof![Just("all"), Just("fleet:fleet:test"), Just("workload:w0")];
    let pause = (0usize..100, 1usize..20, scope, any::<bool>());
    prop::collection::vec(pause, 0..3).prop_map(|pauses| {
        let mut given: Vec<(usize, &str, Effect)> = Vec::new();
        for (from, steps, scope, is_of_scale_in) in pauses {
            let effect = if is_of_scale_in { Effect::PauseScaleIn } else { Effect::Pause };
            given.extend([(from, scope, effect), (from + steps, scope, Effect::Resume)]);
        }
        given.sort_by_key(|(step, ..)| *step);
        (0i64..).zip(given).map(|(nth, (step, scope, effect))| (step, order(scope, effect, nth))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Once the lead time has passed, the capacity is no less than what the use that was measured last demanded, as it is
    /// with the planner alone (there is the exemption of surges that may be over), unless an order held the increase.
    /// And whatever leaves less than what serves and than what is out, also what live use made the planner raise, is
    /// ruled on as any decrease: it keeps to the budgets, and comes neither while the fleet is gone nor under an order.
    #[test]
    fn capacity_is_never_below_the_floor_and_no_decrease_passes_the_governor(
        rules in followed_rules(), governor_rules in governor_rules(), step_s in prop_oneof![Just(60u32), Just(300)],
        lead_steps in 1usize..4, demands in prop::collection::vec(prop::array::uniform3(wanted()), 20..120),
        orders in orders(), silence in prop::option::of((8usize..60, 10usize..60)),
    ) {
        let mut rules = rules;
        rules.forecast.lead_time_s = lead_steps as u32 * step_s;
        // A dry run's plan goes on while what it asked for before is on its way, and may give up one resource for the
        // other meanwhile, which waits; what is carried out does not.
        let is_of_one_size = rules.sizing.mechanism == Some(Mechanism::Replicas) && rules.policy.chooser().is_none();
        rules.dry_run.simulated &= is_of_one_size;
        let is_capped = rules.guardrails.capped_from > 0.0;
        let is_silent = |member: usize, step: usize| {
            member > 0 && silence.is_some_and(|(from, steps)| (from..from + steps).contains(&step))
        };
        let mut run = ClosedLoop::new(&rules, &governor_rules, WORKLOADS);
        let mut wants = [(4.0f64, 10.0f64); WORKLOADS];
        let mut measured: Vec<Vec<Measured>> = vec![vec![Measured::default()]; WORKLOADS];
        for (step, demands) in demands.iter().enumerate() {
            let at_s = step as i64 * i64::from(step_s);
            let mut is_paused: Vec<bool> = (0..WORKLOADS).map(|member| run.is_paused(member)).collect();
            for (_, order) in orders.iter().filter(|(given, _)| *given == step) {
                run.give(at_s, order);
                is_paused.iter_mut().enumerate().for_each(|(member, is)| *is |= run.is_paused(member));
            }
            for (member, (cpu, memory, is_quiet, gap)) in demands.iter().enumerate() {
                let (cores, gib) = &mut wants[member];
                *cores = if *is_quiet { (*cores * (0.9 + 0.2 * cpu)).min(100.0) } else { 40.0 * cpu };
                *gib = (*gib * (0.95 + 0.1 * memory)).min(100.0);
                let serves = run.members[member].serves(at_s);
                let used = if is_capped { cores.min(serves.cpu_cores()) } else { *cores };
                let gap = if is_silent(member, step) { Gap::Sample } else { *gap };
                let mut newest = *measured[member].last().expect("one at least");
                // Whoever does not know the use cannot ask for what an order held.
                let goes_on = gap != Gap::None;
                newest.is_paused = is_paused[member] || goes_on && newest.is_paused;
                newest.is_misled = at_s < run.members[member].misled_until_s || goes_on && newest.is_misled;
                if gap.has_memory() {
                    newest.gib = *gib;
                }
                if gap != Gap::Sample {
                    let mut made = predicted(&format!("w{member}"), (at_s, step_s), (used, *gib), gap);
                    made.capacity = Some(serves);
                    let waits = run.predict(member, &made);
                    if gap.has_cpu() {
                        (newest.cores, newest.waits) = (used, waits);
                    }
                }
                measured[member].push(newest);
            }
        }

        for (member, measured) in run.members.iter().zip(&measured) {
            for (step, newest) in measured.iter().enumerate().skip(1) {
                let until = (step + lead_steps).min(measured.len() - 1);
                if newest.is_misled || measured[step..=until].iter().any(|newest| newest.is_paused) {
                    continue;
                }
                let has = member.serves((step - 1 + lead_steps) as i64 * i64::from(step_s));
                let floor = newest.cores / rules.guardrails.floor_utilisation;
                let is_enough = has.cpu_cores() >= floor * (1.0 - 1e-6);
                let what = format!("{} at step {}", member.name, step - 1);
                prop_assert!(is_enough || newest.waits, "{what}: {} cores of {floor}", has.cpu_cores());
                let memory = newest.gib * GIB / rules.guardrails.floor_utilisation;
                prop_assert!(has.memory_bytes() >= memory * (1.0 - 1e-6), "{what}: memory");
            }
        }

        let decreases: Vec<&LetOut> = run.let_out.iter().filter(|out| out.takes_away).collect();
        // Who is silent is gone after three steps or a bin and a step, and what is decided may be ruled on with the next bin.
        let gone = silence.map(|(from, steps)| {
            let [from_s, until_s] = [from, from + steps].map(|step| step as i64 * i64::from(step_s));
            (from_s + 1500, until_s - 900)
        });
        for LetOut { action, is_paused, .. } in &decreases {
            prop_assert_eq!(action.reasons.last().map(|why| &*why.rule), Some("governor.admitted"));
            prop_assert!(!is_paused, "an order held it: {action:?}");
            let at_s = seconds(action.decided_at);
            let is_gone = gone.is_some_and(|(from_s, until_s)| (from_s..until_s).contains(&at_s));
            prop_assert!(!is_gone, "two of three are gone: {action:?}");
        }
        let carried_out: Vec<&Action> =
            decreases.iter().map(|out| &out.action).filter(|action| !action.dry_run).collect();
        let known = WORKLOADS as u32;
        for last in &carried_out {
            let within = |s: i64| {
                let since = last.decided_at.plus_s(-s);
                carried_out.iter().filter(move |a| a.decided_at > since && a.decided_at <= last.decided_at)
            };
            let scale_ins = within(HOUR_S).count();
            prop_assert!(scale_ins <= governor_rules.scale_ins_max(known), "{scale_ins} scale-ins within an hour");
            let window_s = i64::from(governor_rules.changed_window_s);
            let changed = within(window_s).map(|action| &action.workload).collect::<BTreeSet<_>>().len();
            prop_assert!(changed <= governor_rules.changed_max(known), "{changed} changed within {window_s} s");
        }
    }
}

/// Dry runs of so many workloads that could have half of what they have, with each bin of so many hours; nobody follows
/// them. `before` is called before each bin, with its beginning in seconds.
fn dry_runs(workloads: usize, hours: i64, before: impl Fn(&mut ClosedLoop<'_>, i64)) -> (usize, Vec<Action>) {
    let mut rules = threshold_rules();
    rules.dry_run.simulated = true;
    let governor_rules = GovernorRules::default();
    let mut run = ClosedLoop::new(&rules, &governor_rules, workloads);
    for at_s in (0..hours * HOUR_S).step_by(300) {
        before(&mut run, at_s);
        for member in 0..workloads {
            run.predict(member, &predicted(&format!("w{member}"), (at_s, 300), (3.5, 10.0), Gap::None));
        }
    }
    (run.proposed, run.let_out.into_iter().map(|out| out.action).collect())
}

#[test]
fn a_dry_run_that_was_held_for_hours_is_proposed_a_few_times_and_comes_out_once() {
    let resumed_s = 12 * HOUR_S;
    let (proposed, out) = dry_runs(1, 24, |run, at_s| match at_s {
        0 => run.give(at_s, &order("all", Effect::Pause, 0)),
        _ if at_s == resumed_s => run.give(at_s, &order("all", Effect::Resume, 1)),
        _ => {}
    });
    assert!((3..=12).contains(&proposed), "{proposed} proposals within a day");
    let [out] = out.as_slice() else { panic!("it comes out once: {out:#?}") };
    let after_s = seconds(out.decided_at) - resumed_s;
    assert!((0..=4 * HOUR_S + 1800).contains(&after_s), "{after_s} s after the order was lifted");
    assert_eq!((out.desired.clone(), out.dry_run, out.verdict), (capacity(2), true, Verdict::ScaleIn));
}

#[test]
fn dry_runs_that_budgets_held_together_come_out_one_after_another() {
    let workloads = 40;
    let (proposed, out) = dry_runs(workloads, 12, |_, _| {});
    let of: BTreeSet<&WorkloadId> = out.iter().map(|action| &action.workload).collect();
    assert_eq!((of.len(), out.len()), (workloads, workloads), "each once");
    assert!(proposed <= 9 * workloads, "{proposed} proposals");
}

/// Whether live use demanded it from the beginning, or what a forecast had wanted.
#[test]
fn a_workload_that_came_short_under_a_pause_gets_more_with_the_resume() {
    let out_with_the_resume = |used: &[f64]| -> Vec<(i64, u32)> {
        let (rules, governor_rules) = (threshold_rules(), GovernorRules::default());
        let mut run = ClosedLoop::new(&rules, &governor_rules, 1);
        run.give(0, &order("all", Effect::Pause, 0));
        for (step, used) in (0i64..).zip(used) {
            let mut made = predicted("w0", (120 * step, 120), (10.0, 10.0), Gap::None);
            made.resources[0].last = Some(*used);
            run.predict(0, &made);
        }
        assert!(run.let_out.is_empty(), "nothing changes under a pause");
        run.give(120 * used.len() as i64, &order("all", Effect::Resume, 1));
        run.let_out.iter().map(|out| (seconds(out.action.decided_at), out.action.desired.replicas)).collect()
    };
    assert_eq!(out_with_the_resume(&[7.7; 4]), [(0, 6)]);
    assert_eq!(out_with_the_resume(&[4.0, 4.0, 7.7, 7.7]), [(240, 6)], "the forecast alone was not kept");
    assert_eq!(out_with_the_resume(&[4.0; 4]), [], "its planner asks for it again when it is void");
}

/// It had raised a decrease that was out: without it that alone would come, and be below live use.
#[test]
fn an_order_that_stops_decreases_leaves_what_live_use_demanded() {
    let (mut rules, governor_rules) = (threshold_rules(), GovernorRules::default());
    rules.forecast.lead_time_s = 600;
    let mut run = ClosedLoop::new(&rules, &governor_rules, 1);
    for (step, used) in (0i64..).zip([3.5, 3.5, 5.2, 5.2]) {
        let at_s = 300 * step;
        if at_s == 900 {
            run.give(at_s, &order("all", Effect::PauseScaleIn, 0));
        }
        let mut made = predicted("w0", (at_s, 300), (used, 10.0), Gap::None);
        made.capacity = Some(run.members[0].serves(at_s));
        run.predict(0, &made);
    }
    let out = run.let_out.iter().map(|out| (seconds(out.action.decided_at), out.action.desired.replicas));
    assert_eq!(out.collect::<Vec<_>>(), [(0, 2), (600, 3)]);
    assert_eq!([600, 1200].map(|at_s| run.members[0].serves(at_s).replicas), [2, 3]);
}
