//! How much of a fleet may change, and when nothing may shrink.

/// The governor's rules. Shares are of the fleet's known workloads.
#[derive(Clone, Debug, PartialEq)]
pub struct GovernorRules {
    /// Largest share of a fleet that changes within `changed_window_s`; at least one workload may.
    pub changed_share_max: f64,
    /// The window of `changed_share_max`, in seconds of event time.
    pub changed_window_s: u32,
    /// Most scale-ins within an hour of event time, as a share of the fleet; at least two may be.
    pub scale_ins_per_h_max_share: f64,
    /// Largest share of a fleet that grows within `changed_window_s` for the sake of forecasts alone; ten workloads
    /// always may.
    pub wanted_share_max: f64,
    /// Nothing shrinks while at least this share of the fleet is gone or silent.
    pub gone_share_max: f64,
    /// Nothing shrinks while more than this share of the fleet lost one of its KPIs.
    pub migrated_share_max: f64,
    /// A partition that is behind the others by more is silent, in seconds of event time; also so long what
    /// shrinks waits for one that is behind.
    pub patience_s: u32,
}

impl Default for GovernorRules {
    fn default() -> Self {
        Self {
            changed_share_max: 0.1,
            changed_window_s: 600,
            scale_ins_per_h_max_share: 0.3,
            wanted_share_max: 0.5,
            gone_share_max: 0.6,
            migrated_share_max: 0.2,
            patience_s: 900,
        }
    }
}

/// A rule that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} = {value}: {remedy}")]
pub struct GovernorRulesError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// What to do.
    pub remedy: &'static str,
}

/// Longest window and patience, in seconds.
const LONGEST_S: u32 = 86_400;

impl GovernorRules {
    /// Checks the rules.
    ///
    /// # Errors
    /// With the first setting that is out of range.
    pub fn validate(&self) -> Result<(), GovernorRulesError> {
        let shares = [
            ("changed_share_max", self.changed_share_max),
            ("scale_ins_per_h_max_share", self.scale_ins_per_h_max_share),
            ("wanted_share_max", self.wanted_share_max),
            ("gone_share_max", self.gone_share_max),
            ("migrated_share_max", self.migrated_share_max),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(GovernorRulesError { key, value, remedy: "give a share from 0 to 1" });
            }
        }
        if self.gone_share_max == 0.0 {
            let remedy = "give a share above 0: with 0 nothing would ever shrink";
            return Err(GovernorRulesError { key: "gone_share_max", value: 0.0, remedy });
        }
        for (key, value) in [("changed_window_s", self.changed_window_s), ("patience_s", self.patience_s)] {
            if !(300..=LONGEST_S).contains(&value) {
                return Err(GovernorRulesError { key, value: value.into(), remedy: "300 to 86400 are possible" });
            }
        }
        Ok(())
    }

    /// How many workloads of a fleet of so many may change within the window.
    pub fn changed_max(&self, known: u32) -> usize {
        share_of(known, self.changed_share_max).max(1)
    }

    /// How many workloads of a fleet of so many may grow within the window where nothing but forecasts wants it.
    pub fn wanted_max(&self, known: u32) -> usize {
        share_of(known, self.wanted_share_max).max(10)
    }

    /// How many workloads of a fleet of so many may shrink within an hour.
    pub fn scale_ins_max(&self, known: u32) -> usize {
        share_of(known, self.scale_ins_per_h_max_share).max(2)
    }
}

fn share_of(known: u32, share: f64) -> usize {
    // A share such as 0.1 of 30 is three, though the product is a little less in floating point.
    (f64::from(known) * share + 1e-9).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_small_fleet_leave_one_change_and_two_scale_ins() {
        let rules = GovernorRules::default();
        assert_eq!(rules.validate(), Ok(()));
        assert_eq!((rules.changed_max(3), rules.scale_ins_max(3)), (1, 2));
        assert_eq!((rules.changed_max(50), rules.scale_ins_max(50)), (5, 15));
        assert_eq!((rules.changed_max(30), rules.scale_ins_max(0)), (3, 2));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let wrong = |change: fn(&mut GovernorRules)| {
            let mut rules = GovernorRules::default();
            change(&mut rules);
            rules.validate().unwrap_err().to_string()
        };
        assert!(wrong(|r| r.changed_share_max = 1.5).contains("changed_share_max = 1.5"));
        assert!(wrong(|r| r.migrated_share_max = f64::NAN).contains("migrated_share_max"));
        assert!(wrong(|r| r.gone_share_max = 0.0).contains("gone_share_max = 0"));
        assert!(wrong(|r| r.patience_s = 1).contains("patience_s = 1"));
    }
}
