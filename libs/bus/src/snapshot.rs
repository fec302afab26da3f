//! A snapshot of one partition's state, as both backends store it: a head that says what it is of, and the state in
//! slices, each checked before any of it is believed.
//!
//! A snapshot is an optimisation. Whatever is wrong with one, the state can be had from the log.

use crate::framing::{put_bytes, take_array, take_bytes};
use crate::state_schema::StateSchema;
use crc32fast::Hasher;
use std::slice::Chunks;

const MAGIC: &[u8; 8] = b"PRSNAP02";
/// Bytes of a slice; the last one may have fewer.
pub(crate) const SLICE_BYTES: usize = 4 << 20;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotOf {
    /// Backend, group, topic and partition.
    pub(crate) identity: String,
    /// [`crate::StageFactory::state_schema`].
    pub(crate) state_schema: String,
}

/// A part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice<'a> {
    pub(crate) checksum: u32,
    pub(crate) bytes: &'a [u8],
}

/// A state in slices, which are checked one by one as they are asked for.
pub(crate) struct Slices<'a> {
    left: Chunks<'a, u8>,
    whole: Hasher,
}

impl<'a> Slices<'a> {
    pub(crate) fn of(state: &'a [u8]) -> Self {
        Self { left: state.chunks(SLICE_BYTES), whole: Hasher::new() }
    }

    /// Checksum of all slices that were asked for.
    pub(crate) fn checksum(&self) -> u32 {
        self.whole.clone().finalize()
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = Slice<'a>;

    fn next(&mut self) -> Option<Slice<'a>> {
        let bytes = self.left.next()?;
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        self.whole.combine(&hasher);
        Some(Slice { checksum: hasher.finalize(), bytes })
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The state is that after all records before.
    pub(crate) offset: i64,
    pub(crate) state_bytes: u64,
    /// Of the whole state.
    pub(crate) checksum: u32,
}

impl Head {
    pub(crate) fn encode(&self, of: &SnapshotOf) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_bytes(&mut out, of.identity.as_bytes());
        put_bytes(&mut out, of.state_schema.as_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.state_bytes.to_le_bytes());
        out.extend(self.checksum.to_le_bytes());
        let sum = crc32fast::hash(&out);
        out.extend(sum.to_le_bytes());
        out
    }

    /// What [`Self::encode`] wrote.
    ///
    /// # Errors
    /// With the reason when the bytes are damaged, foreign, or ahead of the committed position.
    pub(crate) fn decode(of: &SnapshotOf, committed: i64, bytes: &[u8]) -> Result<Self, String> {
        let (identity, schema, head) = parts(bytes)?;
        if identity != of.identity.as_bytes() {
            return Err(format!("it is of {}, not of {}", String::from_utf8_lossy(identity), of.identity));
        }
        if schema != of.state_schema.as_bytes() {
            let now = StateSchema::from(of.state_schema.as_str());
            let changes = schema_of(schema).changes_of_shape(&now);
            if !changes.is_empty() {
                let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                return Err(format!("its state was made otherwise: {}", changes.join("; ")));
            }
        }
        if head.offset > committed {
            let offset = head.offset;
            return Err(format!("it is at offset {offset}, ahead of the committed position {committed}"));
        }
        Ok(head)
    }
}

/// What a head says that its state was made by.
///
/// # Errors
/// With the reason when the bytes are damaged or of another version.
pub(crate) fn stored_schema(head: &[u8]) -> Result<StateSchema, String> {
    parts(head).map(|(_, schema, _)| schema_of(schema))
}

fn schema_of(bytes: &[u8]) -> StateSchema {
    StateSchema::from(&*String::from_utf8_lossy(bytes))
}

/// Identity, schema and the rest of a head.
fn parts(bytes: &[u8]) -> Result<(&[u8], &[u8], Head), String> {
    if bytes.first_chunk() != Some(MAGIC) {
        return Err("it is not a snapshot of this version".to_owned());
    }
    let sound = bytes.split_last_chunk::<4>().filter(|(body, sum)| crc32fast::hash(body) == u32::from_le_bytes(**sum));
    sound.and_then(|(body, _)| parse(body)).ok_or_else(|| "the checksum of its head does not match".to_owned())
}

fn parse(mut body: &[u8]) -> Option<(&[u8], &[u8], Head)> {
    take_array::<8>(&mut body)?;
    let identity = take_bytes(&mut body)?;
    let schema = take_bytes(&mut body)?;
    let offset = i64::from_le_bytes(take_array(&mut body)?);
    let state_bytes = u64::from_le_bytes(take_array(&mut body)?);
    let checksum = u32::from_le_bytes(take_array(&mut body)?);
    body.is_empty().then_some((identity, schema, Head { offset, state_bytes, checksum }))
}

/// What became of the stored snapshot when a partition was restored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded<T> {
    /// There was none.
    Missing,
    /// It was put aside.
    Rejected,
    /// What was made of it, and its offset.
    Sound(T, i64),
}

impl<T> Loaded<T> {
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self, Self::Sound(..))
    }

    /// What was made of the snapshot or else is made by `create`, the offset that it is at, and how many records count as
    /// applied since the last snapshot: where one was put aside, as many as make the next one due.
    pub(crate) fn or_create(self, due_records: u64, create: impl FnOnce() -> T) -> (T, i64, u64) {
        match self {
            Self::Sound(made, offset) => (made, offset, 0),
            Self::Missing => (create(), 0, 0),
            Self::Rejected => (create(), 0, due_records),
        }
    }
}

/// A state that is put together again out of its slices.
pub(crate) struct Assembly {
    head: Head,
    state: Vec<u8>,
    whole: Hasher,
    slices: usize,
}

impl Assembly {
    pub(crate) fn of(head: Head) -> Self {
        Self { head, state: Vec::new(), whole: Hasher::new(), slices: 0 }
    }

    /// How many bytes the next slice has; 0 when the state is whole.
    pub(crate) fn wanted(&self) -> usize {
        let missing = self.head.state_bytes.saturating_sub(self.state.len() as u64);
        usize::try_from(missing).map_or(SLICE_BYTES, |missing| missing.min(SLICE_BYTES))
    }

    /// Adds the next slice.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn add(&mut self, slice: Slice<'_>) -> Result<(), String> {
        if self.state.is_empty() {
            self.state.reserve_exact(usize::try_from(self.head.state_bytes).unwrap_or_default());
        }
        let mut hasher = Hasher::new();
        hasher.update(slice.bytes);
        self.whole.combine(&hasher);
        if slice.bytes.len() != self.wanted() || hasher.finalize() != slice.checksum {
            return Err(format!("its slice {} is truncated or damaged", self.slices));
        }
        self.state.extend_from_slice(slice.bytes);
        self.slices += 1;
        Ok(())
    }

    /// Offset and state.
    ///
    /// # Errors
    /// When slices are missing or others' are among them.
    pub(crate) fn finish(self) -> Result<(i64, Vec<u8>), String> {
        if self.wanted() > 0 {
            return Err(format!("it ends after {} of {} bytes", self.state.len(), self.head.state_bytes));
        }
        if self.whole.finalize() != self.head.checksum {
            return Err("its checksum does not match".to_owned());
        }
        Ok((self.head.offset, self.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of() -> SnapshotOf {
        SnapshotOf { identity: "x/group/topic/3".into(), state_schema: "counter-1".into() }
    }

    fn head(state: &[u8]) -> Head {
        let mut slices = Slices::of(state);
        for _ in slices.by_ref() {}
        Head { offset: 7, state_bytes: state.len() as u64, checksum: slices.checksum() }
    }

    fn assembled(head: Head, slices: &[Slice<'_>]) -> Result<(i64, Vec<u8>), String> {
        let mut assembly = Assembly::of(head);
        slices.iter().try_for_each(|slice| assembly.add(*slice))?;
        assembly.finish()
    }

    #[test]
    fn a_state_comes_back_out_of_its_slices_and_no_others() {
        for bytes in [0, 1, SLICE_BYTES - 1, SLICE_BYTES, 2 * SLICE_BYTES + 5] {
            let mut state = vec![0_u8; bytes];
            fastrand::Rng::with_seed(14).fill(&mut state);
            let slices: Vec<Slice<'_>> = Slices::of(&state).collect();
            assert_eq!(slices.len(), bytes.div_ceil(SLICE_BYTES));
            let head = head(&state);
            assert_eq!(head.checksum, crc32fast::hash(&state));
            assert_eq!(assembled(head, &slices).map(|(offset, found)| (offset, found == state)), Ok((7, true)));
            if let Some((_, missing_the_last)) = slices.split_last() {
                assert!(assembled(head, missing_the_last).is_err());
                assert!(assembled(head, &[slices.as_slice(), &slices[..1]].concat()).is_err(), "one too many");
            }
        }
        let mut state = vec![1_u8; SLICE_BYTES];
        state.resize(2 * SLICE_BYTES, 2);
        let mut slices: Vec<Slice<'_>> = Slices::of(&state).collect();
        slices.swap(0, 1);
        assert!(assembled(head(&state), &slices).is_err_and(|e| e.contains("checksum")), "in another order");
    }

    #[test]
    fn a_damaged_slice_is_named() {
        let state = vec![7_u8; 2 * SLICE_BYTES + 5];
        let slices: Vec<Slice<'_>> = Slices::of(&state).collect();
        for number in 0..slices.len() {
            let mut damaged = slices[number].bytes.to_vec();
            damaged[3] ^= 1;
            for bytes in [damaged.as_slice(), &slices[number].bytes[1..]] {
                let mut slices = slices.clone();
                slices[number].bytes = bytes;
                assert!(assembled(head(&state), &slices).is_err_and(|e| e.contains(&format!("slice {number}"))));
            }
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_of_a_head_is_refused() {
        let bytes = head(b"state").encode(&of());
        assert_eq!(Head::decode(&of(), 7, &bytes), Ok(head(b"state")));
        for length in 0..bytes.len() {
            assert!(Head::decode(&of(), 7, &bytes[..length]).is_err(), "cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Head::decode(&of(), 7, &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_foreign_or_early_snapshot_is_refused_with_the_reason() {
        let bytes = head(b"state").encode(&of());
        let other = SnapshotOf { identity: "x/group/topic/4".into(), ..of() };
        assert!(Head::decode(&other, 7, &bytes).is_err_and(|e| e.contains("topic/4")));
        let other = SnapshotOf { state_schema: "counter-2".into(), ..of() };
        assert!(Head::decode(&other, 7, &bytes).is_err_and(|e| e.contains("counter-2")));
        let made_under = SnapshotOf { state_schema: "counter-1\n~rules = r2".into(), ..of() };
        assert_eq!(Head::decode(&made_under, 7, &bytes), Ok(head(b"state")), "only what shapes it counts");
        assert_eq!(stored_schema(&bytes), Ok(StateSchema::from("counter-1")));
        assert!(stored_schema(&bytes[1..]).is_err());
        assert!(Head::decode(&of(), 6, &bytes).is_err_and(|e| e.contains("ahead")));
        let before = [b"PRSNAP01".as_slice(), &bytes[8..]].concat();
        assert!(Head::decode(&of(), 7, &before).is_err_and(|e| e.contains("version")));
    }
}
