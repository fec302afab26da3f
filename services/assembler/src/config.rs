//! Configuration of the assembler: section `[assembler]`.

use anyhow::{Result, ensure};
use prescale_domain::stream::assembly::AssemblySettings;
use serde::{Deserialize, Serialize};

/// Longest time that points or numbers are kept for others, in seconds.
const WAIT_S_MAX: u32 = 3_600;

/// Section `[assembler]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Whether samples are made of points although no input of this configuration writes any: of those of other
    /// producers. Where one does, they are made anyway.
    pub enabled: bool,
    /// A point may come so many seconds after a newer one of its source; a sample is made so much later than its step
    /// ends.
    pub lateness_s: u32,
    /// A point so many seconds ahead of its source does not move its source's clock unless another one agrees.
    pub future_bound_s: u32,
    /// A series without a point counts with its last number for so many seconds, and then has ended.
    pub carried_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, lateness_s: 60, future_bound_s: 300, carried_s: 300 }
    }
}

impl Config {
    /// How points are taken, checked.
    ///
    /// # Errors
    /// With the key that is out of range.
    pub fn settings(&self) -> Result<AssemblySettings> {
        let Self { lateness_s, future_bound_s: ahead_s, carried_s, .. } = *self;
        for (key, seconds) in [("lateness_s", lateness_s), ("carried_s", carried_s)] {
            ensure!(seconds <= WAIT_S_MAX, "[assembler] {key} = {seconds}: at most {WAIT_S_MAX} are possible");
        }
        Ok(AssemblySettings { lateness_s, ahead_s, carried_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_with_its_key() {
        let config = |text: &str| toml::from_str::<Config>(text).unwrap();
        let settings = config("lateness_s = 30\n").settings().unwrap();
        assert_eq!(settings, AssemblySettings { lateness_s: 30, ahead_s: 300, carried_s: 300 });
        for key in ["lateness_s", "carried_s"] {
            let error = config(&format!("{key} = 3601\n")).settings().unwrap_err().to_string();
            assert!(error.starts_with(&format!("[assembler] {key} = 3601")), "{error}");
        }
    }
}
