//! What is watched of a workload's live use, whichever policy decides: its peaks, surges over what it has, and whether it is
//! throttled.
//!
//! It must not know policies nor mechanisms: it says what use asks for, and what it has been like.

pub mod peaks;
pub mod surge;
pub mod throttling;

pub use peaks::Peaks;
pub use surge::{Surge, SurgeRules, Surges};
pub use throttling::Throttling;

use bitcode::{Decode, Encode};

/// The live use of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Live {
    /// Of CPU.
    pub cpu: Peaks,
    /// Of memory.
    pub memory: Peaks,
    /// Of CPU over what is asked for.
    pub surges: Surges,
    /// Of CPU.
    pub throttling: Throttling,
}

impl Live {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.cpu.heap_bytes() + self.memory.heap_bytes() + self.surges.heap_bytes() + self.throttling.heap_bytes()
    }
}
