//! Restraints around every policy: how much capacity a workload may have, how far one action may
//! go, and how often actions may come.
//!
//! It must not know why a policy wants a change. Where it speaks it leaves a reason.

pub mod history;
pub mod pace;
pub mod room;
pub mod strain;

pub use history::{History, Published};
pub use pace::Pace;
pub use room::{Bounds, Room, Step};

/// All guardrails of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Guardrails {
    /// How much capacity the workload may have.
    pub bounds: Bounds,
    /// How far one action may go.
    pub step: Step,
    /// How often actions may come.
    pub pace: Pace,
    /// Fewest scored intervals behind a forecast that may change capacity; 0 asks for none.
    pub scored_min: u32,
    /// A decrease leaves at least this multiple of the demand measured last; 0 turns that off.
    pub live_floor: f64,
    /// Capacity grows where the demand measured last is at least this share of it, whatever the
    /// forecast says; 0 turns that off. Use that has come to its limit tells no forecast how much
    /// more is wanted.
    pub saturated_from: f64,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            step: Step::default(),
            pace: Pace::default(),
            scored_min: 0,
            live_floor: 1.0,
            saturated_from: 0.95,
        }
    }
}
