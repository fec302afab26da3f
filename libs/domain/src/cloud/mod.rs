//! The simulated cloud: capacity that takes time to come, quotas, prices and failures, as a pure
//! state machine in event time.
//!
//! It must not know why it is asked for anything. It treats a request as a cloud with idempotency
//! tokens would: the same id again gets the same answer and changes nothing.

pub mod price;
pub mod schedule;
pub mod simulated;

pub use price::{InstanceType, PriceList};
pub use schedule::CapacitySchedule;
pub use simulated::{CloudRules, SimulatedCloud};
