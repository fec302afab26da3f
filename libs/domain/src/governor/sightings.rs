//! What one partition of the planner sees of its part of each fleet, and when it says so.
//!
//! A view is told of a bin once: when all workloads that had reported in the bin before have reported in
//! it, or else with the fleet's first record of a later bin. Whoever is well reports at the close of each bin at the
//! latest, whatever its sampling step; what was measured between two reports counts for its KPIs.

use super::View;
use crate::forecast::GRID_STEP_S;
use crate::kpi::KpiName;
use crate::prediction::Prediction;
use crate::slots::Slots;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// A workload is known for so long after its last report, in seconds, or for so many of its steps.
const KNOWN_S: i64 = 3600;
const KNOWN_STEPS: i64 = 36;
/// It is present for a bin and a step, as the last samples of two bins may lie so far apart, or for so many of its steps.
const PRESENT_STEPS: i64 = 3;
/// A KPI without a value for so long, or for so many steps, is lost.
const LOST_S: i64 = 600;
const LOST_STEPS: i64 = 4;
/// A lost KPI is remembered for so long, in seconds.
const KPI_REMEMBERED_S: i64 = 86_400;

/// The fleets of one partition.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Sightings(BTreeMap<WorkloadId, Sighted>);

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Sighted {
    bin: i64,
    newest_at: EventTime,
    is_told: bool,
    /// Workloads that reported in the bin before and have not in this one.
    due: u32,
    workloads: Slots<Seen>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Seen {
    at: EventTime,
    step_s: u32,
    /// By KPI the instant of its newest value.
    kpis: Vec<(KpiName, EventTime)>,
}

impl Sightings {
    /// Before a prediction is decided on that came as of `as_of`: the view of the bin before, where that ends with it.
    pub fn before(&mut self, fleet: &WorkloadId, partition: u32, as_of: EventTime) -> Option<View> {
        let bin = as_of.bin(GRID_STEP_S);
        let Some(sighted) = self.0.get_mut(fleet) else {
            let new = Sighted { bin, newest_at: as_of, is_told: false, due: 0, workloads: Slots::default() };
            self.0.insert(fleet.clone(), new);
            return None;
        };
        if bin <= sighted.bin {
            return None;
        }
        let view = sighted.tell(partition, as_of);
        let reported_before = |seen: &&Seen| seen.at.bin(GRID_STEP_S) == bin - 1;
        sighted.due = sighted.workloads.values().filter(reported_before).count() as u32;
        (sighted.bin, sighted.newest_at, sighted.is_told) = (bin, as_of, false);
        view
    }

    /// After it: takes the workload's report in, and gives the view of the bin where that is complete now.
    pub fn after(
        &mut self,
        fleet: &WorkloadId,
        partition: u32,
        (prediction, as_of): (&Prediction, EventTime),
    ) -> Option<View> {
        let sighted = self.0.get_mut(fleet)?;
        let bin_before = sighted.see(prediction).map(|at| at.bin(GRID_STEP_S));
        let (bin, open) = (prediction.made_at.bin(GRID_STEP_S), sighted.bin);
        sighted.newest_at = sighted.newest_at.max(as_of);
        if bin == open - 1 && bin_before != Some(bin) {
            // It reported late in the bin before, and is waited for in this one as well.
            sighted.due += 1;
        }
        let is_awaited = bin == open && bin_before == Some(open - 1) && sighted.due > 0;
        if !is_awaited {
            return None;
        }
        sighted.due -= 1;
        if sighted.due == 0 { sighted.tell(partition, as_of) } else { None }
    }
}

impl Sighted {
    /// Takes a report in; gives the instant of the one before.
    fn see(&mut self, prediction: &Prediction) -> Option<EventTime> {
        let at = prediction.made_at;
        let new = || Seen { at, step_s: prediction.step_s, kpis: Vec::new() };
        let before = self.workloads.get(&prediction.workload).map(|seen| seen.at);
        let seen = self.workloads.get_or_insert_with(&prediction.workload, new);
        (seen.at, seen.step_s) = (seen.at.max(at), prediction.step_s);
        for moment in prediction.moments() {
            for (resource, _) in moment.demands().filter(|(_, demand)| demand.is_some()) {
                seen.measured(&resource.resource, moment.at());
            }
        }
        before
    }

    /// The view of the open bin, if it is not told yet. Forgets who was silent for too long.
    fn tell(&mut self, partition: u32, told_at: EventTime) -> Option<View> {
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let now = self.newest_at;
        self.workloads.retain(|_, seen| seen.age_s(now) <= seen.within_s(KNOWN_S, KNOWN_STEPS));
        let told_at = told_at.max(now);
        let mut view = View { partition, at: now, told_at, known: 0, present: 0, lost_kpi: 0, step_s: 1 };
        for seen in self.workloads.values_mut() {
            seen.kpis.retain(|(_, newest)| age_s(*newest, now) <= KPI_REMEMBERED_S);
            view.known += 1;
            if seen.age_s(now) < seen.present_s() {
                view.present += 1;
                view.lost_kpi += u32::from(seen.has_lost_a_kpi());
                view.step_s = view.step_s.max(seen.step_s);
            }
        }
        Some(view)
    }
}

impl Seen {
    fn age_s(&self, now: EventTime) -> i64 {
        age_s(self.at, now)
    }

    fn within_s(&self, seconds: i64, steps: i64) -> i64 {
        seconds.max(steps * i64::from(self.step_s))
    }

    fn present_s(&self) -> i64 {
        self.within_s(i64::from(GRID_STEP_S) + i64::from(self.step_s), PRESENT_STEPS)
    }

    /// A KPI has a value of that instant.
    fn measured(&mut self, kpi: &KpiName, at: EventTime) {
        match self.kpis.iter_mut().find(|(name, _)| name == kpi) {
            Some((_, newest)) => *newest = at.max(*newest),
            None => {
                self.kpis.reserve_exact(1);
                self.kpis.push((kpi.clone(), at));
            }
        }
    }

    fn has_lost_a_kpi(&self) -> bool {
        let lost_s = self.within_s(LOST_S, LOST_STEPS);
        self.kpis.iter().any(|(_, newest)| age_s(*newest, self.at) > lost_s)
    }
}

fn age_s(at: EventTime, now: EventTime) -> i64 {
    (now.as_ms() - at.as_ms()) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::MEMORY_BYTES;
    use crate::policy::fixtures::{prediction, workload};
    use crate::prediction::Reading;

    fn hear(sightings: &mut Sightings, p: &Prediction) -> Vec<View> {
        hear_as_of(sightings, p, p.made_at)
    }

    fn hear_as_of(sightings: &mut Sightings, p: &Prediction, as_of: EventTime) -> Vec<View> {
        let fleet = workload("demo");
        let before = sightings.before(&fleet, 3, as_of);
        before.into_iter().chain(sightings.after(&fleet, 3, (p, as_of))).collect()
    }

    fn report(sightings: &mut Sightings, name: &str, at_s: i64) -> Vec<View> {
        hear(sightings, &prediction(name, at_s, 1.0, 1.0, 1))
    }

    #[test]
    fn a_view_comes_once_a_bin_as_soon_as_all_have_reported() {
        let mut sightings = Sightings::default();
        assert_eq!(report(&mut sightings, "a", 0), []);
        assert_eq!(report(&mut sightings, "b", 0), []);
        let first = report(&mut sightings, "a", 300);
        assert_eq!(first.iter().map(|v| (v.known, v.present, v.at.as_ms())).collect::<Vec<_>>(), [(2, 2, 0)]);
        let second = report(&mut sightings, "b", 310);
        assert_eq!(
            second.iter().map(|v| (v.present, v.partition, v.at.as_ms())).collect::<Vec<_>>(),
            [(2, 3, 310_000)]
        );
        assert_eq!(report(&mut sightings, "a", 360), []);
        assert_eq!(report(&mut sightings, "a", 600), [], "the second bin is told of, the third waits for b");
        let late = report(&mut sightings, "a", 900);
        assert_eq!(late.iter().map(|v| (v.known, v.present)).collect::<Vec<_>>(), [(2, 2), (2, 1)], "{late:?}");
    }

    #[test]
    fn who_is_silent_for_an_hour_is_not_known_any_more() {
        let mut sightings = Sightings::default();
        report(&mut sightings, "gone", 0);
        let views: Vec<View> = (0..=13).flat_map(|bin| report(&mut sightings, "a", 60 + 300 * bin)).collect();
        let known: Vec<u32> = views.iter().map(|v| v.known).collect();
        assert_eq!(known[known.len() - 4..], [2, 2, 1, 1], "{known:?}");
        assert_eq!(views.last().map(|v| (v.present, v.lost_kpi, v.step_s)), Some((1, 0, 60)));
    }

    #[test]
    fn a_kpi_that_stopped_while_its_workload_goes_on_is_lost_for_a_day() {
        let mut sightings = Sightings::default();
        let lost = |sightings: &mut Sightings, at_s: i64| {
            let mut p = prediction("a", at_s, 1.0, 1.0, 1);
            p.resources.retain(|r| r.resource.as_str() != MEMORY_BYTES);
            hear(sightings, &p).last().map_or(0, |view| view.lost_kpi)
        };
        report(&mut sightings, "a", 0);
        assert_eq!((lost(&mut sightings, 300), lost(&mut sightings, 600)), (0, 0));
        assert_eq!((lost(&mut sightings, 900), lost(&mut sightings, 1200)), (1, 1));
        let mut last = 0;
        for bin in 5..=290 {
            last = lost(&mut sightings, 300 * bin);
        }
        assert_eq!(last, 0, "after a day it counts as never had");
    }

    /// Samples come every minute and predictions at the close of each bin.
    #[test]
    fn who_reports_at_the_close_of_each_bin_is_present_until_a_close_is_missed_by_a_step() {
        let mut sightings = Sightings::default();
        for bin in 0..3 {
            report(&mut sightings, "early", 300 * bin + 240);
            report(&mut sightings, "late", 300 * bin + 299);
        }
        // The bin's last report is overtaken by the first of the next bin.
        assert_eq!(report(&mut sightings, "early", 900 + 240), []);
        assert_eq!(report(&mut sightings, "other", 900 + 299), []);
        let told = report(&mut sightings, "early", 1200);
        assert_eq!(told.iter().map(|v| (v.known, v.present)).collect::<Vec<_>>(), [(3, 3)], "{told:?}");
        assert_eq!(report(&mut sightings, "early", 1440), []);
        let told = report(&mut sightings, "other", 1499);
        assert_eq!(told.iter().map(|v| (v.known, v.present)).collect::<Vec<_>>(), [(3, 2)], "{told:?}");
    }

    #[test]
    fn a_report_that_waited_behind_a_gap_is_of_the_bin_in_which_its_turn_came() {
        let mut sightings = Sightings::default();
        for name in ["a", "b"] {
            report(&mut sightings, name, 240);
        }
        assert_eq!(report(&mut sightings, "a", 540).len(), 1);
        let waited = prediction("b", 540, 1.0, 1.0, 1);
        let told = hear_as_of(&mut sightings, &waited, EventTime::from_s(660));
        let seen = |views: &[View]| views.iter().map(|v| (v.present, v.told_at.as_ms() / 1000)).collect::<Vec<_>>();
        assert_eq!(seen(&told), [(2, 660)], "it is there, since it was lately");
        assert_eq!(report(&mut sightings, "a", 840), [], "b is waited for");
        assert_eq!(seen(&report(&mut sightings, "b", 840)), [(2, 840)]);
    }

    #[test]
    fn a_kpi_that_was_measured_between_two_reports_is_not_lost() {
        let at_close = |at_s: i64, gib: Option<f64>| {
            let mut p = prediction("a", at_s, 1.0, 1.0, 1);
            p.resources[1].last = None;
            let (at, resources) = (EventTime::from_s(at_s - 120), vec![Some(1.0), gib]);
            p.earlier = vec![Reading { at, resources, signals: Vec::new() }];
            p
        };
        let mut sightings = Sightings::default();
        let mut lost = |gib: Option<f64>| {
            let views: Vec<View> = (1..12).flat_map(|bin| hear(&mut sightings, &at_close(300 * bin, gib))).collect();
            sightings = Sightings::default();
            views.iter().map(|view| view.lost_kpi).max()
        };
        assert_eq!(lost(Some(1.0)), Some(0));
        assert_eq!(lost(None), Some(0), "it never had any");
        report(&mut sightings, "a", 0);
        let views: Vec<View> = (1..4).flat_map(|bin| hear(&mut sightings, &at_close(300 * bin, None))).collect();
        assert_eq!(views.last().map(|view| view.lost_kpi), Some(1), "no value for 900 s");
    }
}
