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

use crate::forecast::capped::CAPPED_FROM;

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
    /// Live use may take at most this share of the capacity: more than that demands an increase that nothing but
    /// bounds can hold, and no decrease goes below it.
    pub floor_utilisation: f64,
    /// Use above that demands an increase once it has lasted so long, in seconds.
    pub surge_s: u32,
    /// Use below that ends such a stretch once it has lasted so long, in seconds.
    pub floor_window_s: u32,
    /// From this share of the capacity on, use is taken to be capped by it: it tells how much there is and not how much
    /// is wanted, and capacity grows by the largest step. 0 where use can pass the capacity.
    pub capped_from: f64,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            step: Step::default(),
            pace: Pace::default(),
            scored_min: 0,
            floor_utilisation: 0.95,
            surge_s: 120,
            floor_window_s: 300,
            capped_from: CAPPED_FROM,
        }
    }
}
