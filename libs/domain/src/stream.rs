//! From records as they come to the samples of each workload in order, each once.
//!
//! Event time only: nothing here knows when a record arrived. So the check against a wall clock
//! ("more than 5 minutes in the future") is not made here: it belongs to the collector, which
//! has a clock. What is checked here follows from the log alone:
//!
//! - [`validity`]: samples that cannot be.
//! - [`impossible`]: values that cannot be, in samples of which the rest can.
//! - [`source_clock`]: how far a source has come. One instant far ahead of the others does not
//!   move the clock (it would make everybody else late): another sample must agree with it.
//! - [`parts`]: samples that come in several records, and whether one is whole.
//! - [`reassembly`]: one workload's samples in order. A whole sample that directly follows the last
//!   one goes out at once; one that leaves a gap waits until the gap is filled or can no longer
//!   be. One that lacks a part waits until that has come, or until the watermark has passed it, since
//!   only then no part of it can come; so does a workload's first one, of which nobody knows what it lacks.
//! - [`admission`]: these for all sources and workloads of a partition.
//! - [`silence`]: who has been silent for so long that a stage may forget it.
//! - [`counter`]: running totals to rates.
//! - [`assembly`]: samples of points, each once its bin is over.
//!
//! [`replicas`] is for the edge: of several senders of the same series, who is taken, by when they sent.

pub mod admission;
pub mod assembly;
pub mod counter;
pub mod impossible;
pub mod parts;
pub mod reassembly;
pub mod replicas;
pub mod silence;
pub mod source_clock;
pub mod validity;
