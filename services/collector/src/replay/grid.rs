//! The grid that each workload's instants lie on, but for jitter: its phase is their own, since a host that is asked
//! at each full minute answers now before it and now after it.

use super::step::WorkloadInstants;
use std::collections::HashMap;
use std::f64::consts::TAU;

/// From this length of their mean direction on, instants lie on a grid: their standard deviation is then a tenth of a
/// step at most, so that few are nearer to another place than to their own.
const LENGTH_MIN: f64 = 0.8;

/// Phases of workloads whose instants jitter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grid {
    step_ms: i64,
    phases_ms: HashMap<String, i64>,
}

/// Whether some workload's instants do not all have one distance from a multiple of the step.
pub(crate) fn jitters(instants: &WorkloadInstants, step_s: u32) -> bool {
    let step_ms = 1000 * i64::from(step_s);
    instants.values().any(|all| {
        let mut phases = all.iter().map(|at_ms| at_ms.rem_euclid(step_ms));
        let first = phases.next();
        phases.any(|phase| Some(phase) != first)
    })
}

impl Grid {
    /// Of a step, and of the means of sine and cosine of each workload's instants, a step being a full turn
    /// (circular mean: Mardia and Jupp, Directional Statistics).
    pub(crate) fn of(step_s: u32, means: impl Iterator<Item = (String, f64, f64)>) -> Self {
        let step_ms = 1000 * i64::from(step_s);
        let phase = |(workload, sine, cosine): (String, f64, f64)| {
            let turn = sine.atan2(cosine).rem_euclid(TAU) / TAU;
            let phase_ms = (turn * step_ms as f64).round() as i64;
            (sine.hypot(cosine) >= LENGTH_MIN).then_some((workload, phase_ms))
        };
        Self { step_ms, phases_ms: means.filter_map(phase).collect() }
    }

    /// The place on the workload's grid that is nearest to an instant; the instant itself where there is no grid.
    pub(crate) fn nearest(&self, workload: &str, at_ms: i64) -> i64 {
        match self.phases_ms.get(workload) {
            Some(phase_ms) => {
                let since = at_ms - phase_ms;
                phase_ms + (since + self.step_ms / 2).div_euclid(self.step_ms) * self.step_ms
            }
            None => at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid_of(step_s: u32, instants_ms: &[i64]) -> Grid {
        let step_ms = 1000.0 * f64::from(step_s);
        let angle = |at_ms: &i64| TAU * (at_ms.rem_euclid(step_ms as i64) as f64) / step_ms;
        let mean =
            |of: fn(f64) -> f64| instants_ms.iter().map(|at| of(angle(at))).sum::<f64>() / instants_ms.len() as f64;
        Grid::of(step_s, std::iter::once(("a".to_owned(), mean(f64::sin), mean(f64::cos))))
    }

    #[test]
    fn instants_to_either_side_of_the_minute_are_a_minute_apart() {
        let instants = [59_336, 120_787, 179_929, 241_276, 299_968];
        let all = WorkloadInstants::from([("a".to_owned(), instants.to_vec())]);
        assert!(jitters(&all, 60) && !jitters(&WorkloadInstants::from([("a".to_owned(), vec![7, 60_007])]), 60));
        let grid = grid_of(60, &instants);
        let placed: Vec<i64> = instants.iter().map(|at| grid.nearest("a", *at)).collect();
        assert!(placed.windows(2).all(|pair| pair[1] - pair[0] == 60_000), "{placed:?}");
        assert_eq!(grid.nearest("b", 59_336), 59_336);
        let irregular = grid_of(60, &[0, 17_000, 95_000, 160_000, 221_000, 290_000, 345_000]);
        assert_eq!(irregular.nearest("a", 17_000), 17_000, "without a grid instants stay");
    }

    proptest! {
        #[test]
        fn jitter_below_a_fifth_of_a_step_leaves_no_hole_and_no_double(
            phase_ms in 0i64..300_000,
            jitters_ms in prop::collection::vec(-60_000i64..60_000, 2..50),
        ) {
            let ideal = |i: usize| 1_700_000_000_000 + phase_ms + 300_000 * i as i64;
            let instants: Vec<i64> = jitters_ms.iter().enumerate().map(|(i, jitter)| ideal(i) + jitter).collect();
            let grid = grid_of(300, &instants);
            let placed: Vec<i64> = instants.iter().map(|at| grid.nearest("a", *at)).collect();
            if !grid.phases_ms.is_empty() {
                prop_assert!(placed.windows(2).all(|pair| pair[1] - pair[0] == 300_000), "{:?}", placed);
            }
        }
    }
}
