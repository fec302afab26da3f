//! A generated fleet: workloads of the kinds that real fleets have, which feel the capacity that
//! they are given.
//!
//! The demand of a workload at an instant follows from the seed, its number and the instant alone
//! ([`FleetWorkload::unconstrained_demand`]). What a sample shows is that demand as the capacity
//! lets it through ([`serve`]). Only the capacity and the running totals are carried along
//! ([`FleetState`]).
//!
//! It must not know clocks, the bus, or who changes its capacity and why.

pub mod archetype;
pub mod draw;
pub mod generator;
pub mod incidents;
pub mod load;
pub mod serving;
pub mod workload;

pub use archetype::Archetype;
pub use generator::{Fleet, FleetSettings, FleetState, NETWORK_TRANSMIT_BYTES_TOTAL};
pub use incidents::{IncidentKind, InjectedIncident, Injection};
pub use serving::{Demand, Requests, Served, ServedRequests, serve};
pub use workload::FleetWorkload;
