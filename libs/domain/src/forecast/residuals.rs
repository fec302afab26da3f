//! From past errors to quantiles around a point forecast.

use crate::quantiles::{LEVELS, MEDIAN, QUANTILE_LEVELS, Quantiles};

/// Quantiles of the standard normal distribution at [`QUANTILE_LEVELS`].
pub const NORMAL_QUANTILES: [f64; LEVELS] = [
    -1.6448536269514729,
    -1.2815515655446004,
    -0.6744897501960817,
    0.0,
    0.6744897501960817,
    1.2815515655446004,
    1.6448536269514722,
    2.3263478740408408,
];

/// Share of the demand's size below which no forecast claims to know it, at the 5 % and 95 % levels.
pub const SPREAD_SHARE_MIN: f64 = 0.001;

/// Share of the demand's size that a forecast one bin ahead is off by (one standard deviation) where
/// nothing is known of its errors.
pub const ERROR_SHARE_UNKNOWN: f64 = 0.1;

/// Fewest errors that empirical quantiles are read from.
pub const ERRORS_MIN: usize = 24;

/// `point` plus the empirical quantiles of `errors` (Hyndman and Fan 1996, definition 7), which are
/// sorted in place. `None` when there are fewer than [`ERRORS_MIN`] or a number is not finite.
pub fn empirical(point: f64, errors: &mut [f64]) -> Option<Quantiles> {
    if errors.len() < ERRORS_MIN {
        return None;
    }
    errors.sort_unstable_by(f64::total_cmp);
    let last = errors.len() - 1;
    Quantiles::rearranged(QUANTILE_LEVELS.map(|level| {
        let place = level * last as f64;
        let below = (place.floor() as usize).min(last);
        let share = place - below as f64;
        let above = (below + 1).min(last);
        point + errors[below] + share * (errors[above] - errors[below])
    }))
}

/// Normal quantiles around `point`. `None` when a number is not finite.
pub fn normal(point: f64, std_dev: f64) -> Option<Quantiles> {
    Quantiles::rearranged(NORMAL_QUANTILES.map(|z| point + z * std_dev))
}

/// Quantiles while there are too few errors: normal, with the root mean square of the errors one bin
/// ahead growing as that of a random walk, or a tenth of the demand's size where there are none.
pub fn random_walk(point: f64, errors_1: &[f64], bins_ahead: usize, scale: f64) -> Option<Quantiles> {
    let known = errors_1.len() as f64;
    let unknown = ERROR_SHARE_UNKNOWN * scale;
    let squares: f64 = errors_1.iter().map(|e| e * e).sum();
    let variance = (squares + unknown * unknown) / (known + 1.0);
    normal(point, (variance * bins_ahead as f64).sqrt())
}

/// Moves the quantiles away from their median where they are nearer than [`SPREAD_SHARE_MIN`] of
/// `scale` (at the 5 % and 95 % levels, as normal quantiles at the others).
pub fn at_least_uncertain(quantiles: &Quantiles, scale: f64) -> Option<Quantiles> {
    let unit = SPREAD_SHARE_MIN * scale / NORMAL_QUANTILES[MEDIAN + 3];
    let median = quantiles.median();
    let mut values = *quantiles.values();
    for (i, value) in values.iter_mut().enumerate() {
        let least = median + NORMAL_QUANTILES[i] * unit;
        *value = if i < MEDIAN { value.min(least) } else { value.max(least) };
    }
    Quantiles::rearranged(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empirical_quantiles_are_numpys() {
        // numpy.quantile(arange(30)**1.5, [.05,.1,.25,.5,.75,.9,.95,.99]) (linear)
        let mut errors: Vec<f64> = (0..30).rev().map(|i| f64::from(i).powf(1.5)).collect();
        let got = empirical(100.0, &mut errors).unwrap();
        for (got, wanted) in got.values().iter().zip(NUMPY) {
            assert!((got - 100.0 - wanted).abs() < 1e-9, "{got} {wanted}");
        }
        assert_eq!(empirical(0.0, &mut errors[..ERRORS_MIN - 1]), None);
    }

    const NUMPY: [f64; LEVELS] = [
        1.822792206135786,
        4.959379892910588,
        19.54704863258148,
        55.238976803973216,
        101.45038243560475,
        133.34666815937908,
        144.62239231667493,
        153.8475446705884,
    ];

    #[test]
    fn a_sure_forecast_is_made_less_sure() {
        let sure = Quantiles::rearranged([5.0; LEVELS]).unwrap();
        let got = at_least_uncertain(&sure, 10.0).unwrap();
        assert_eq!(got.median(), 5.0);
        assert!((got.values()[0] - 4.99).abs() < 1e-12 && (got.values()[6] - 5.01).abs() < 1e-12);
        let unsure = normal(5.0, 1.0).unwrap();
        assert_eq!(at_least_uncertain(&unsure, 10.0), Some(unsure));
    }
}
