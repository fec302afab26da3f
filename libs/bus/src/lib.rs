//! The bus: records in, state changed, records out and the input position moved, as one atomic
//! step. Two backends, one conformance suite.
//!
//! It must not know what the records mean: no Avro, no domain.

pub mod backoff;
pub mod bus;
pub mod crash_point;
pub mod dlq;
pub mod embedded;
pub mod error;
mod framing;
pub mod kafka;
pub mod partitioner;
pub mod record;
mod snapshot;
pub mod stage;
pub mod state_schema;
mod step;
pub mod stored;
pub mod topic;
mod wait;
mod write;

pub use backoff::Backoff;
pub use bus::{Bus, CaughtUp, Lag, ReadFrom, RecordReader, Source, StageOptions};
pub use error::BusError;
pub use record::{ConsumedRecord, Header, HeaderName, HeaderValue, OutputRecord};
pub use stage::{Outcome, Reach, Rejection, Stage, StageFactory, StageFailure};
pub use state_schema::{SettingChange, StateSchema};
pub use stored::{KeptLog, StoredState};
pub use topic::{Cleanup, TopicSpec};
pub use wait::cancelled_within;
