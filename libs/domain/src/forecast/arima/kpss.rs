//! The test of Kwiatkowski, Phillips, Schmidt and Shin (1992), "Testing the null hypothesis of
//! stationarity against the alternative of a unit root", for stationarity about a level.

/// Critical value at 5 % (their table 1).
const CRITICAL_5_PERCENT: f64 = 0.463;

/// Whether stationarity about a level is refused at 5 %, with the lags of Hyndman and Khandakar's
/// `ndiffs`. A constant is stationary.
pub(super) fn needs_difference(series: &[f64]) -> bool {
    let lags = 3.0 * (series.len() as f64).sqrt() / 13.0;
    statistic(series, lags as usize).is_some_and(|statistic| statistic > CRITICAL_5_PERCENT)
}

/// Σ S² / (n² s²) with the partial sums S of the deviations from the mean and their long-run variance
/// s², by Bartlett weights over `lags` lags. `None` where that is not positive.
fn statistic(series: &[f64], lags: usize) -> Option<f64> {
    let count = series.len() as f64;
    let mean = series.iter().sum::<f64>() / count;
    let deviations: Vec<f64> = series.iter().map(|v| v - mean).collect();
    let mut partial = 0.0;
    let sums = deviations.iter().map(|deviation| {
        partial += deviation;
        partial * partial
    });
    let sums: f64 = sums.sum();
    let autocovariance =
        |lag: usize| deviations.iter().zip(deviations.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>();
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / (lags as f64 + 1.0)) * autocovariance(lag);
    let long_run = autocovariance(0) + (1..=lags).map(weighted).sum::<f64>();
    (long_run > 0.0).then(|| sums / (count * long_run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::{noise_of, normals};
    use serde_json::Value;

    #[test]
    fn the_statistic_is_that_of_statsmodels() {
        let golden: Value = serde_json::from_str(include_str!("../goldens/arima.json")).unwrap();
        let mut walk = 0.0;
        let noise: Vec<f64> = (0..400).map(noise_of).collect();
        let walk: Vec<f64> = noise.iter().map(|e| (walk += e, walk).1).collect();
        for (name, series) in [("noise", &noise), ("walk", &walk)] {
            for lags in [0, 4, 12] {
                let wanted = golden["kpss"][name][lags.to_string()].as_f64().unwrap();
                let got = statistic(series, lags).unwrap();
                assert!((got - wanted).abs() < 1e-9 * wanted, "{name} {lags}: {got} {wanted}");
            }
        }
    }

    #[test]
    fn a_walk_is_differenced_and_what_stays_about_a_level_is_not() {
        let mut level = 0.0;
        let noise = normals(5, 800);
        let walk: Vec<f64> = noise.iter().map(|e| (level += e, level).1).collect();
        assert!(needs_difference(&walk));
        assert!(!needs_difference(&noise));
        assert!(!needs_difference(&[2.0; 50]));
    }
}
