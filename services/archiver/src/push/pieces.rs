//! Encoded records, cut into the least pieces that a store can take or refuse alone: a sample, a line.
//! In both protocols a request is its pieces one behind the other.

use std::ops::Range;

/// A protocol's way to write.
pub(crate) trait Encoder: Send + Sync {
    /// The body of a request with these pieces.
    fn body(&self, pieces: &[u8]) -> Vec<u8>;
}

/// How a protocol writes records of one kind.
pub(crate) trait Encode<C>: Encoder {
    /// Appends a record's pieces.
    fn encode(&self, value: &C, pieces: &mut Pieces);
}

/// Pieces of records, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// Where each piece ends in `bytes`.
    ends: Vec<usize>,
    /// How many pieces there are with each record.
    record_ends: Vec<usize>,
}

impl Pieces {
    /// Appends a piece that `write` writes.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// What was pushed since the last call is one record.
    pub(crate) fn end_record(&mut self) {
        self.record_ends.push(self.ends.len());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of some pieces.
    pub(crate) fn bytes(&self, pieces: &Range<usize>) -> &[u8] {
        let end = |count: usize| if count == 0 { 0 } else { self.ends[count - 1] };
        &self.bytes[end(pieces.start)..end(pieces.end)]
    }

    /// Ranges of at most `max` pieces that together are all; a record is cut only where it has more.
    pub(crate) fn chunks(&self, max: usize) -> Vec<Range<usize>> {
        let mut chunks = Vec::new();
        let mut start = 0;
        let mut fitting = 0;
        for end in self.record_ends.iter().copied() {
            if end - start > max && fitting > start {
                chunks.push(start..fitting);
                start = fitting;
            }
            while end - start > max {
                chunks.push(start..start + max);
                start += max;
            }
            fitting = end;
        }
        if start < self.len() {
            chunks.push(start..self.len());
        }
        chunks
    }

    /// Two halves of a range: cut between records where it holds several, else within one. `None` for
    /// a single piece.
    pub(crate) fn halves(&self, range: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
        if range.len() < 2 {
            return None;
        }
        let middle = range.start + range.len() / 2;
        let inside = |end: &usize| range.start < *end && *end < range.end;
        let at =
            self.record_ends.iter().copied().filter(inside).min_by_key(|end| end.abs_diff(middle)).unwrap_or(middle);
        Some((range.start..at, at..range.end))
    }

    /// Whether a range lies within one record.
    pub(crate) fn is_within_a_record(&self, range: &Range<usize>) -> bool {
        !self.record_ends.iter().any(|end| range.start < *end && *end < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(records: &[usize]) -> Pieces {
        let mut pieces = Pieces::default();
        for count in records {
            for i in 0..*count {
                pieces.push(|bytes| bytes.extend(std::iter::repeat_n(b'x', i % 3 + 1)));
            }
            pieces.end_record();
        }
        pieces
    }

    proptest! {
        #[test]
        fn chunks_are_all_in_order_and_cut_records_only_where_they_must(
            records in prop::collection::vec(0_usize..20, 0..30),
            max in 1_usize..25,
        ) {
            let pieces = pieces(&records);
            let chunks = pieces.chunks(max);
            let mut next = 0;
            for chunk in &chunks {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(!chunk.is_empty() && chunk.len() <= max);
                next = chunk.end;
            }
            prop_assert_eq!(next, pieces.len());
            if records.iter().all(|count| *count <= max) {
                prop_assert!(chunks.iter().all(|c| pieces.record_ends.contains(&c.end)));
            }
        }

        #[test]
        fn halving_ends_at_single_pieces_and_leaves_none_out(records in prop::collection::vec(0_usize..9, 1..12)) {
            let pieces = pieces(&records);
            let whole = 0..pieces.len();
            let (mut open, mut single) = (vec![whole], Vec::new());
            while let Some(range) = open.pop() {
                match pieces.halves(&range) {
                    Some((left, right)) => {
                        prop_assert!(!left.is_empty() && !right.is_empty());
                        prop_assert!(pieces.is_within_a_record(&range) || pieces.record_ends.contains(&left.end));
                        open.extend([right, left]);
                    }
                    None => single.extend(range),
                }
            }
            prop_assert_eq!(single, (0..pieces.len()).collect::<Vec<_>>());
            prop_assert_eq!(pieces.bytes(&(0..pieces.len())), &pieces.bytes[..]);
        }
    }
}
