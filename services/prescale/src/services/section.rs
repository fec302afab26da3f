//! A service's section of the configuration: how it is read, shown and checked.

use crate::settings::Settings;
use anyhow::{Context as _, Result};
use prescale_chassis::{ConfigError, Loader};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
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
    pub const fn own<C>(check: fn(&Settings) -> Result<()>) -> Self
    where
        C: Any + Debug + Default + Serialize + DeserializeOwned + Send + Sync,
    {
        Self { read: read_own::<C>, shown: shown_own, check }
    }
}

fn read_own<C>(name: &'static str, loader: &Loader, settings: &mut Settings) -> Result<(), ConfigError>
where
    C: Any + Debug + Default + Serialize + DeserializeOwned + Send + Sync,
{
    let section: C = loader.section(name)?;
    settings.own.0.insert(name, Arc::new(section));
    Ok(())
}

fn shown_own(name: &'static str, settings: &Settings) -> Result<Value> {
    let section = settings.own.0.get(name).with_context(|| format!("[{name}] was not read"))?;
    section.as_ref().shown()
}

/// Sections of services that have no field of their own in [`Settings`], by name.
#[derive(Clone, Debug, Default)]
pub struct OwnSections(BTreeMap<&'static str, Arc<dyn OwnSection>>);

impl OwnSections {
    /// The section of that name; `None` where it was not read, or is no `C`.
    pub fn get<C: Any>(&self, name: &str) -> Option<&C> {
        self.0.get(name)?.as_ref().as_any().downcast_ref()
    }
}

/// A section of a type that only its service knows.
trait OwnSection: Debug + Send + Sync {
    fn shown(&self) -> Result<Value>;
    fn as_any(&self) -> &dyn Any;
}

impl<C: Any + Debug + Serialize + Send + Sync> OwnSection for C {
    fn shown(&self) -> Result<Value> {
        Ok(Value::try_from(self)?)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
