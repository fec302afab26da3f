//! A mergeable histogram on a logarithmic scale, for quantiles.
//!
//! Sixteen buckets an octave, linear within it (as HdrHistogram has them): a bucket's number is
//! the top bits of the value as `f32`, so finding it needs no logarithm. A quantile is the point
//! of its bucket that is relatively as far from both ends, so it is off by at most
//! [`RELATIVE_ERROR_MAX`] of the sample of that rank (the guarantee of DDSketch, Masson, Rim and
//! Lee, VLDB 2019). Below zero the scale is mirrored.
//!
//! The bytes are the histogram: the first bucket's number (two bytes, little endian), then one
//! variable-length integer a bucket for its count, where a zero is followed by how many empty
//! buckets to skip. The buckets in use lie close together, so one byte a bucket is usual. The
//! same bytes are kept in the state, in snapshots and in the Arrow window table.

use bitcode::{Decode, Encode};

/// Greatest relative error of a quantile: half a bucket.
pub const RELATIVE_ERROR_MAX: f64 = 1.0 / 33.0;

/// Bits of an `f32` that are dropped: 23 of the mantissa less the four that number the buckets.
const DROPPED_BITS: u32 = 19;

/// What one value more makes the bytes longer by, at most: a bucket that splits what was skipped.
const ROOM_BYTES: usize = 8;

/// Counts of values by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LogHistogram(Box<[u8]>);

/// The bucket of a finite value.
pub fn bucket_of(value: f32) -> i16 {
    let magnitude = (value.abs().to_bits() >> DROPPED_BITS) as i16;
    if value < 0.0 { -1 - magnitude } else { magnitude }
}

/// The value that stands for a bucket.
fn value_of(bucket: i16) -> f64 {
    let (sign, magnitude) = if bucket < 0 { (-1.0, -1 - bucket) } else { (1.0, bucket) };
    let edge = |number: i16| f64::from(f32::from_bits((number as u32) << DROPPED_BITS));
    let (low, high) = (edge(magnitude), edge(magnitude + 1));
    sign * if high.is_finite() && low > 0.0 { 2.0 * low * high / (low + high) } else { low }
}

/// Reads the buckets in ascending order.
struct Buckets<'a> {
    rest: &'a [u8],
    next: i32,
}

impl<'a> Buckets<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match bytes {
            [low, high, rest @ ..] => Self { rest, next: i32::from(i16::from_le_bytes([*low, *high])) },
            _ => Self { rest: &[], next: 0 },
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl Iterator for Buckets<'_> {
    type Item = (i16, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let mut count = self.number()?;
        while count == 0 {
            self.next += i32::try_from(self.number()?).ok()?;
            count = self.number()?;
        }
        let bucket = i16::try_from(self.next).ok()?;
        self.next += 1;
        Some((bucket, count))
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Bytes that [`put_number`] writes.
fn number_bytes(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes buckets, ascending and unique, in place of what `bytes` had.
fn put_buckets(bytes: &mut Vec<u8>, buckets: impl Iterator<Item = (i16, u64)>) {
    bytes.clear();
    let mut expected = None;
    for (bucket, count) in buckets {
        match expected {
            None => bytes.extend_from_slice(&bucket.to_le_bytes()),
            Some(next) if next != i32::from(bucket) => {
                bytes.push(0);
                put_number(bytes, (i32::from(bucket) - next) as u64);
            }
            Some(_) => {}
        }
        put_number(bytes, count);
        expected = Some(i32::from(bucket) + 1);
    }
}

/// Writes the histogram of the buckets in `buckets`, which it sorts, in place of what `bytes` had.
pub fn put_histogram_of(buckets: &mut [i16], bytes: &mut Vec<u8>) {
    buckets.sort_unstable();
    put_buckets(bytes, buckets.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)));
}

/// The same buckets with one value more.
fn with_one_more(buckets: Buckets<'_>, bucket: i16) -> impl Iterator<Item = (i16, u64)> {
    let mut buckets = buckets.peekable();
    let mut is_counted = false;
    std::iter::from_fn(move || {
        if is_counted || buckets.peek().is_some_and(|(found, _)| *found < bucket) {
            return buckets.next();
        }
        is_counted = true;
        let known = buckets.next_if(|(found, _)| *found == bucket);
        Some((bucket, known.map_or(0, |(_, count)| count) + 1))
    })
}

/// The values at these ranks (0 to 1, ascending) of all values in some histograms; `None` when
/// they are empty. The rank is rounded down to that of a value.
pub fn quantiles<const N: usize>(histograms: &[&[u8]], ranks: [f64; N]) -> Option<[f64; N]> {
    let merged = merged_buckets(histograms);
    let total: u64 = merged.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return None;
    }
    let mut at = 0;
    let mut below = 0;
    Some(ranks.map(|rank| {
        let wanted = (rank * (total - 1) as f64).floor() as u64;
        while at + 1 < merged.len() && below + merged[at].1 <= wanted {
            below += merged[at].1;
            at += 1;
        }
        value_of(merged[at].0)
    }))
}

fn merged_buckets(histograms: &[&[u8]]) -> Vec<(i16, u64)> {
    let mut merged: Vec<(i16, u64)> = Vec::new();
    for bytes in histograms {
        if merged.is_empty() {
            merged.extend(Buckets::of(bytes));
            continue;
        }
        let before = std::mem::take(&mut merged);
        let mut left = before.into_iter().peekable();
        let mut right = Buckets::of(bytes).peekable();
        while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
            let (bucket, mut count) = (l.0.min(r.0), 0);
            if l.0 == bucket {
                count += left.next().map_or(0, |(_, c)| c);
            }
            if right.peek().is_some_and(|(b, _)| *b == bucket) {
                count += right.next().map_or(0, |(_, c)| c);
            }
            merged.push((bucket, count));
        }
        merged.extend(left);
        merged.extend(right);
    }
    merged
}

impl LogHistogram {
    /// The histogram as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// All values of some histograms in one.
    pub fn merged(histograms: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        put_buckets(&mut bytes, merged_buckets(histograms).into_iter());
        Self(bytes.into())
    }

    /// Counts one value.
    pub fn record(&mut self, value: f32) {
        let bucket = bucket_of(value);
        if !self.count_in_place(bucket) {
            let mut bytes = Vec::with_capacity(self.0.len() + ROOM_BYTES);
            put_buckets(&mut bytes, with_one_more(Buckets::of(&self.0), bucket));
            self.0 = bytes.into();
        }
    }

    /// Adds one where that bucket's count is there and stays as long as it is.
    fn count_in_place(&mut self, bucket: i16) -> bool {
        let length = self.0.len();
        let mut buckets = Buckets::of(&self.0);
        while let Some((found, count)) = buckets.next() {
            let end = length - buckets.rest.len();
            if found >= bucket {
                let (bytes, more) = (number_bytes(count), count + 1);
                if found > bucket || number_bytes(more) > bytes {
                    return false;
                }
                for (place, byte) in self.0[end - bytes..end].iter_mut().enumerate() {
                    *byte = *byte & 0x80 | (more >> (7 * place)) as u8 & 0x7f;
                }
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(values: &[f32]) -> LogHistogram {
        let mut histogram = LogHistogram::default();
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    #[test]
    fn a_quarter_of_an_hour_of_usage_takes_a_byte_a_bucket() {
        let values: Vec<f32> = (0..200).map(|i| 1.0 + (i as f32 * 0.7).sin() * 0.5).collect();
        assert!(histogram(&values).as_bytes().len() < 40);
        assert_eq!(quantiles(&[histogram(&[]).as_bytes()], [0.5]), None);
    }

    #[test]
    fn counts_of_any_length_are_counted_on() {
        let mut counted = histogram(&[1.0, 3.0]);
        let mut bytes = Vec::new();
        for count in 1..17_000 {
            counted.record(2.0);
            let buckets = [(1.0, 1), (2.0, count), (3.0, 1)].map(|(value, count)| (bucket_of(value), count));
            put_buckets(&mut bytes, buckets.into_iter());
            assert_eq!(counted.as_bytes(), bytes);
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_bound(
            mut values in proptest::collection::vec(prop_oneof![-1e12f32..1e12, -1.0f32..1.0, Just(0.0f32)], 1..200),
        ) {
            let histogram = histogram(&values);
            values.sort_by(f32::total_cmp);
            let ranks = [0.0, 0.5, 0.9, 0.95, 0.99, 1.0];
            let got = quantiles(&[histogram.as_bytes()], ranks).unwrap();
            for (rank, got) in ranks.into_iter().zip(got) {
                let exact = f64::from(values[(rank * (values.len() - 1) as f64).floor() as usize]);
                prop_assert!((got - exact).abs() <= RELATIVE_ERROR_MAX * exact.abs() + 1e-37, "{} for {}", got, exact);
            }
        }

        #[test]
        fn merging_and_all_at_once_are_as_one_by_one(values in proptest::collection::vec(-1e3f32..1e6, 0..300), cut in 0usize..300) {
            let cut = cut.min(values.len());
            let whole = histogram(&values);
            let merged = LogHistogram::merged(&[histogram(&values[..cut]).as_bytes(), histogram(&values[cut..]).as_bytes()]);
            prop_assert_eq!(&merged, &whole);
            let mut buckets: Vec<i16> = values.iter().map(|v| bucket_of(*v)).collect();
            let mut bytes = vec![9; 3];
            put_histogram_of(&mut buckets, &mut bytes);
            prop_assert_eq!(bytes.as_slice(), whole.as_bytes());
        }
    }
}
