//! When an alarm is raised and when it ends.

/// Length of a bin, in seconds.
pub(super) const BIN_S: u32 = 300;

/// Most bins that can be watched at a time.
pub(super) const WATCHED_BINS_MAX: u32 = 32;

/// When an alarm is raised and when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRules {
    /// A bin with at most this p-value is unusual.
    pub p_value_max: f64,
    /// So many unusual bins raise an alarm,
    pub raise_bins: u32,
    /// among so many.
    pub of_bins: u32,
    /// A bin with at most this p-value raises it alone.
    pub lone_p_value_max: f64,
    /// So many usual bins in a row end it.
    pub end_bins: u32,
}

impl Default for AlarmRules {
    fn default() -> Self {
        Self { p_value_max: 1e-3, raise_bins: 2, of_bins: 3, lone_p_value_max: 1e-6, end_bins: 6 }
    }
}

/// Rules that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: {problem}")]
pub struct AlarmRulesError {
    /// Which.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it has to be.
    pub problem: &'static str,
}

impl AlarmRules {
    /// Checks them.
    ///
    /// # Errors
    /// With the first that is out of range.
    pub fn validate(&self) -> Result<(), AlarmRulesError> {
        let wrong = |key, value: String, problem| Err(AlarmRulesError { key, value, problem });
        let is_share = |p: f64| p > 0.0 && p < 1.0;
        if !is_share(self.p_value_max) {
            return wrong("p_value_max", self.p_value_max.to_string(), "give a share between 0 and 1");
        }
        if !(self.lone_p_value_max >= 0.0 && self.lone_p_value_max <= self.p_value_max) {
            return wrong("lone_p_value_max", self.lone_p_value_max.to_string(), "give 0 up to p_value_max");
        }
        if !(1..=WATCHED_BINS_MAX).contains(&self.of_bins) {
            return wrong("of_bins", self.of_bins.to_string(), "give 1 to 32");
        }
        if !(1..=self.of_bins).contains(&self.raise_bins) {
            return wrong("raise_bins", self.raise_bins.to_string(), "give 1 up to of_bins");
        }
        if !(1..=WATCHED_BINS_MAX).contains(&self.end_bins) {
            return wrong("end_bins", self.end_bins.to_string(), "give 1 to 32");
        }
        Ok(())
    }
}
