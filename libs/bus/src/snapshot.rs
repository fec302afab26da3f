//! A snapshot of one partition's state, as both backends store it: checked before it is believed.
//!
//! A snapshot is an optimisation. Whatever is wrong with one, the state can be had from the log.

use crate::framing::{put_bytes, take_array, take_bytes};

const MAGIC: &[u8; 8] = b"PRSNAP01";

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotOf {
    /// Backend, group, topic and partition.
    pub(crate) identity: String,
    /// [`crate::StageFactory::state_schema`].
    pub(crate) state_schema: String,
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): finds truncation and damage, not malice.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The state after all records before `offset`, as bytes.
pub(crate) fn encode(of: &SnapshotOf, offset: i64, state: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(state.len() + of.identity.len() + of.state_schema.len() + 40);
    out.extend_from_slice(MAGIC);
    put_bytes(&mut out, of.identity.as_bytes());
    put_bytes(&mut out, of.state_schema.as_bytes());
    out.extend(offset.to_le_bytes());
    out.extend((state.len() as u64).to_le_bytes());
    out.extend_from_slice(state);
    let sum = checksum(&out);
    out.extend(sum.to_le_bytes());
    out
}

/// Offset and state of a snapshot.
///
/// # Errors
/// With the reason when the bytes are damaged, foreign, or ahead of the committed position.
pub(crate) fn decode<'a>(of: &SnapshotOf, committed: i64, bytes: &'a [u8]) -> Result<(i64, &'a [u8]), String> {
    let Some((body, sum)) = bytes.split_last_chunk::<8>() else {
        return Err(format!("it has only {} bytes", bytes.len()));
    };
    if checksum(body) != u64::from_le_bytes(*sum) {
        return Err("its checksum does not match: it is truncated or damaged".to_owned());
    }
    let Parsed { identity, schema, offset, state } = parse(body).ok_or("it is not a snapshot of this version")?;
    if identity != of.identity.as_bytes() {
        return Err(format!("it is of {}, not of {}", String::from_utf8_lossy(identity), of.identity));
    }
    if schema != of.state_schema.as_bytes() {
        let schema = String::from_utf8_lossy(schema);
        return Err(format!("its state schema is {schema:?}, this stage has {:?}", of.state_schema));
    }
    if offset > committed {
        return Err(format!("it is at offset {offset}, ahead of the committed position {committed}"));
    }
    Ok((offset, state))
}

struct Parsed<'a> {
    identity: &'a [u8],
    schema: &'a [u8],
    offset: i64,
    state: &'a [u8],
}

fn parse(mut body: &[u8]) -> Option<Parsed<'_>> {
    if take_array::<8>(&mut body)? != *MAGIC {
        return None;
    }
    let identity = take_bytes(&mut body)?;
    let schema = take_bytes(&mut body)?;
    let offset = i64::from_le_bytes(take_array(&mut body)?);
    let length = u64::from_le_bytes(take_array(&mut body)?);
    (length == body.len() as u64).then_some(Parsed { identity, schema, offset, state: body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of() -> SnapshotOf {
        SnapshotOf { identity: "x/group/topic/3".into(), state_schema: "counter-1".into() }
    }

    #[test]
    fn a_snapshot_comes_back() {
        let bytes = encode(&of(), 7, b"state");
        assert_eq!(decode(&of(), 7, &bytes), Ok((7, b"state".as_slice())));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused() {
        let bytes = encode(&of(), 7, b"state");
        for length in 0..bytes.len() {
            assert!(decode(&of(), 7, &bytes[..length]).is_err(), "cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&of(), 7, &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_foreign_or_early_snapshot_is_refused_with_the_reason() {
        let bytes = encode(&of(), 7, b"state");
        let other = SnapshotOf { identity: "x/group/topic/4".into(), ..of() };
        assert!(decode(&other, 7, &bytes).is_err_and(|e| e.contains("topic/4")));
        let other = SnapshotOf { state_schema: "counter-2".into(), ..of() };
        assert!(decode(&other, 7, &bytes).is_err_and(|e| e.contains("counter-2")));
        assert!(decode(&of(), 6, &bytes).is_err_and(|e| e.contains("ahead")));
    }
}
