//! What must hold of the governor, whatever planners propose and in whatever order partitions come.

use super::core::Governor;
use super::fixtures::*;
use super::orders::Effect;
use super::ruling::Ruling;
use super::{Order, Proposal, View};
use crate::action::Verdict;
use crate::time::EventTime;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is proposed in a bin, by workload, whether each grows, is urgent, is a dry run; and who is there.
type DrawnBin = (Vec<(u8, bool, bool, bool)>, u32);

const KNOWN: u32 = 20;
const BINS: i64 = 16;

#[derive(Clone, Debug)]
enum Event {
    /// As of when it comes.
    Proposal(Proposal, EventTime),
    View(View),
}

impl Event {
    /// The bin in which it comes.
    fn bin(&self) -> i64 {
        let as_of = match self {
            Self::Proposal(_, as_of) => as_of,
            Self::View(view) => &view.told_at,
        };
        as_of.bin(300)
    }

    fn coming_in(self, bin: i64) -> Self {
        let as_of = EventTime::from_s(300 * bin);
        match self {
            Self::Proposal(proposal, _) => Self::Proposal(proposal, as_of),
            Self::View(view) => Self::View(View { told_at: as_of, ..view }),
        }
    }
}

/// By partition and bin.
type Drawn = Vec<Vec<DrawnBin>>;

fn drawn() -> impl Strategy<Value = Drawn> {
    let one = (0u8..10, any::<bool>(), prop::bool::weighted(0.2), any::<bool>());
    let there = prop_oneof![9 => Just(KNOWN / 2), 1 => 0..=KNOWN / 2];
    let bin = (prop::collection::vec(one, 0..4), there);
    prop::collection::vec(prop::collection::vec(bin, BINS as usize), PARTITIONS as usize)
}

/// The events of each partition; where names are `split`, who grows never shrinks, so that nothing is overtaken.
fn streams(drawn: &Drawn, split: bool) -> Vec<Vec<Event>> {
    let of_partition = |(partition, bins): (usize, &Vec<DrawnBin>)| {
        let partition = partition as u32;
        let mut events = Vec::new();
        for (bin, (proposals, present)) in (0i64..).zip(bins) {
            for (i, (workload, grows, urgent, dry)) in (0i64..).zip(proposals) {
                let grows = *urgent || *grows;
                let name = format!("{}-{partition}-{workload}", if grows && split { "busy" } else { "idle" });
                let mut made = proposal(partition, &name, (bin, 10 + 10 * i), grows);
                (made.demanded, made.action.dry_run) = (*urgent, *dry);
                let as_of = made.action.decided_at;
                events.push(Event::Proposal(made, as_of));
            }
            events.push(Event::View(view(partition, bin, KNOWN / 2, *present)));
        }
        events
    };
    drawn.iter().enumerate().map(of_partition).collect()
}

/// The stream where what `picks` choose comes in the bin after its own, as it does behind a gap, a view before the rest.
fn waiting(events: Vec<Event>, picks: &mut impl Iterator<Item = bool>) -> Vec<Event> {
    let (mut all, mut held): (Vec<Event>, Vec<Event>) = (Vec::new(), Vec::new());
    let mut newest = i64::MIN;
    for event in events {
        let bin = event.bin();
        if bin > newest {
            newest = bin;
            held.sort_by_key(|event| matches!(event, Event::Proposal(..)));
            all.extend(held.drain(..).map(|event| event.coming_in(bin)));
        }
        if picks.next() == Some(true) { held.push(event) } else { all.push(event) }
    }
    all
}

/// The streams as one, in an order that `picks` choose; none is behind by more than so many bins.
fn interleaved(streams: &[Vec<Event>], picks: &[bool], behind_bins_max: i64) -> Vec<Event> {
    let mut left: Vec<_> = streams.iter().map(|events| events.iter().cloned().peekable()).collect();
    let mut picks = picks.iter().cycle();
    let mut all = Vec::new();
    loop {
        let bins: Vec<Option<i64>> = left.iter_mut().map(|events| events.peek().map(Event::bin)).collect();
        let Some(least) = bins.iter().flatten().min().copied() else { return all };
        let may: Vec<usize> =
            (0..bins.len()).filter(|i| bins[*i].is_some_and(|bin| bin <= least + behind_bins_max)).collect();
        let picked = if picks.next() == Some(&true) { may[0] } else { may[may.len() - 1] };
        all.extend(left[picked].next());
    }
}

fn heard(court: &mut Court, event: &Event) -> Vec<Ruling<String>> {
    match event.clone() {
        Event::Proposal(proposal, as_of) => court.propose_as_of(proposal, as_of),
        Event::View(view) => court.view(view),
    }
}

fn story(events: &[Event]) -> Vec<Ruling<String>> {
    let mut court = Court::new();
    events.iter().flat_map(|event| heard(&mut court, event)).collect()
}

fn key(ruling: &Ruling<String>) -> (String, EventTime) {
    match ruling {
        Ruling::Admitted { tag, action } => (tag.clone(), action.decided_at),
        Ruling::Held { tag, decided_at, .. } => (tag.clone(), *decided_at),
        Ruling::Released(action) | Ruling::Withdrawn(action) => (action.workload.to_string(), action.decided_at),
    }
}

fn grows(ruling: &Ruling<String>) -> bool {
    key(ruling).0.starts_with("busy")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rulings_do_not_depend_on_how_partitions_interleave(
        drawn in drawn(), one in prop::collection::vec(any::<bool>(), 1..60), other in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let streams = streams(&drawn, true);
        let sorted = |picks: &[bool]| {
            let mut rulings = story(&interleaved(&streams, picks, 2));
            rulings.sort_by_key(key);
            rulings
        };
        let (a, b) = (sorted(&one), sorted(&other));
        // What the last bins wait for had not come.
        let over = EventTime::from_s((BINS - 4) * 300);
        let until = |rulings: Vec<Ruling<String>>| rulings.into_iter().filter(|r| key(r).1 < over).collect::<Vec<_>>();
        prop_assert_eq!(until(a), until(b));
    }

    /// As for the generated fleet while it writes its history.
    #[test]
    fn in_lock_step_bin_by_bin_rulings_are_the_same_whatever_is_overtaken(
        drawn in drawn(), one in prop::collection::vec(any::<bool>(), 1..60), other in prop::collection::vec(any::<bool>(), 1..60),
        waits in prop::collection::vec(prop::bool::weighted(0.2), 1..60),
    ) {
        let mut waits = waits.into_iter().cycle();
        let streams: Vec<_> = streams(&drawn, false).into_iter().map(|events| waiting(events, &mut waits)).collect();
        let sorted = |picks: &[bool]| {
            let mut rulings = story(&interleaved(&streams, picks, 0));
            rulings.sort_by_key(key);
            rulings
        };
        prop_assert_eq!(sorted(&one), sorted(&other));
    }

    #[test]
    fn an_increase_goes_out_at_once_unless_it_stands(drawn in drawn(), picks in prop::collection::vec(any::<bool>(), 1..60)) {
        let mut court = Court::new();
        for event in interleaved(&streams(&drawn, true), &picks, 2) {
            let rulings = heard(&mut court, &event);
            let Event::Proposal(Proposal { action, .. }, _) = &event else { continue };
            if action.verdict == Verdict::ScaleOut {
                let stands = |why: &crate::action::Reason| &*why.rule == "governor.stands";
                let is_ruled_on = match rulings.last() {
                    Some(Ruling::Admitted { action: out, .. }) => out.decided_at == action.decided_at && out.desired == action.desired,
                    Some(Ruling::Held { decided_at, why, .. }) => *decided_at == action.decided_at && stands(why),
                    _ => false,
                };
                prop_assert!(is_ruled_on, "{:?}", rulings);
            }
        }
    }

    #[test]
    fn no_window_holds_more_than_its_budget(drawn in drawn(), picks in prop::collection::vec(any::<bool>(), 1..60)) {
        let rulings = story(&interleaved(&streams(&drawn, true), &picks, 2));
        let rules = super::GovernorRules::default();
        for dry_run in [false, true] {
            let admitted: Vec<_> = rulings.iter().filter_map(|ruling| match ruling {
                Ruling::Admitted { action, .. } if action.dry_run == dry_run && !grows(ruling) => Some(action),
                _ => None,
            }).collect();
            for last in admitted.iter().filter(|a| a.verdict == Verdict::ScaleIn) {
                let within = |s: i64| admitted.iter().filter(move |a| a.decided_at <= last.decided_at && a.decided_at > last.decided_at.plus_s(-s));
                let scale_ins = within(3600).filter(|a| a.verdict == Verdict::ScaleIn).count();
                prop_assert!(scale_ins <= rules.scale_ins_max(KNOWN), "{} scale-ins", scale_ins);
                let changed = within(600).map(|a| &a.workload).collect::<BTreeSet<_>>().len();
                prop_assert!(changed <= rules.changed_max(KNOWN), "{} changed", changed);
            }
        }
    }

    #[test]
    fn nothing_shrinks_while_most_of_the_fleet_is_gone(drawn in drawn(), picks in prop::collection::vec(any::<bool>(), 1..60)) {
        let mut drawn = drawn;
        drawn.iter_mut().flatten().for_each(|(_, present)| *present = 3);
        let rulings = story(&interleaved(&streams(&drawn, true), &picks, 2));
        let shrinks = |r: &Ruling<String>| matches!(r, Ruling::Admitted { action, .. } if action.verdict == Verdict::ScaleIn);
        prop_assert!(!rulings.iter().any(shrinks));
    }

    #[test]
    fn a_kept_state_goes_on_as_if_never_stopped(
        drawn in drawn(), picks in prop::collection::vec(any::<bool>(), 1..60), cut in any::<prop::sample::Index>(), pause in any::<bool>(),
    ) {
        let events = interleaved(&streams(&drawn, true), &picks, 2);
        let cut = cut.index(events.len());
        let play = |restarts: bool| {
            let (mut court, mut rulings) = (Court::new(), Vec::new());
            for (i, event) in events.iter().enumerate() {
                if i == cut && pause {
                    rulings.extend(court.order(&order("fleet:demo", Effect::PauseScaleIn, 1)));
                }
                if i == cut && restarts {
                    court.governor = bitcode::decode(&bitcode::encode(&court.governor)).expect("a state decodes");
                }
                rulings.extend(heard(&mut court, event));
            }
            (rulings, court.governor)
        };
        prop_assert_eq!(play(true), play(false));
    }

    /// Whoever lost everything and hears the repetitions alone, in any order and beside older ones, has the same
    /// orders stand.
    #[test]
    fn orders_survive_by_their_repetition(
        given in prop::collection::vec((0usize..3, 0usize..3), 1..12), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let scopes = ["all", "fleet:demo", "workload:web"];
        let effects = [Effect::Pause, Effect::PauseScaleIn, Effect::Resume];
        let orders: Vec<Order> =
            (0i64..).zip(&given).map(|(at, (scope, effect))| order(scopes[*scope], effects[*effect], at)).collect();
        let mut kept = Governor::<String>::default();
        orders.iter().for_each(|order| { kept.order(order); });
        let newest: BTreeMap<_, _> = orders.iter().map(|order| (order.scope.clone(), order.clone())).collect();
        let standing: Vec<Order> = newest.into_values().filter(|order| order.effect != Effect::Resume).collect();
        prop_assert_eq!(kept.standing().cloned().collect::<Vec<_>>(), standing.clone());
        for pick in &picks {
            let old = pick.get(&orders);
            kept.order(&Order { is_repetition: true, ..old.clone() });
        }
        prop_assert_eq!(kept.standing().cloned().collect::<Vec<_>>(), standing.clone());
        let mut lost = Governor::<String>::default();
        for order in standing.iter().rev() {
            lost.order(&Order { is_repetition: true, ..order.clone() });
        }
        prop_assert_eq!(lost.standing().cloned().collect::<Vec<_>>(), standing);
    }
}
