//! Which of a workload's samples close a bin.

use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// How far the closes of a workload's bins were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Closing {
    /// The newest bin whose close was told; `None` before the first sample.
    told: Option<i64>,
}

impl Closing {
    /// Whether a sample, which tells of `step_s` seconds from `at` on, closes its bin of `bin_s` seconds, or shows that one has
    /// closed without a sample that did. Samples come in order.
    pub fn is_due(&mut self, at: EventTime, step_s: u32, bin_s: u32) -> bool {
        let bin = at.bin(bin_s);
        let is_last = at.plus_s(i64::from(step_s)).bin(bin_s) > bin;
        let closed = if is_last { bin } else { bin - 1 };
        let is_due = self.told.is_none_or(|told| told < closed);
        if is_due {
            self.told = Some(closed);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at_s: &[i64], step_s: u32) -> Vec<bool> {
        let mut closing = Closing::default();
        at_s.iter().map(|at_s| closing.is_due(EventTime::from_s(*at_s), step_s, 300)).collect()
    }

    #[test]
    fn a_bin_closes_once_with_its_last_sample_or_with_the_first_behind_it() {
        assert_eq!(due(&[300, 360, 420, 480, 540, 600, 660], 60), [true, false, false, false, true, false, false]);
        assert_eq!(due(&[300, 540, 600, 960], 60), [true, true, false, true], "960 shows that 600 to 900 has closed");
        assert_eq!(due(&[300, 600, 900], 300), [true; 3]);
        assert_eq!(due(&[3600, 7200], 3600), [true; 2]);
    }
}
