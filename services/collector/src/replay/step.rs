//! The sampling step of a trace, found from its data.

use std::collections::BTreeMap;

/// Instants by workload, in milliseconds, in any order.
pub(crate) type WorkloadInstants = BTreeMap<String, Vec<i64>>;

const STEP_S_MAX: i64 = 86_400;

/// The most frequent difference between neighbouring instants of a workload, in whole seconds from
/// 1 to a day; of several, the smallest. Where instants jitter it is the mean of those within a tenth of it. `None` when
/// no workload has two instants.
pub(crate) fn most_frequent_step_s(instants: &WorkloadInstants) -> Option<u32> {
    let mut counts: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for of_workload in instants.values() {
        let mut of_workload = of_workload.clone();
        of_workload.sort_unstable();
        of_workload.dedup();
        for pair in of_workload.windows(2) {
            let difference_ms = pair[1].saturating_sub(pair[0]).clamp(1, 1000 * STEP_S_MAX);
            let step_s = (difference_ms.saturating_add(500) / 1000).clamp(1, STEP_S_MAX);
            let (count, sum_ms) = counts.entry(step_s).or_default();
            *count += 1;
            *sum_ms += difference_ms;
        }
    }
    let (most, _) = counts.iter().rev().max_by_key(|(_, (count, _))| *count)?;
    let near = counts.range(most - most / 10..=most + most / 10).map(|(_, near)| near);
    let (count, sum_ms) = near.fold((0, 0), |(count, sum_ms), near| (count + near.0, sum_ms + near.1));
    u32::try_from(((sum_ms + 500 * count) / (1000 * count)).clamp(1, STEP_S_MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instants: &[(&str, &[i64])]) -> Option<u32> {
        most_frequent_step_s(&instants.iter().map(|(w, at)| ((*w).to_owned(), at.to_vec())).collect())
    }

    #[test]
    fn the_most_frequent_difference_wins_and_of_several_the_smallest() {
        assert_eq!(of(&[("a", &[0, 300_000, 600_000, 1_500_000]), ("b", &[10, 300_010])]), Some(300));
        assert_eq!(of(&[("a", &[600_000, 0, 60_000, 60_000])]), Some(60), "unordered, with a duplicate");
        assert_eq!(of(&[("a", &[0, 60_000]), ("b", &[0, 300_000])]), Some(60));
        assert_eq!(of(&[("a", &[0, 60_400, 120_200])]), Some(60), "to the second");
        assert_eq!(of(&[("a", &[0, 61_400, 120_400, 181_800, 240_800, 299_800])]), Some(60), "with jitter");
        assert_eq!(of(&[("a", &[0, 10])]), Some(1));
        assert_eq!(of(&[("a", &[0]), ("b", &[60_000])]), None);
    }
}
