//! The name of what runs a workload.

use bitcode::{Decode, Encode};
use std::fmt;

/// Longest name of a platform, in bytes.
pub const PLATFORM_BYTES_MAX: usize = 24;

/// What runs a workload, and so which cloud can change its capacity, by name: 1 to [`PLATFORM_BYTES_MAX`] small letters,
/// digits and hyphens. The set is open; a name that no cloud serves is carried along, and nobody changes its capacity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Platform([u8; PLATFORM_BYTES_MAX]);

/// Why a text is no name of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// It is empty or too long.
    #[error("a platform's name has 1 to {PLATFORM_BYTES_MAX} bytes, this one has {bytes}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// It has a byte that names do not have.
    #[error("byte 0x{byte:02x} of a platform's name is no small letter, digit or hyphen")]
    Character {
        /// The byte.
        byte: u8,
    },
}

impl Platform {
    /// Observed only; no one can change its capacity (a host, a replayed trace).
    pub const OBSERVED_ONLY: Self = Self::named("observed-only");
    /// The simulated cloud.
    pub const SIMULATED: Self = Self::named("simulated");
    /// Kubernetes.
    pub const KUBERNETES: Self = Self::named("kubernetes");
    /// OpenStack.
    pub const OPENSTACK: Self = Self::named("openstack");

    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than small letters, digits and hyphens.
    pub const fn new(name: &str) -> Result<Self, PlatformError> {
        let name = name.as_bytes();
        if name.is_empty() || name.len() > PLATFORM_BYTES_MAX {
            return Err(PlatformError::Length { bytes: name.len() });
        }
        let mut bytes = [0; PLATFORM_BYTES_MAX];
        let mut i = 0;
        while i < name.len() {
            let byte = name[i];
            if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return Err(PlatformError::Character { byte });
            }
            bytes[i] = byte;
            i += 1;
        }
        Ok(Self(bytes))
    }

    /// A name that stands in the code, for constants: a wrong one does not compile there.
    ///
    /// # Panics
    /// When it is none, elsewhere than in a constant.
    pub const fn named(name: &'static str) -> Self {
        match Self::new(name) {
            Ok(platform) => platform,
            Err(_) => panic!("it is no name of a platform"),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_what_it_was_made_of(name in "[a-z0-9-]{1,24}", other in "[a-z0-9-]{1,24}") {
            let platform = Platform::new(&name).unwrap();
            prop_assert_eq!(platform.as_str(), &name);
            prop_assert_eq!(platform.to_string(), name.clone());
            prop_assert_eq!(platform == Platform::new(&other).unwrap(), name == other);
            let again: Platform = bitcode::decode(&bitcode::encode(&platform)).unwrap();
            prop_assert_eq!(again, platform);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(Platform::new(""), Err(PlatformError::Length { bytes: 0 }));
        assert_eq!(Platform::new(&"x".repeat(25)), Err(PlatformError::Length { bytes: 25 }));
        for (text, byte) in [("Kubernetes", b'K'), ("a b", b' '), ("a\0", 0), ("a_b", b'_')] {
            assert_eq!(Platform::new(text), Err(PlatformError::Character { byte }));
        }
    }
}
