//! When an alarm is raised and when it ends.
//!
//! p-values of neighbouring bins say much the same, so no rule here takes them for independent. With bins of 300 s a
//! workload has 288 of them a day, and of ordinary ones
//!
//! - a lone bin raises at most `288 * lone_p_value_max` alarms a day (union bound);
//! - k of n bins raise at most `288 * n / k * raise_p_value_max` a day: n/k times the k-th least p-value is a p-value
//!   whatever the dependence (Rueger 1978);
//! - evidence raises at most `288 / exp(evidence_min)` a day where bins `correlated_bins` apart are independent: it is the
//!   mean over so many interleaved sums, each of which is an e-detector (Shin, Ramdas, Rinaldo 2022, "E-detectors"), of
//!   the e-value `1 / (2 * sqrt(p))` (Vovk and Wang 2021, "E-values").
//!
//! Alarms come in clusters, so there are fewer by a few times.

/// Length of a bin, in seconds.
pub(super) const BIN_S: u32 = 300;

/// Most bins that can be watched at a time.
pub(super) const WATCHED_BINS_MAX: u32 = 32;

/// When an alarm is raised and when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRules {
    /// A bin with at most this p-value is unusual: an alarm that lasts goes on.
    pub p_value_max: f64,
    /// So many bins with at most `raise_p_value_max` raise an alarm,
    pub raise_bins: u32,
    /// among so many.
    pub of_bins: u32,
    /// A bin with at most this p-value counts among those that raise an alarm.
    pub raise_p_value_max: f64,
    /// A bin with at most this p-value raises it alone.
    pub lone_p_value_max: f64,
    /// Evidence that has gathered over any number of bins and raises it, as a natural logarithm; 0 for never.
    pub evidence_min: f64,
    /// So many bins in a row say as much as one.
    pub correlated_bins: u32,
    /// So many usual bins in a row end it.
    pub end_bins: u32,
    /// Each alarm of its last days makes the next one of a workload ask for p-values that are lower by this factor, above
    /// 0 and up to 1: who alarms each day does so for a habit.
    pub again_ratio: f64,
    /// A workload or a KPI that was there for a day and is missing for so many bins while others of its source are heard
    /// of has fallen silent; more, where it often is missing. 0 for never.
    pub silent_bins: u32,
}

impl Default for AlarmRules {
    fn default() -> Self {
        Self {
            p_value_max: 1e-2,
            raise_bins: 2,
            of_bins: 3,
            raise_p_value_max: 1e-4,
            lone_p_value_max: 3e-5,
            evidence_min: 0.0,
            correlated_bins: 12,
            end_bins: 6,
            again_ratio: 0.1,
            silent_bins: 6,
        }
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
        if !(self.raise_p_value_max >= 0.0 && self.raise_p_value_max <= self.p_value_max) {
            return wrong("raise_p_value_max", self.raise_p_value_max.to_string(), "give 0 up to p_value_max");
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
        if !(self.evidence_min >= 0.0 && self.evidence_min <= 100.0) {
            return wrong("evidence_min", self.evidence_min.to_string(), "give 0 to 100");
        }
        if !(1..=288).contains(&self.correlated_bins) {
            return wrong("correlated_bins", self.correlated_bins.to_string(), "give 1 to 288");
        }
        if !(1..=WATCHED_BINS_MAX).contains(&self.end_bins) {
            return wrong("end_bins", self.end_bins.to_string(), "give 1 to 32");
        }
        if !(self.again_ratio > 0.0 && self.again_ratio <= 1.0) {
            return wrong("again_ratio", self.again_ratio.to_string(), "give a factor above 0 and up to 1");
        }
        if self.silent_bins > 288 {
            return wrong("silent_bins", self.silent_bins.to_string(), "give at most 288");
        }
        Ok(())
    }
}
