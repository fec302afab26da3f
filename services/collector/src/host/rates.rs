//! From byte counts of devices to rates. It must not know where the counts come from.
//!
//! A rate is made from two readings of one process, device by device: so neither a restart, nor a
//! device that comes or goes, nor a count that starts again makes a rate that was not there.

use std::collections::BTreeMap;
use std::time::Duration;

/// Two readings closer than this give no rate.
const APART_MIN: Duration = Duration::from_millis(500);

/// Bytes in and out of a device since it was there (read and written, or received and sent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// Read or received.
    pub inward: u64,
    /// Written or sent.
    pub outward: u64,
}

/// Bytes per second, over all devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    /// Read or received.
    pub inward: f64,
    /// Written or sent.
    pub outward: f64,
}

/// Byte counts by device.
pub(crate) type Counts = BTreeMap<String, Bytes>;

/// Rates between two readings that lie `apart`. Devices that are not in both are left out, and so
/// is a count that went back. `None` when the readings are too close.
pub(crate) fn rates_between(before: &Counts, after: &Counts, apart: Duration) -> Option<Rates> {
    if apart < APART_MIN {
        return None;
    }
    let (mut inward, mut outward) = (0.0, 0.0);
    for (device, now) in after {
        let Some(then) = before.get(device) else { continue };
        inward += now.inward.saturating_sub(then.inward) as f64;
        outward += now.outward.saturating_sub(then.outward) as f64;
    }
    let apart_s = apart.as_secs_f64();
    Some(Rates { inward: inward / apart_s, outward: outward / apart_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(devices: &[(&str, u64, u64)]) -> Counts {
        devices
            .iter()
            .map(|(name, inward, outward)| ((*name).to_owned(), Bytes { inward: *inward, outward: *outward }))
            .collect()
    }

    #[test]
    fn rates_are_growth_over_time() {
        let before = counts(&[("a", 100, 0), ("b", 1000, 50)]);
        let after = counts(&[("a", 300, 20), ("b", 1000, 60)]);
        let rates = rates_between(&before, &after, Duration::from_secs(10));
        assert_eq!(rates, Some(Rates { inward: 20.0, outward: 3.0 }));
        assert_eq!(rates_between(&before, &after, Duration::from_millis(10)), None);
    }

    #[test]
    fn devices_that_come_go_or_start_again_make_no_rate() {
        let before = counts(&[("gone", 1 << 40, 0), ("reset", 5000, 7)]);
        let after = counts(&[("new", 1 << 40, 1 << 40), ("reset", 10, 9)]);
        let rates = rates_between(&before, &after, Duration::from_secs(2));
        assert_eq!(rates, Some(Rates { inward: 0.0, outward: 1.0 }));
    }

    proptest! {
        #[test]
        fn no_rate_is_negative(before: Vec<(u64, u64)>, after: Vec<(u64, u64)>, ms in 500u64..1_000_000) {
            let named = |counts: &[(u64, u64)]| -> Counts {
                counts.iter().enumerate().map(|(i, c)| (i.to_string(), Bytes { inward: c.0, outward: c.1 })).collect()
            };
            let rates = rates_between(&named(&before), &named(&after), Duration::from_millis(ms)).unwrap();
            prop_assert!(rates.inward >= 0.0 && rates.outward >= 0.0);
            prop_assert!(rates.inward.is_finite() && rates.outward.is_finite());
        }
    }
}
