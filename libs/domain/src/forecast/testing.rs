//! Series for the tests of the families.

use crate::forecast::demand::DemandSeries;
use crate::forecast::{DAY_BINS, Forecaster, GRID_STEP_S};
use crate::time::EventTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

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

/// Mean absolute error of the median 12 bins ahead over the last half of `bins` bins of a noisy daily
/// wave, as a share of that of the last value.
pub(crate) fn error_against_last_value<F: Forecaster>(family: &F, bins: i64) -> f64 {
    const AHEAD: i64 = 12;
    let (mut demand, mut state) = run(family, (0..bins / 2).map(|t| wave(t, 0.5)));
    let (mut own, mut last) = (0.0, 0.0);
    for t in bins / 2..bins {
        step(family, (&mut demand, &mut state), wave(t, 0.5));
        let truth = wave(t + AHEAD, 0.5).unwrap();
        let forecast = family.forecast(&state, &demand, &[AHEAD as usize]).unwrap();
        own += (forecast[0].value.median() - truth).abs();
        last += (demand.filled() - truth).abs();
    }
    own / last
}

/// Numbers from the standard normal distribution, the same for a seed.
pub(crate) fn normals(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Share of `bins` bins of a daily wave with normal noise that lie between the 5 % and the 95 % quantile
/// of the forecast one bin before.
pub(crate) fn share_within_90<F: Forecaster>(family: &F, bins: i64) -> f64 {
    let first = family.bins_needed() as i64;
    let noise = normals(11, (first + bins) as usize);
    let noisy = |t: i64| wave(t, 0.0).map(|v| v + 0.3 * noise[t as usize]);
    let (mut demand, mut state) = run(family, (0..first).map(noisy));
    let mut within = 0;
    for t in first..first + bins {
        let forecast = family.forecast(&state, &demand, &[1]).unwrap();
        let (truth, quantiles) = (noisy(t), *forecast[0].value.values());
        within += usize::from(truth.is_some_and(|truth| quantiles[0] <= truth && truth <= quantiles[6]));
        step(family, (&mut demand, &mut state), truth);
    }
    within as f64 / bins as f64
}
