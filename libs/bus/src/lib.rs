//! The bus: records in, state changed, records out and the input position moved, as one atomic
//! step. Two backends, one conformance suite.
//!
//! It must not know what the records mean: no Avro, no domain.

pub mod bus;
pub mod error;
pub mod record;
pub mod stage;
pub mod topic;

pub use bus::{Bus, CaughtUp, Lag, ReadFrom, RecordReader, Source, StageOptions};
pub use error::BusError;
pub use record::{ConsumedRecord, Header, OutputRecord};
pub use stage::{Outcome, Rejection, Stage, StageFactory, StageFailure};
pub use topic::{Cleanup, TopicSpec};
