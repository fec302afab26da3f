//! A service's section of the configuration: how it is read, shown and checked.

use crate::settings::Settings;
use anyhow::Result;
use prescale_chassis::config::PartType;
use prescale_chassis::{ConfigError, Loader};
use toml::Value;

/// What is done with a section.
#[derive(Clone, Copy)]
pub struct Section {
    /// Reads the section of that name into the settings.
    pub(crate) read: fn(&'static str, &Loader, &mut Settings) -> Result<(), ConfigError>,
    /// The section of that name as it is in force. Secrets are not shown.
    pub(crate) shown: fn(&'static str, &Settings) -> Result<Value>,
    /// Refuses what no type can: ranges, keys that contradict each other, files that are named.
    pub(crate) check: fn(&Settings) -> Result<()>,
}

/// A section with a field of its own in [`Settings`].
macro_rules! of {
    ($field:ident, $check:expr) => {
        Section {
            read: |name, loader, settings| {
                settings.$field = loader.section(name)?;
                Ok(())
            },
            shown: |_, settings| Ok(toml::Value::try_from(&settings.$field)?),
            check: $check,
        }
    };
}
pub(super) use of;

impl Section {
    /// A section that [`Settings::own`] keeps under its name, as a `C`.
    pub const fn own<C: PartType>(check: fn(&Settings) -> Result<()>) -> Self {
        Self { read: read_own::<C>, shown: shown_own::<C>, check }
    }
}

fn read_own<C: PartType>(name: &'static str, loader: &Loader, settings: &mut Settings) -> Result<(), ConfigError> {
    settings.own.put(name, loader.section::<C>(name)?);
    Ok(())
}

/// The defaults where it was not read.
fn shown_own<C: PartType>(name: &'static str, settings: &Settings) -> Result<Value> {
    match settings.own.shown(name)? {
        Some(shown) => Ok(shown),
        None => Ok(Value::try_from(C::default())?),
    }
}
