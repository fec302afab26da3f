//! CloudEvents types (`ce_type`) of the records of topics that have several.

/// What a planner would do, on topic `proposals`.
pub const PROPOSAL: &str = "io.prescale.v1.Proposal";
/// What a planner sees of its part of a fleet, on topic `proposals`.
pub const FLEET_VIEW: &str = "io.prescale.v1.FleetView";
/// What an operator orders, or the governor's repetition of it, on topic `proposals`.
pub const ORDER: &str = "io.prescale.v1.Order";
/// What the governor held, on topic `proposals`.
pub const HELD: &str = "io.prescale.v1.Held";
/// What is to be done, on topic `actions`.
pub const ACTION: &str = "io.prescale.v1.Action";
/// That something is not to be done any more, on topic `actions`.
pub const WITHDRAWAL: &str = "io.prescale.v1.Withdrawal";
