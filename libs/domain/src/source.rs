//! Which stream a record came from.

use crate::workload::{WorkloadIdError, checked};
use bitcode::{Decode, Encode};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Name of a stream of samples, such as `host:NAME`, `fleet:NAME` or `replay:FILE`. Its workloads have one clock, and
/// are a fleet where no other is configured, so what makes a workload's id makes one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// As [`crate::workload::WorkloadId::new`].
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, WorkloadIdError> {
        let text = text.into();
        checked(&text)?;
        Ok(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Deref for SourceName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_as_a_workload_is() {
        let name = SourceName::new("fleet:web").unwrap();
        assert_eq!((name.as_str(), name.to_string()), ("fleet:web", "fleet:web".to_owned()));
        assert_eq!(SourceName::new(""), Err(WorkloadIdError::Empty));
        assert_eq!(SourceName::new("x".repeat(254)), Err(WorkloadIdError::TooLong { bytes: 254 }));
        assert!(matches!(SourceName::new("a\nb"), Err(WorkloadIdError::ControlCharacter { .. })));
    }
}
