//! Configuration of the fingerprinter: section `[fingerprinter]`.

use anyhow::Context as _;
use prescale_domain::stream::admission::AdmissionSettings;
use prescale_domain::stream::impossible::IMPOSSIBLE_ABOVE;
use prescale_domain::window::{LONG_PANES, SHORT_SLOTS_MAX, WindowSettings};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::sql::query::statement;

/// Names what is computed beside the statement; goes up when that changes.
const SEASONS_AND_AUTOCORRELATION: &str = "seasons and autocorrelation 1";

/// Section `[fingerprinter]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Length of the short window, in seconds; a multiple of 12.
    pub short_window_s: u32,
    /// Length of the long window, in seconds; a multiple of 168. 604800 is seven days.
    pub long_window_s: u32,
    /// A sample may come so many steps after a newer one of its source; later ones go to the dead
    /// letter queue. A gap is waited for as long, and what is missing of a sample one step more.
    pub lateness_steps: u32,
    /// A sample so many seconds ahead of its source does not move its source's clock unless
    /// another one agrees.
    pub future_bound_s: u32,
    /// A sample so many seconds ahead of its source goes to the dead letter queue, unless the one
    /// before it agrees.
    pub future_reject_s: u32,
    /// CPU or memory use above so many times the sample's capacity is no measurement and counts as missing; where
    /// most values of a workload are, its capacity counts as unknown. Kubernetes workloads burst beyond their requests.
    pub impossible_above: f64,
    /// Features added by SQL: name = aggregate expression over the columns of the window table,
    /// such as `spread = "max(max) - min(min)"`.
    pub features: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            short_window_s: 3600,
            long_window_s: 7 * 86_400,
            lateness_steps: 2,
            future_bound_s: 300,
            future_reject_s: 86_400,
            impossible_above: IMPOSSIBLE_ABOVE,
            features: BTreeMap::new(),
        }
    }
}

/// The configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Lengths of the windows.
    pub windows: WindowSettings,
    /// What is admitted.
    pub admission: AdmissionSettings,
    /// Use above so many times the capacity cannot be.
    pub impossible_above: f64,
    /// Features added by SQL, by name.
    pub features: BTreeMap<String, String>,
    /// First 16 hex digits of the SHA-256 over the feature set's definition.
    pub feature_schema_hash: Arc<str>,
}

impl Config {
    /// Checks the values that need no DataFusion.
    ///
    /// # Errors
    /// When a value is out of its range, with the key.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let windows = WindowSettings::new(self.short_window_s, self.long_window_s)
            .context("[fingerprinter] has wrong windows")?;
        anyhow::ensure!(
            self.lateness_steps <= 64,
            "[fingerprinter] lateness_steps = {}: at most 64, each workload waits that long at a gap",
            self.lateness_steps
        );
        anyhow::ensure!(
            self.future_bound_s <= self.future_reject_s,
            "[fingerprinter] future_bound_s = {} is above future_reject_s = {}: swap them",
            self.future_bound_s,
            self.future_reject_s
        );
        anyhow::ensure!(
            self.impossible_above >= 1.0 && self.impossible_above.is_finite(),
            "[fingerprinter] impossible_above = {}: at least 1, since all of a capacity may be in use",
            self.impossible_above
        );
        Ok(Settings {
            windows,
            admission: AdmissionSettings {
                lateness_steps: self.lateness_steps,
                ahead_s: self.future_bound_s,
                reject_ahead_s: self.future_reject_s,
                forget_after_s: self.long_window_s + self.long_window_s / LONG_PANES as u32,
            },
            impossible_above: self.impossible_above,
            features: self.features.clone(),
            feature_schema_hash: self.feature_schema_hash().into(),
        })
    }

    fn feature_schema_hash(&self) -> String {
        let definition = [
            statement(&self.features),
            SEASONS_AND_AUTOCORRELATION.to_owned(),
            format!("short {} s in {SHORT_SLOTS_MAX}", self.short_window_s),
            format!("long {} s in {LONG_PANES}", self.long_window_s),
        ];
        let mut hash = Sha256::new();
        for part in definition {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_names_the_feature_set() {
        let plain = Config::default();
        let longer = Config { short_window_s: 7200, ..Config::default() };
        let added = Config { features: [("spread".to_owned(), "max(max)".to_owned())].into(), ..Config::default() };
        let hash = |config: &Config| config.settings().unwrap().feature_schema_hash;
        assert_eq!(hash(&plain).len(), 16);
        assert_eq!(hash(&plain), hash(&Config { lateness_steps: 3, ..Config::default() }));
        assert_ne!(hash(&plain), hash(&longer));
        assert_ne!(hash(&plain), hash(&added));
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |config: Config| format!("{:#}", config.settings().unwrap_err());
        assert!(message(Config { short_window_s: 7, ..Config::default() }).contains("short_window_s = 7"));
        assert!(message(Config { lateness_steps: 65, ..Config::default() }).contains("lateness_steps = 65"));
        for impossible_above in [0.5, f64::NAN, f64::INFINITY] {
            assert!(message(Config { impossible_above, ..Config::default() }).contains("impossible_above"));
        }
        assert!(message(Config { future_bound_s: 90_000, ..Config::default() }).contains("future_reject_s"));
    }
}
