//! What a workload does not say any more: of its KPIs one that it had, or anything at all.
//!
//! Whether somebody is silent is asked by the clock of others: of its source, or of a source that has kept step with its
//! own. How long it is usually silent is learnt, so that who comes and goes raises no alarm.

use super::rules::AlarmRules;
use super::watch::TOLD_AGAIN_BINS;
use super::{BLAMED_LOST_MAX, MISSING_DATA};
use crate::kpi::KpiName;
use bitcode::{Decode, Encode};

/// Only who was there for so many bins, a day, can be missed.
const KNOWN_BINS: i64 = 288;

/// Missed is who is silent for more than so many times as long as it usually is.
const USUAL_TIMES: f64 = 3.0;

/// How long somebody usually is silent is forgotten over so many bins, a week.
const FORGOTTEN_BINS: f64 = 2016.0;

/// Who is missed for so many bins, a day, is gone for good, and missed no longer.
const GONE_BINS: i64 = 288;

/// KPIs of a workload that are listened to; more of them are not missed.
const KPIS_MAX: usize = 16;

/// When something was heard of, in bins.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Heard {
    first: i64,
    newest: i64,
    /// The longest that it was silent lately, in its steps.
    silent: f32,
    /// It was missed for so long that it is taken to be gone.
    is_gone: bool,
}

impl Heard {
    fn new(bin: i64) -> Self {
        Self { first: bin, newest: bin, silent: 0.0, is_gone: false }
    }

    /// So many missed steps are not ordinary.
    fn bar(&self, rules: &AlarmRules) -> f64 {
        f64::from(rules.silent_bins).max(USUAL_TIMES * f64::from(self.silent))
    }

    /// Steps without it before a bin.
    fn missed(&self, bin: i64, step_bins: i64) -> i64 {
        (bin - self.newest - 1).max(0) / step_bins
    }

    fn is_missed(&self, rules: &AlarmRules, bin: i64, step_bins: i64) -> bool {
        let is_known = self.newest - self.first >= KNOWN_BINS && !self.is_gone;
        rules.silent_bins > 0 && is_known && self.missed(bin, step_bins) as f64 >= self.bar(rules)
    }

    /// Hears it. Of a silence that was not ordinary no more is learnt than what would not have been.
    fn hear(&mut self, rules: &AlarmRules, bin: i64, step_bins: i64) {
        let passed = (bin - self.newest).max(0) as f64;
        let missed = (self.missed(bin, step_bins) as f64).min(self.bar(rules));
        let usual = f64::from(self.silent) * libm::exp(-passed / FORGOTTEN_BINS);
        self.silent = usual.max(missed) as f32;
        self.newest = self.newest.max(bin);
        if std::mem::take(&mut self.is_gone) {
            self.first = bin;
        }
    }
}

/// What a workload is heard of.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Presence {
    all: Heard,
    step_bins: i64,
    kpis: Vec<(KpiName, Heard)>,
    missed: Option<Box<Missed>>,
}

/// Something that is missed.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Missed {
    from: i64,
    told: i64,
    kpis: Vec<KpiName>,
}

/// What is to be told of something that is missed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToldMissed {
    /// The first bin without it.
    pub(super) from_bin: i64,
    /// The first bin with it again; `None` while it is missed.
    pub(super) until_bin: Option<i64>,
    /// [`MISSING_DATA`], then the KPIs that are missed, where it is not the whole workload.
    pub(super) kpis: Vec<KpiName>,
    /// Bins before it in which it was there.
    pub(super) known_bins: i64,
}

impl Presence {
    /// Of a workload that is heard of for the first time.
    pub(super) fn new(bin: i64, step_bins: i64) -> Self {
        Self { all: Heard::new(bin), step_bins, kpis: Vec::new(), missed: None }
    }

    /// Hears of the workload, with each KPI that it is known to have, and whether that has a value. What is to be told.
    pub(super) fn hear<'a>(
        &mut self,
        rules: &AlarmRules,
        (bin, step_bins): (i64, i64),
        said: impl Iterator<Item = (&'a KpiName, bool)>,
    ) -> Option<ToldMissed> {
        self.step_bins = step_bins;
        self.all.hear(rules, bin, step_bins);
        for (kpi, _) in said.filter(|(_, has_value)| *has_value) {
            let has_room = self.kpis.len() < KPIS_MAX;
            match self.kpis.iter_mut().find(|(known, _)| known == kpi) {
                Some((_, heard)) => heard.hear(rules, bin, step_bins),
                None if has_room => self.kpis.push((kpi.clone(), Heard::new(bin))),
                None => {}
            }
        }
        // Who is gone for good is forgotten, so that room is for others.
        self.kpis.retain(|(_, heard)| bin - heard.newest <= GONE_BINS);
        // This bin counts: the KPI was asked for in it.
        let is_missed = |heard: &Heard| heard.newest < bin && heard.is_missed(rules, bin + 1, step_bins);
        let missed = self.kpis.iter().filter(|(_, heard)| is_missed(heard));
        let newest = missed.clone().map(|(_, heard)| heard.newest).min();
        let kpis = missed.map(|(kpi, _)| kpi.clone()).take(BLAMED_LOST_MAX).collect();
        self.tell(bin, newest, kpis)
    }

    /// Hears of others at a bin, which lets the workload be missed. What is to be told.
    pub(super) fn hear_others(&mut self, rules: &AlarmRules, bin: i64) -> Option<ToldMissed> {
        if !self.all.is_missed(rules, bin, self.step_bins) {
            return None;
        }
        self.tell(bin, Some(self.all.newest), Vec::new())
    }

    /// What is told of what is missed at a bin, last heard of at `newest`, `None` for nothing.
    fn tell(&mut self, bin: i64, newest: Option<i64>, kpis: Vec<KpiName>) -> Option<ToldMissed> {
        let Some(newest) = newest else {
            let missed = self.missed.take()?;
            return Some(self.told(&missed, Some(bin)));
        };
        if let Some(mut missed) = self.missed.take() {
            if bin - newest > GONE_BINS {
                self.all.is_gone = true;
                return Some(self.told(&missed, Some(bin)));
            }
            let is_due = bin - missed.told >= TOLD_AGAIN_BINS;
            if is_due {
                missed.told = bin;
            }
            let told = is_due.then(|| self.told(&missed, None));
            self.missed = Some(missed);
            return told;
        }
        let missed = Missed { from: newest + self.step_bins, told: bin, kpis };
        let told = self.told(&missed, None);
        self.missed = Some(Box::new(missed));
        Some(told)
    }

    /// What is told of a workload that nobody asks about any more.
    pub(super) fn abandon(&mut self) -> Option<ToldMissed> {
        let missed = self.missed.take()?;
        Some(self.told(&missed, Some(missed.from.max(missed.told))))
    }

    fn told(&self, missed: &Missed, until_bin: Option<i64>) -> ToldMissed {
        let mut kpis = vec![KpiName::new(MISSING_DATA)];
        kpis.extend(missed.kpis.iter().cloned());
        ToldMissed { from_bin: missed.from, until_bin, kpis, known_bins: (missed.from - self.all.first).max(1) }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let missed = self
            .missed
            .as_ref()
            .map_or(0, |missed| size_of::<Missed>() + missed.kpis.capacity() * size_of::<KpiName>());
        self.kpis.capacity() * size_of::<(KpiName, Heard)>() + missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{CPU_CORES_USED, LATENCY_MS};
    use proptest::prelude::*;

    const DAY: i64 = 288;

    fn hear(presence: &mut Presence, bin: i64, has_latency: bool) -> Option<ToldMissed> {
        let (cpu, latency) = (KpiName::new(CPU_CORES_USED), KpiName::new(LATENCY_MS));
        presence.hear(&AlarmRules::default(), (bin, 1), [(&cpu, true), (&latency, has_latency)].into_iter())
    }

    /// A workload that was there for two days.
    fn known() -> Presence {
        let mut presence = Presence::new(0, 1);
        assert!((0..2 * DAY).all(|bin| hear(&mut presence, bin, true).is_none()));
        presence
    }

    #[test]
    fn who_falls_silent_is_missed_until_it_is_back_and_told_of_each_hour() {
        let (rules, mut presence) = (AlarmRules::default(), known());
        let last = 2 * DAY - 1;
        let mut told: Vec<(i64, ToldMissed)> = Vec::new();
        for bin in 2 * DAY..2 * DAY + 20 {
            told.extend(presence.hear_others(&rules, bin).map(|missed| (bin, missed)));
        }
        let bins: Vec<i64> = told.iter().map(|(bin, _)| *bin - last).collect();
        assert_eq!(bins, [7, 19], "six bins have passed without it");
        assert_eq!((told[0].1.from_bin, told[0].1.until_bin), (2 * DAY, None));
        assert_eq!(told[0].1.kpis, [KpiName::new(MISSING_DATA)]);
        let back = hear(&mut presence, 2 * DAY + 20, true).expect("it is back");
        assert_eq!((back.from_bin, back.until_bin), (2 * DAY, Some(2 * DAY + 20)));
        assert_eq!(hear(&mut presence, 2 * DAY + 21, true), None);
    }

    #[test]
    fn a_kpi_that_vanishes_is_named_and_who_is_young_or_often_silent_is_not_missed() {
        let mut presence = known();
        let told: Vec<(i64, ToldMissed)> =
            (2 * DAY..2 * DAY + 10).filter_map(|bin| Some((bin, hear(&mut presence, bin, false)?))).collect();
        let [(bin, missed)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((*bin, missed.from_bin), (2 * DAY + 5, 2 * DAY));
        assert_eq!(missed.kpis, [KpiName::new(MISSING_DATA), KpiName::new(LATENCY_MS)]);
        let rules = AlarmRules::default();
        let mut young = Presence::new(0, 1);
        hear(&mut young, 1, true);
        assert_eq!(young.hear_others(&rules, 100), None);
        let mut seldom = Presence::new(0, 1);
        for bin in (0..3 * DAY).step_by(10) {
            hear(&mut seldom, bin, true);
            assert!((0..10).all(|after| seldom.hear_others(&rules, bin + after).is_none()));
        }
    }

    #[test]
    fn kpis_that_are_gone_for_good_end_as_one_and_so_does_a_workload_that_comes_back_without_them() {
        let names: Vec<KpiName> = (0..5).map(|i| KpiName::new(format!("kpi_{i}").as_str())).collect();
        let rules = AlarmRules::default();
        let mut presence = Presence::new(0, 1);
        let mut hear = |bin: i64, with: usize| {
            let said = names.iter().enumerate().map(|(i, name)| (name, i < with));
            presence.hear(&rules, (bin, 1), said)
        };
        assert!((0..2 * DAY).all(|bin| hear(bin, 5).is_none()));
        let told: Vec<ToldMissed> = (2 * DAY..9 * DAY).filter_map(|bin| hear(bin, 1)).collect();
        assert!(told.iter().all(|told| told.from_bin == 2 * DAY && told.kpis.len() == 1 + BLAMED_LOST_MAX));
        let ended: Vec<bool> = told.iter().map(|told| told.until_bin.is_some()).collect();
        assert!(ended.len() > 20 && ended.iter().position(|is_over| *is_over) == Some(ended.len() - 1), "{ended:?}");
        assert!((0..10).all(|bin| hear(20 * DAY + bin, 5).is_none()));
        assert!((0..10).all(|bin| hear(40 * DAY + bin, 1).is_none()), "it is as new");
    }

    #[test]
    fn who_is_gone_for_good_is_not_missed_for_ever() {
        let (rules, mut presence) = (AlarmRules::default(), known());
        let told: Vec<ToldMissed> = (2 * DAY..9 * DAY).filter_map(|bin| presence.hear_others(&rules, bin)).collect();
        assert!(told.len() < 30, "{}", told.len());
        assert!(told.last().is_some_and(|told| told.until_bin.is_some()));
        assert_eq!(presence.missed, None);
    }

    proptest! {
        /// What is missed begins once and ends once, whatever comes.
        #[test]
        fn what_is_missed_begins_and_ends_in_turn(there in prop::collection::vec(prop::bool::weighted(0.8), 1..600)) {
            let (rules, mut presence) = (AlarmRules::default(), Presence::new(0, 1));
            let mut open: Option<i64> = None;
            for (bin, is_there) in (1..).zip(there) {
                let others = presence.hear_others(&rules, bin);
                let own = if is_there { hear(&mut presence, bin, bin % 3 > 0) } else { None };
                for told in others.into_iter().chain(own) {
                    prop_assert!(told.until_bin.is_none_or(|until| until >= told.from_bin && until <= bin));
                    prop_assert!(open.is_none_or(|open| open == told.from_bin));
                    open = told.until_bin.is_none().then_some(told.from_bin);
                }
            }
        }
    }
}
