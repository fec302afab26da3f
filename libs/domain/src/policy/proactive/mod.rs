//! The proactive policy's core: simple rules are tried on each series all the time, and the one that would have cost
//! least serves it, at prices that are chosen for the whole fleet.
//!
//! It must not know workloads, mechanisms or guardrails: it says what capacity one demand should have.

pub mod budget;
pub mod demand;
pub mod onset;
pub mod peers;
pub mod prices;
pub mod propose;
pub mod reactive;
pub mod rule;
pub mod settings;
pub mod track;
pub mod trial;

pub use budget::Budget;
pub use demand::{BIN_S, DemandRing};
pub use prices::{Aim, CHANGES_PER_DAY_MAX, CostParts, Prices, Weights};
pub use rule::{FORECAST_LEVELS, RULES, Rule};
pub use settings::{AimName, Proactive};
pub use track::{Ahead, Alternative, Asked, BudgetShare, ForecastAhead, Measure, RuleCost, Settings, Track};
pub use trial::{BinDemand, Deadband, Worth};
