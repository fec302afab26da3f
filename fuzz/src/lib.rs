//! What the fuzz targets in `tests/` share: changes to something that was sound.

/// One change of a byte string.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Puts a byte in the place of another.
    Put(u32, u8),
    /// Ends it there.
    Cut(u32),
    /// Repeats some bytes from there on.
    Repeat(u32, u8),
    /// Takes some bytes out.
    Remove(u32, u8),
}

impl Change {
    /// The change that these numbers name.
    pub fn from_numbers(kind: u8, at: u32, byte: u8) -> Self {
        match kind % 8 {
            0 => Self::Cut(at),
            1 => Self::Repeat(at, byte),
            2 => Self::Remove(at, byte),
            _ => Self::Put(at, byte),
        }
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        let place = |at: u32| at as usize % length;
        match self {
            Self::Put(at, byte) => {
                if let Some(there) = bytes.get_mut(place(at)) {
                    *there = byte;
                }
            }
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Repeat(at, count) => {
                let upto = bytes.len().min(place(at) + usize::from(count));
                let repeated = bytes.get(place(at)..upto).unwrap_or_default().to_vec();
                bytes.splice(upto..upto, repeated);
            }
            Self::Remove(at, count) => {
                let upto = bytes.len().min(place(at) + usize::from(count));
                bytes.drain(place(at).min(upto)..upto);
            }
        }
    }
}

/// Numbers that a fuzzer makes for one [`Change`].
pub type Numbers = (u8, u32, u8);

/// `sound` with the changes, one after the other.
pub fn changed(sound: &[u8], changes: &[Numbers]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for (kind, at, byte) in changes {
        Change::from_numbers(*kind, *at, *byte).apply(&mut bytes);
    }
    bytes
}
