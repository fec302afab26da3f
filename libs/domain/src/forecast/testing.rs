//! Series for the tests of the families.

use crate::forecast::demand::DemandSeries;
use crate::forecast::{DAY_BINS, Forecaster, GRID_STEP_S};
use crate::time::EventTime;

/// Bin `t` of a positive daily wave with a little reproducible noise.
pub(crate) fn wave(t: i64, noise: f64) -> Option<f64> {
    let phase = std::f64::consts::TAU * (t % DAY_BINS as i64) as f64 / DAY_BINS as f64;
    Some(3.0 + phase.sin() + noise * noise_of(t))
}

/// Reproducible numbers within -0.5 to 0.5 (one round of a linear congruential generator).
pub(crate) fn noise_of(t: i64) -> f64 {
    let mixed = (t as u64).wrapping_mul(2_654_435_761) % (1 << 31);
    ((mixed * 1_103_515_245 + 12_345) % (1 << 31)) as f64 / f64::from(1u32 << 31) - 0.5
}

/// Takes bins in, the first of them from a sample, the last left open.
pub(crate) fn run<F: Forecaster>(
    family: &F,
    values: impl IntoIterator<Item = Option<f64>>,
) -> (DemandSeries, F::State) {
    let (mut demand, mut state) = (DemandSeries::default(), F::State::default());
    values.into_iter().for_each(|value| step(family, (&mut demand, &mut state), value));
    (demand, state)
}

/// Takes one more bin in, which is then the open one.
pub(crate) fn step<F: Forecaster>(family: &F, (demand, state): (&mut DemandSeries, &mut F::State), value: Option<f64>) {
    let Some(open) = demand.open() else {
        return demand.start(EventTime::of_bin(5_000_000, GRID_STEP_S), value.unwrap_or(0.0));
    };
    family.close(state, demand, &open);
    demand.close();
    value.into_iter().for_each(|v| demand.add(v));
}

/// A series of such bins.
pub(crate) fn series(values: impl IntoIterator<Item = Option<f64>>) -> DemandSeries {
    run(&crate::forecast::last_value::LastValue, values).0
}
