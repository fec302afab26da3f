//! The clouds, in one list: whose capacity each changes, how, and what it reads of the configuration. The stage and what
//! runs beside it go over the list, so a cloud is its module and its entry.

mod kubernetes;
mod openstack;
pub mod simulated;

#[cfg(test)]
mod tests;

use anyhow::Result;
use prescale_bus::Bus;
use prescale_chassis::config::{PartKind, Parts};
use prescale_chassis::{Context, SourceEntry};
use prescale_domain::action::{Action, ActionResult, Mechanism};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A cloud.
#[derive(Clone, Copy)]
pub struct CloudEntry {
    /// Platform of the workloads whose capacity it changes.
    pub platform: Platform,
    /// How it can change it. What asks for another mechanism never reaches the cloud.
    pub mechanisms: &'static [Mechanism],
    /// Its table in section `[actuator]`, under the platform's name.
    pub section: PartKind,
    /// How its actions are carried out.
    pub how: How,
}

/// How a cloud's actions are carried out.
#[derive(Clone, Copy)]
pub enum How {
    /// By the stage: it is pure, and part of the stage's state. Checks its table, which is among these, and makes what
    /// makes the cloud.
    InStage(fn(&Parts) -> Result<Arc<dyn CloudFactory>>),
    /// By a driver beside the stage, which calls it. While that is off the stage answers that nobody does.
    Driven(DriverEntry),
}

/// What drives a real cloud.
#[derive(Clone, Copy)]
pub struct DriverEntry {
    /// The source that writes its results.
    pub source: SourceEntry,
    /// Whether the tables ask for it.
    pub is_on: fn(&Parts) -> bool,
    /// Checks its table.
    pub check: fn(&Parts) -> Result<()>,
    /// Runs it until the shutdown.
    pub run: fn(&DriverRun<'_>) -> Result<()>,
}

/// What a driver is run with.
pub struct DriverRun<'a> {
    /// The tables, of which it takes its own.
    pub tables: &'a Parts,
    /// The installation.
    pub context: &'a Context,
    /// The bus.
    pub bus: &'a dyn Bus,
    /// When to end.
    pub stop: &'a CancellationToken,
}

/// Makes a cloud for each partition.
pub trait CloudFactory: Send + Sync {
    /// One that was never asked for anything.
    fn create(&self) -> Box<dyn Cloud>;

    /// One from its snapshot.
    ///
    /// # Errors
    /// When the bytes are no snapshot of it.
    fn restore(&self, snapshot: &[u8]) -> Result<Box<dyn Cloud>, String>;
}

/// A cloud as one partition's workloads see it: a function of the actions that it was given. What it does must not reach
/// beyond its own state, since the bus may apply actions again.
pub trait Cloud: Send {
    /// Carries out an action, as at the instant that it was decided. An id that was answered gets the same answer again.
    fn apply(&mut self, action_id: &Arc<str>, action: &Action) -> ActionResult;

    /// An action on the workload that was decided at `decided_at` or before is not to be carried out any more.
    fn withdraw(&mut self, workload: &WorkloadId, decided_at: EventTime);

    /// Price of a capacity per hour; `None` when unknown.
    fn price_per_h(&self, capacity: &Capacity) -> Option<f64>;

    /// Its state.
    fn snapshot(&self) -> Vec<u8>;
}

/// The clouds that ship.
pub static CLOUDS: [CloudEntry; 3] = [simulated::ENTRY, kubernetes::ENTRY, openstack::ENTRY];

/// The drivers that these tables ask for, each with its cloud.
pub fn driven<'a>(clouds: &'a [CloudEntry], tables: &'a Parts) -> impl Iterator<Item = (&'a CloudEntry, DriverEntry)> {
    clouds.iter().filter_map(|cloud| match cloud.how {
        How::Driven(driver) if (driver.is_on)(tables) => Some((cloud, driver)),
        How::Driven(_) | How::InStage(_) => None,
    })
}
