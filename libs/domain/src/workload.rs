//! Who a record is about.

use bitcode::{Decode, Encode};
use std::fmt;
use std::sync::Arc;

/// Longest workload id accepted, in bytes.
pub const WORKLOAD_ID_BYTES_MAX: usize = 253;

/// Name of a VM or of a Kubernetes workload, unique in the installation. It is the key of every
/// record, so it decides the partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct WorkloadId(Arc<str>);

/// Why a text is no workload id, nor another name that is made as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadIdError {
    /// The text is empty.
    #[error("the name is empty: every workload, group and source needs one")]
    Empty,
    /// The text is longer than [`WORKLOAD_ID_BYTES_MAX`].
    #[error("the name has {bytes} bytes, at most {WORKLOAD_ID_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text has a control character.
    #[error("the name {text:?} has a control character")]
    ControlCharacter {
        /// The text.
        text: String,
    },
}

impl WorkloadId {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// When it is empty, too long or has control characters.
    pub fn new(text: &str) -> Result<Self, WorkloadIdError> {
        checked(text)?;
        Ok(Self(text.into()))
    }

    /// A name of this crate's own, which is known to be one.
    pub(crate) fn of_static(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv) of the name, with the finaliser of MurmurHash3 (Appleby), without
    /// which names that differ in their last letters alone have hashes near each other.
    pub(crate) fn hash64(&self) -> u64 {
        let begin = 0xcbf2_9ce4_8422_2325;
        let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut hash = self.0.bytes().fold(begin, fold);
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
        }
        hash ^ (hash >> 33)
    }
}

/// What makes a name.
pub(crate) fn checked(text: &str) -> Result<(), WorkloadIdError> {
    if text.is_empty() {
        return Err(WorkloadIdError::Empty);
    }
    if text.len() > WORKLOAD_ID_BYTES_MAX {
        return Err(WorkloadIdError::TooLong { bytes: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(WorkloadIdError::ControlCharacter { text: text.to_owned() });
    }
    Ok(())
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
