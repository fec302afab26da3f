//! One p-value of several, whose dependence is not known.

use super::P_VALUE_MIN;
use std::f64::consts::PI;

/// A p-value above this counts as this: at 1 it is infinitely far out, and would outweigh all others.
const LARGE: f64 = 0.9;

/// The Cauchy combination of Liu and Xie (2020, "Cauchy Combination Test", JASA 115): small p-values stay calibrated
/// whatever the dependence of those that are combined. `None` of none. A single one stays what it is.
pub fn combined(p_values: &[f64]) -> Option<f64> {
    match p_values {
        [] => None,
        [one] => Some(one.clamp(P_VALUE_MIN, 1.0)),
        several => {
            let quantile = |p: &f64| libm::tan((0.5 - p.clamp(P_VALUE_MIN, LARGE)) * PI);
            let mean = several.iter().map(quantile).sum::<f64>() / several.len() as f64;
            Some((0.5 - libm::atan(mean) / PI).clamp(P_VALUE_MIN, 1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_p_value_in_any_order(mut p_values in prop::collection::vec(0.0f64..=1.0, 1..6)) {
            let one = combined(&p_values).unwrap();
            prop_assert!((P_VALUE_MIN..=1.0).contains(&one), "{}", one);
            p_values.reverse();
            let other = combined(&p_values).unwrap();
            prop_assert!((one - other).abs() <= 1e-9, "{} and {}", one, other);
        }

        /// No p-value that is small is lost among as many others as there are, whatever they say.
        #[test]
        fn a_small_one_counts_for_its_share(least in 1e-6f64..1e-3, other in 0.1f64..=1.0) {
            let both = combined(&[least, other]).unwrap();
            prop_assert!(both > least && both < 3.0 * least, "{} of {}", both, least);
        }
    }

    #[test]
    fn none_makes_none_and_equal_ones_stay_what_they_are() {
        assert_eq!(combined(&[]), None);
        assert_eq!(combined(&[0.25]), Some(0.25));
        let same = combined(&[0.01; 4]).unwrap();
        assert!((same - 0.01).abs() < 1e-9, "{same}");
    }
}
