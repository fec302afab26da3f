//! A pipeline with a history behind every workload, made in a fraction of the time that its samples would take through
//! the log: some of the workloads live it, in memory and by the stages' own code, and the others are copies of them.

pub mod crowd;
pub mod stages;

pub use crowd::Crowd;
pub use stages::{WarmStages, without_snapshots};
