//! What a neural model sees of a demand series: 18 numbers of its open bin, and the scale that turns
//! the model's outputs into demand. The rules are those of `models/training/FEATURES.md`.

use crate::forecast::demand::DemandSeries;
use crate::forecast::{DAY_BINS, GRID_STEP_S};
use crate::time::EventTime;
use std::f64::consts::TAU;

/// Number of features.
pub const FEATURES: usize = 18;

/// Identity of this set of features: SHA-256, in lower-case hex, of the schema block of
/// `FEATURES.md`. A model that was made for another one must not be fed with these.
pub const FEATURE_SCHEMA_SHA256: &str = "ae0e393aeb4f3e3d41841ba9fb387ac0f413ae50f6dc159eea7f9579fa178200";

const FEATURE_LIMIT: f64 = 20.0;
const HOUR_BINS: usize = 12;
const WEEK_BINS: f64 = 2016.0;
const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;

/// The epoch was a Thursday, three days after the Monday that its week began with.
const EPOCH_IN_WEEK_S: i64 = 3 * DAY_S;

/// The features of one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// The numbers, each within -20 to 20.
    pub values: [f32; FEATURES],
    /// Demand that 1 stands for in a model's outputs, in the unit of the series; positive.
    pub scale: f64,
}

/// The features of the open bin. `capacity` is in the unit of the demand. `None` before the series
/// began.
pub fn features(demand: &DemandSeries, capacity: Option<f64>) -> Option<Features> {
    let open = demand.open()?;
    let scale = demand.scale(capacity);
    let mut day = [0.0; DAY_BINS];
    let count = demand.recent(&mut day);
    let day = &day[..count];
    let hour = &day[count.saturating_sub(HOUR_BINS)..];
    let (hour_mean, hour_std, hour_max) = moments(hour);
    let has_day = count == DAY_BINS;
    let day_ago = |bins_ahead: usize| if has_day { day[bins_ahead - 1] } else { 0.0 };
    let day_ago_max = |bins_ahead: usize| if has_day { greatest(&day[..bins_ahead]) } else { 0.0 };
    let in_scale = [
        day[count - 1],
        day[count - 1] - day[count.saturating_sub(2)],
        hour_mean,
        hour_std,
        hour_max,
        day_ago(1),
        day_ago(3),
        day_ago(12),
        day_ago_max(3),
        day_ago_max(12),
        day.iter().sum::<f64>() / count as f64,
    ]
    .map(|demand| demand / scale);
    let [value, change, hour_mean, hour_std, hour_max, ago_1, ago_3, ago_12, max_3, max_12, day_mean] = in_scale;
    let missing = f64::from(u8::from(open.value.is_none()));
    let age = ((1.0 + demand.bins() as f64).ln() / (1.0 + WEEK_BINS).ln()).min(1.0);
    let [day_sin, day_cos, week_sin, week_cos] = calendar(open.bin);
    let values = [
        value,
        missing,
        change,
        hour_mean,
        hour_std,
        hour_max,
        ago_1,
        ago_3,
        ago_12,
        max_3,
        max_12,
        day_mean,
        f64::from(u8::from(has_day)),
        age,
        day_sin,
        day_cos,
        week_sin,
        week_cos,
    ];
    Some(Features { values: values.map(|v| v.clamp(-FEATURE_LIMIT, FEATURE_LIMIT) as f32), scale })
}

/// The demand of the last bins, the open one last, in units of `scale` and each within -20 to 20: what a
/// windowed model sees beside the features. At most [`DAY_BINS`] bins; those before the series began hold the
/// oldest demand that is kept of it. `None` before the series began.
pub fn window(demand: &DemandSeries, scale: f64, bins: usize) -> Option<Vec<f32>> {
    demand.open()?;
    let mut day = [0.0; DAY_BINS];
    let count = demand.recent(&mut day);
    let bins = bins.min(DAY_BINS);
    let known = &day[count.saturating_sub(bins)..count];
    let before = std::iter::repeat_n(&day[0], bins - known.len());
    let in_scale = |demand: &f64| (demand / scale).clamp(-FEATURE_LIMIT, FEATURE_LIMIT) as f32;
    Some(before.chain(known).map(in_scale).collect())
}

/// Mean, population standard deviation and maximum.
fn moments(values: &[f64]) -> (f64, f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt(), greatest(values))
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Sine and cosine of the time of day and of the week at which a bin begins.
fn calendar(bin: i64) -> [f64; 4] {
    let at_s = EventTime::of_bin(bin, GRID_STEP_S).as_ms() / 1000;
    let turn = |seconds: i64, period_s: i64| TAU * seconds.rem_euclid(period_s) as f64 / period_s as f64;
    let (day, week) = (turn(at_s, DAY_S), turn(at_s + EPOCH_IN_WEEK_S, WEEK_S));
    [day.sin(), day.cos(), week.sin(), week.cos()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    const DOCUMENT: &str = include_str!("../../../../models/training/FEATURES.md");
    const GOLDEN: &str = include_str!("../../../../models/training/prescale_training/features_golden.json");

    #[test]
    fn the_schema_is_the_documents() {
        let block = DOCUMENT.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(block.lines().count(), 1 + FEATURES);
        assert_eq!(format!("{:x}", Sha256::digest(block)), FEATURE_SCHEMA_SHA256);
    }

    #[test]
    fn features_are_the_training_kits() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let tolerance = golden["tolerance"].as_f64().unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let start = EventTime::from_s(case["start_s"].as_i64().unwrap());
            let values = case["values"].as_array().unwrap();
            let mut demand = DemandSeries::default();
            let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
            for (t, value) in values.iter().map(Value::as_f64).enumerate() {
                value.iter().for_each(|v| (least, greatest) = (least.min(*v), greatest.max(*v)));
                match value {
                    Some(value) if t == 0 => demand.start(start, value),
                    value => {
                        demand.close();
                        value.into_iter().for_each(|v| demand.add(v));
                    }
                }
                let got = features(&demand, case["capacity"].as_f64()).unwrap();
                let scale = case["scale"][t].as_f64().unwrap();
                assert!((got.scale / scale - 1.0).abs() < tolerance, "{} {t}: scale {}", case["about"], got.scale);
                // Closed bins have 16 bits, and a change is between two.
                let tolerance = tolerance + 2.0 * (greatest - least) / 30_000.0 / scale;
                for (i, got) in got.values.iter().enumerate() {
                    let wanted = case["features"][t][i].as_f64().unwrap();
                    let off = (f64::from(*got) - wanted).abs();
                    assert!(off <= tolerance, "{} bin {t} feature {i}: {got} for {wanted}", case["about"]);
                }
            }
        }
    }

    #[test]
    fn a_window_ends_with_the_open_bin_and_begins_with_the_first_value() {
        let mut demand = DemandSeries::default();
        assert_eq!(window(&demand, 1.0, 4), None);
        demand.start(EventTime::from_s(0), 2.0);
        assert_eq!(window(&demand, 2.0, 3).unwrap(), [1.0; 3]);
        demand.close();
        demand.close();
        demand.add(1e6);
        assert_eq!(window(&demand, 2.0, 5).unwrap(), [1.0, 1.0, 1.0, 1.0, 20.0]);
        assert_eq!(window(&demand, 2.0, 2).unwrap(), [1.0, 20.0]);
        (0..DAY_BINS).for_each(|_| demand.close());
        demand.add(-4e6);
        let day = window(&demand, 1e6, DAY_BINS).unwrap();
        assert_eq!((day.len(), day[0], day[DAY_BINS - 1]), (DAY_BINS, 1.0, -4.0));
    }

    proptest! {
        #[test]
        fn whatever_is_usable_gives_finite_features(
            values in proptest::collection::vec(proptest::option::of(-1e30f64..1e30), 1..400),
            capacity in proptest::option::of(0.0f64..1e30),
        ) {
            let mut demand = DemandSeries::default();
            demand.start(EventTime::from_s(0), values[0].unwrap_or(0.0));
            for value in &values[1..] {
                demand.close();
                value.iter().for_each(|v| demand.add(*v));
                let got = features(&demand, capacity).unwrap();
                prop_assert!(got.scale > 0.0 && got.scale.is_finite());
                prop_assert!(got.values.iter().all(|v| v.abs() <= 20.0), "{:?}", got.values);
            }
        }
    }
}
