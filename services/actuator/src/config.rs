//! Configuration of the actuator: section `[actuator]`, in which each cloud has a table.

use crate::clouds::{CLOUDS, CloudEntry};
use prescale_chassis::config::{PartKind, Parts};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Section `[actuator]`: the tables of the clouds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Config(pub(crate) Parts);

impl Default for Config {
    fn default() -> Self {
        Self(Parts::defaults(CLOUDS.iter().map(|cloud| cloud.section)))
    }
}

impl TryFrom<Table> for Config {
    type Error = String;

    fn try_from(section: Table) -> Result<Self, String> {
        Self::read(&CLOUDS, &section)
    }
}

impl Config {
    /// The section as it stands in a file, with a table for each of `clouds`.
    ///
    /// # Errors
    /// With the key that is not known, or whose value does not fit.
    pub fn read(clouds: &[CloudEntry], section: &Table) -> Result<Self, String> {
        let kinds: Vec<PartKind> = clouds.iter().map(|cloud| cloud.section).collect();
        Parts::read(&kinds, &[], section).map(Self)
    }
}
