//! Values by what they measure and when: those that a sender's own store has, and those on our log.

use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// So many places are shown.
const SHOWN: usize = 5;

/// What a value is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The workload.
    pub(super) workload: String,
    /// What it measures: a KPI, or a capacity.
    pub(super) measured: String,
    /// When, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {}", self.measured, self.workload, self.at_ms)
    }
}

/// The values of each place, ascending: several series may measure the same.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Values(BTreeMap<Place, Vec<f64>>);

impl Values {
    /// Puts a value to the others of its place.
    pub(super) fn put(&mut self, workload: &str, measured: &str, at_ms: i64, value: f64) {
        let place = Place { workload: workload.to_owned(), measured: measured.to_owned(), at_ms };
        let values = self.0.entry(place).or_default();
        values.insert(values.partition_point(|before| *before < value), value);
    }

    /// Those whose place meets a condition.
    pub(super) fn only(&self, meets: impl Fn(&Place) -> bool) -> Self {
        Self(self.0.iter().filter(|(place, _)| meets(place)).map(|(place, all)| (place.clone(), all.clone())).collect())
    }

    /// Of what series measure together, their sum: what a sample shows of gauges that add up.
    pub(super) fn sums(&self) -> Self {
        Self(self.0.iter().map(|(place, all)| (place.clone(), vec![all.iter().sum()])).collect())
    }

    /// Each at the beginning of its bin of so many milliseconds.
    pub(super) fn by_bins(&self, bin_ms: i64) -> Self {
        let mut binned = Self::default();
        for (Place { workload, measured, at_ms }, all) in &self.0 {
            let begin_ms = at_ms.div_euclid(bin_ms) * bin_ms;
            all.iter().for_each(|value| binned.put(workload, measured, begin_ms, *value));
        }
        binned
    }

    /// Without those that were not sent at their instants and repeat the one before: a series without a point counts with
    /// its last number.
    pub(super) fn without_carried(&self, sent: &Self) -> Self {
        let is_carried = |place: &Place| {
            let before = self.0.range(..place.clone()).next_back();
            let is_of_it = |before: &Place| before.workload == place.workload && before.measured == place.measured;
            let repeats = before.is_some_and(|(before, all)| is_of_it(before) && self.0.get(place) == Some(all));
            repeats && !sent.0.contains_key(place)
        };
        self.only(|place| !is_carried(place))
    }

    /// First and last instant, in milliseconds; `None` when there is nothing.
    pub(super) fn span_ms(&self) -> Option<(i64, i64)> {
        let instants: BTreeSet<i64> = self.0.keys().map(|place| place.at_ms).collect();
        Some((*instants.first()?, *instants.last()?))
    }

    /// The instants, in milliseconds, on either side of the widest gap; `None` when there is none.
    pub(super) fn widest_gap_ms(&self) -> Option<(i64, i64)> {
        let instants: Vec<i64> =
            self.0.keys().map(|place| place.at_ms).collect::<BTreeSet<i64>>().into_iter().collect();
        instants.windows(2).map(|pair| (pair[0], pair[1])).max_by_key(|(before, behind)| behind - before)
    }

    /// How many values.
    pub(super) fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// Holds what a sender has sent to what is on the log: it must be the same, but for what was on its way, to us or to its own
/// store, when the sender was killed, at the instants of which `was_killed` says so.
pub(super) fn compare(what: &str, sent: &Values, got: &Values, was_killed: impl Fn(i64) -> bool) -> Result<()> {
    ensure!(sent.count() > 1, "{what}: the sender has sent {} values", sent.count());
    let unknown = got.only(|place| !sent.0.contains_key(place));
    let made_up = unknown.only(|place| !was_killed(place.at_ms));
    ensure!(made_up.0.is_empty(), "{what}: {} are on the log and were not sent: {made_up}", made_up.count());
    let missing = sent.only(|place| !got.0.contains_key(place));
    let lost = missing.only(|place| !was_killed(place.at_ms));
    ensure!(lost.0.is_empty(), "{what}: {} are lost: {lost}", lost.count());
    let is_other = |place: &Place| match (sent.0.get(place), got.0.get(place)) {
        (Some(sent), Some(got)) => !are_alike(sent, got),
        _ => false,
    };
    let others = sent.only(is_other);
    ensure!(others.0.is_empty(), "{what}: {} are other ones, or lost in part: {others}", others.count());
    let (unsent, unstored) = (missing.count(), unknown.count());
    eprintln!("xtask: {what}: {} values sent, the same on the log", sent.count() - unsent);
    if unsent + unstored > 0 {
        eprintln!(
            "xtask: {what}: when it was killed {unsent} more were not sent yet, and {unstored} that were sent not stored"
        );
    }
    Ok(())
}

/// Factors such as 0.01 are applied on both sides, in any order.
fn are_alike(one: &[f64], other: &[f64]) -> bool {
    let is_alike = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    one.len() == other.len() && one.iter().zip(other).all(is_alike)
}

/// The first few.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(SHOWN).try_for_each(|(place, values)| write!(f, "{place}: {values:?}; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(i64, f64)]) -> Values {
        let mut values = Values::default();
        of.iter().for_each(|(at_ms, value)| values.put("vm", "memory_bytes", *at_ms, *value));
        values
    }

    #[test]
    fn what_is_lost_made_up_or_another_value_is_told() {
        let sent = values(&[(1, 5.0), (1, 3.0), (2, 4.0)]);
        let error = |got: &[(i64, f64)]| compare("it", &sent, &values(got), |_| false).unwrap_err().to_string();
        compare("it", &sent, &values(&[(2, 4.0 + 1e-12), (1, 3.0), (1, 5.0)]), |_| false).unwrap();
        assert!(error(&[(1, 3.0), (1, 5.0)]).contains("1 are lost: memory_bytes of vm at 2: [4.0]"));
        assert!(error(&[(1, 3.0), (1, 5.0), (2, 4.0), (3, 4.0)]).contains("1 are on the log and were not sent"));
        assert!(error(&[(1, 3.0), (2, 4.0)]).contains("at 1: [3.0, 5.0]"), "one of two is lost");
        assert!(error(&[(1, 3.0), (1, 5.0), (2, 4.1)]).contains("are other ones"));
        assert!(compare("it", &values(&[]), &values(&[]), |_| false).is_err(), "nothing was compared");
        compare("it", &sent, &values(&[(1, 3.0), (1, 5.0), (3, 9.0)]), |at_ms| at_ms > 1).unwrap();
    }

    #[test]
    fn what_is_carried_on_is_no_new_value() {
        let sent = values(&[(1, 5.0), (4, 5.0)]);
        let got = values(&[(1, 5.0), (2, 5.0), (3, 6.0), (4, 5.0)]);
        assert_eq!(got.without_carried(&sent), values(&[(1, 5.0), (3, 6.0), (4, 5.0)]));
    }

    #[test]
    fn places_are_chosen_by_a_condition_and_added_up() {
        assert_eq!(values(&[(1, 1.0), (1, 2.0), (2, 4.0)]).sums(), values(&[(1, 3.0), (2, 4.0)]));
        assert_eq!(values(&[(1, 1.0), (9, 2.0), (10, 4.0)]).by_bins(10), values(&[(0, 1.0), (0, 2.0), (10, 4.0)]));
        let all = values(&[(1, 1.0), (3, 1.0), (2, 1.0)]);
        assert_eq!(all.span_ms(), Some((1, 3)));
        assert_eq!(all.only(|place| place.at_ms > 1).count(), 2);
        assert_eq!(all.only(|place| place.at_ms != 2).widest_gap_ms(), Some((1, 3)));
        assert_eq!((values(&[]).span_ms(), values(&[(1, 1.0)]).widest_gap_ms()), (None, None));
    }
}
