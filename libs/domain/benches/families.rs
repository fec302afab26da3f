//! Cost per bin, per refit and per forecast, and bytes of state, of the statistical families on one
//! thread, for one series of a noisy day and week.
//!
//! ```text
//! cargo bench -p prescale-domain --bench families
//! ```
//!
//! A bin that a refit falls into is told apart by the count of bins between the dearest ones: they come
//! once a day. Last value and exponential smoothing beside them, in the same run, are what to measure by.

use prescale_domain::forecast::arima::Arima;
use prescale_domain::forecast::demand::DemandSeries;
use prescale_domain::forecast::exponential_smoothing::ExponentialSmoothing;
use prescale_domain::forecast::last_value::LastValue;
use prescale_domain::forecast::mstl::Mstl;
use prescale_domain::forecast::prophet::Prophet;
use prescale_domain::forecast::{DAY_BINS, Forecaster, GRID_STEP_S, TWO_WEEKS_BINS, WEEK_BINS};
use prescale_domain::time::EventTime;
use std::time::Instant;

const FIRST_BIN: i64 = 5_000_000;
const DAYS: usize = 15;
const SERIES: u64 = 8;
const FORECASTS: u32 = 2000;
const HORIZONS: [usize; 3] = [1, 3, 12];

/// A day, a week, and noise that fades over some bins.
struct Source {
    state: u64,
    carried: f64,
}

impl Source {
    fn next(&mut self, t: usize) -> f64 {
        let turn = |period: usize| std::f64::consts::TAU * t as f64 / period as f64;
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (self.state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        self.carried = 0.8 * self.carried + noise;
        10.0 + 2.0 * turn(DAY_BINS).sin() + turn(WEEK_BINS).cos() + self.carried
    }
}

#[derive(Default)]
struct Costs {
    bins_us: Vec<f64>,
    refits_ms: Vec<f64>,
    forecast_us: Vec<f64>,
    heap_bytes: usize,
}

fn measure<F: Forecaster>(family: &F, heap_bytes: impl Fn(&F::State) -> usize) {
    let mut costs = Costs::default();
    for seed in 0..SERIES {
        one_series(family, seed, &mut costs);
        costs.heap_bytes = costs.heap_bytes.max(heap_bytes(&filled(family, seed).1));
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let most = costs.refits_ms.iter().copied().fold(0.0, f64::max);
    println!(
        "{:22} {:>9.2} us a bin  {:>9.1} us a forecast  dearest bin of a day {:>8.3} ms mean, {:>8.3} ms most  {:>6} bytes",
        family.family().name(),
        mean(&costs.bins_us),
        mean(&costs.forecast_us),
        mean(&costs.refits_ms),
        most,
        size_of::<F::State>() + costs.heap_bytes,
    );
}

fn filled<F: Forecaster>(family: &F, seed: u64) -> (DemandSeries, F::State) {
    let (mut source, mut demand, mut state) = begin::<F>(seed);
    for t in 1..TWO_WEEKS_BINS + 2 * DAY_BINS {
        close(family, &mut demand, &mut state);
        demand.add(source.next(t));
    }
    (demand, state)
}

fn begin<F: Forecaster>(seed: u64) -> (Source, DemandSeries, F::State) {
    let mut source = Source { state: seed, carried: 0.0 };
    let mut demand = DemandSeries::default();
    demand.start(EventTime::of_bin(FIRST_BIN, GRID_STEP_S), source.next(0));
    (source, demand, F::State::default())
}

fn close<F: Forecaster>(family: &F, demand: &mut DemandSeries, state: &mut F::State) {
    if let Some(open) = demand.open() {
        family.close(state, demand, &open);
    }
    demand.close();
}

/// The first three days, in which the families begin, are not measured.
fn one_series<F: Forecaster>(family: &F, seed: u64, costs: &mut Costs) {
    let (mut source, mut demand, mut state) = begin::<F>(seed);
    for day in 0..DAYS {
        let mut us: Vec<f64> = Vec::with_capacity(DAY_BINS);
        for t in 0..DAY_BINS {
            let began = Instant::now();
            close(family, &mut demand, &mut state);
            us.push(began.elapsed().as_secs_f64() * 1e6);
            demand.add(source.next(day * DAY_BINS + t + 1));
        }
        us.sort_by(f64::total_cmp);
        if day >= 3 {
            costs.refits_ms.extend(us.pop().map(|dearest| dearest / 1000.0));
            costs.bins_us.extend(us);
        }
    }
    let began = Instant::now();
    for _ in 0..FORECASTS {
        std::hint::black_box(family.forecast(&state, &demand, &HORIZONS));
    }
    costs.forecast_us.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(FORECASTS));
}

fn main() {
    measure(&LastValue, |()| 0);
    measure(&ExponentialSmoothing, |state| state.heap_bytes());
    measure(&Mstl, |state| state.heap_bytes());
    measure(&Arima, |state| state.heap_bytes());
    measure(&Prophet, |state| state.heap_bytes());
}
