//! What every backend of the bus must do. Each property is one function over [`BusUnderTest`], so
//! that both backends are held to the same text.

pub mod backends;
pub mod dead_letters;
pub mod fixture;
pub mod reading;
pub mod restarts;
pub mod sharing;
pub mod stage;
pub mod stateless;
pub mod steps;
pub mod topics;

use prescale_bus::Bus;
use std::sync::Arc;

/// What is done to the stored snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They are deleted.
    Removed,
    /// Their second half is cut off.
    Truncated,
    /// A byte of the last slice of each is another one.
    Flipped,
    /// A newer one of each was begun and not finished.
    Unfinished,
}

/// A backend with an installation of its own: nothing in it yet.
pub trait BusUnderTest: Sync {
    /// Opens the bus as this instance; opening it again simulates a restart.
    fn open(&self, instance: &str) -> Arc<dyn Bus>;

    /// Damages all snapshots of a group; returns how many there were.
    fn damage_snapshots(&self, group: &str, damage: Damage) -> usize;

    /// How many snapshots of a group were put aside.
    fn rejected_snapshots(&self, group: &str) -> usize;
}
