//! OpenStack, which is called: its driver runs beside the stage.

use super::{CloudEntry, DriverEntry, DriverRun, How};
use crate::openstack::{self, OpenStackConfig};
use anyhow::{Context as _, Result};
use prescale_chassis::SourceEntry;
use prescale_chassis::config::{PartKind, Parts};
use prescale_contracts::topics;
use prescale_domain::sample::Platform;

/// Its entry in the list of clouds.
pub(super) const ENTRY: CloudEntry = CloudEntry {
    platform: Platform::OPENSTACK,
    mechanisms: openstack::MECHANISMS,
    section: PartKind::of::<OpenStackConfig>(openstack::NAME),
    how: How::Driven(DriverEntry {
        source: SourceEntry { id: Some(openstack::SOURCE), topics: &[topics::ACTION_RESULTS] },
        is_on: |tables| table(tables).is_ok_and(|config| config.enabled),
        check: |tables| table(tables)?.check(),
        run,
    }),
};

fn table(tables: &Parts) -> Result<&OpenStackConfig> {
    tables.get(openstack::NAME).context("[actuator.openstack] was not read")
}

fn run(run: &DriverRun<'_>) -> Result<()> {
    openstack::run(table(run.tables)?, run.context, run.bus, run.stop)
}
