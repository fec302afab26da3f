//! Who belongs together, as several services read it of the sections of others.

use super::{ConfigError, FleetsConfig, FleetsSection, GroupsConfig, GroupsSection, Loader};

/// Who belongs together.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// `[governor.fleets]`: which fleet a workload belongs to.
    pub fleets: &'a FleetsConfig,
    /// `[grouper.groups]`: the groups, which rules may name and whose members are related.
    pub groups: &'a GroupsConfig,
}

impl Named<'_> {
    /// The fleets and the groups as a service's own process reads them.
    ///
    /// # Errors
    /// With the place of what cannot be read or is not known.
    pub fn read(loader: &Loader) -> Result<(FleetsConfig, GroupsConfig), ConfigError> {
        let FleetsSection { fleets, .. } = loader.section("governor")?;
        let GroupsSection { groups, .. } = loader.section("grouper")?;
        Ok((fleets, groups))
    }
}
