//! How the records of a batch lie together: lengths, keys, values and headers each in a run of their own, so that like
//! lies beside like and compresses well. A header's name is written once a batch, and a value that the record before
//! had under the same name takes one byte.
//!
//! It must not know where a batch is stored, nor its offsets.

use crate::framing::{put_bytes, put_number, take_bytes, take_number, take_slice};
use crate::record::{Header, HeaderName, HeaderValue};
use crate::write::Write;
use std::sync::Arc;

/// What one record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [Header],
}

impl<'a> From<&'a Write> for Content<'a> {
    fn from(write: &'a Write) -> Self {
        Self { key: write.key.as_deref(), value: write.value.as_deref(), headers: &write.headers }
    }
}

impl Content<'_> {
    /// Bytes of key, value and headers.
    pub(super) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// What the records of a batch have of headers: the names in use, and in which order a record has them.
#[derive(Default)]
struct Shapes<'a> {
    names: Vec<&'a str>,
    /// By name, the value that the last record with it had.
    newest: Vec<Option<&'a [u8]>>,
    /// Names by number, in a record's order.
    shapes: Vec<Vec<usize>>,
    /// Shape of the last record.
    last: usize,
}

impl<'a> Shapes<'a> {
    /// Number of the shape of these headers.
    fn of(&mut self, headers: &'a [Header]) -> usize {
        let fits = |shape: &Vec<usize>| {
            shape.len() == headers.len() && shape.iter().zip(headers).all(|(name, h)| h.name == self.names[*name])
        };
        if self.shapes.get(self.last).is_some_and(fits) {
            return self.last;
        }
        let found = self.shapes.iter().position(fits);
        self.last = found.unwrap_or_else(|| {
            let shape = headers.iter().map(|header| self.name(&header.name)).collect();
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        self.last
    }

    fn name(&mut self, name: &'a str) -> usize {
        self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.newest.push(None);
            self.names.len() - 1
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.names.len() as u64);
        for name in &self.names {
            put_bytes(out, name.as_bytes());
        }
        put_number(out, self.shapes.len() as u64);
        for shape in &self.shapes {
            put_number(out, shape.len() as u64);
            shape.iter().for_each(|name| put_number(out, *name as u64));
        }
    }
}

/// Records as bytes.
pub(super) fn encode(records: &[Content<'_>]) -> Vec<u8> {
    let mut shapes = Shapes::default();
    let [mut key_lengths, mut keys, mut value_lengths, mut values]: [Vec<u8>; 4] = Default::default();
    let [mut shape_numbers, mut header_lengths, mut header_values]: [Vec<u8>; 3] = Default::default();
    for record in records {
        put_optional(&mut key_lengths, &mut keys, record.key);
        put_optional(&mut value_lengths, &mut values, record.value);
        let shape = shapes.of(record.headers);
        put_number(&mut shape_numbers, shape as u64);
        for (name, header) in shapes.shapes[shape].iter().zip(record.headers) {
            let value = header.value.as_slice();
            let is_repeated = shapes.newest[*name].replace(value) == Some(value);
            put_optional(&mut header_lengths, &mut header_values, (!is_repeated).then_some(value));
        }
    }
    let columns = [key_lengths, keys, value_lengths, values, shape_numbers, header_lengths, header_values];
    let mut out = Vec::with_capacity(columns.iter().map(|c| c.len() + 4).sum::<usize>() + 256);
    put_number(&mut out, records.len() as u64);
    shapes.put(&mut out);
    columns.iter().for_each(|column| put_bytes(&mut out, column));
    out
}

/// 0 for nothing, else the length and one, beside the bytes.
fn put_optional(lengths: &mut Vec<u8>, bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    put_number(lengths, value.map_or(0, |value| value.len() as u64 + 1));
    bytes.extend_from_slice(value.unwrap_or_default());
}

fn take_optional<'a>(lengths: &mut &'a [u8], bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_number(lengths)? {
        0 => Some(None),
        length => take_slice(bytes, length - 1).map(Some),
    }
}

/// A record's key, value and headers.
pub(super) type Owned = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>);

/// A record's key and value, in place.
type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The value that the last record with a header had.
#[derive(Clone, Default)]
struct Newest<'a> {
    bytes: &'a [u8],
    /// What the records that have it share.
    shared: Option<HeaderValue>,
}

impl Newest<'_> {
    fn shared(&mut self) -> HeaderValue {
        self.shared.get_or_insert_with(|| Arc::<[u8]>::from(self.bytes).into()).clone()
    }
}

/// What [`encode`] wrote, taken out one record after the other.
pub(super) struct Decoder<'a> {
    /// Records that are left.
    left: u64,
    /// Shared by the records.
    names: Vec<HeaderName>,
    newest: Vec<Newest<'a>>,
    shapes: Vec<Vec<usize>>,
    key_lengths: &'a [u8],
    keys: &'a [u8],
    value_lengths: &'a [u8],
    values: &'a [u8],
    shape_numbers: &'a [u8],
    header_lengths: &'a [u8],
    header_values: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// `None` when the bytes are none of [`encode`].
    pub(super) fn new(mut bytes: &'a [u8]) -> Option<Self> {
        let input = &mut bytes;
        let left = take_number(input)?;
        let mut names = Vec::new();
        for _ in 0..take_number(input)? {
            let name = std::str::from_utf8(take_bytes(input)?).ok()?;
            names.push(Arc::<str>::from(name).into());
        }
        let mut shapes = Vec::new();
        for _ in 0..take_number(input)? {
            let mut shape = Vec::new();
            for _ in 0..take_number(input)? {
                let name = usize::try_from(take_number(input)?).ok();
                shape.push(name.filter(|name| *name < names.len())?);
            }
            shapes.push(shape);
        }
        let newest = vec![Newest::default(); names.len()];
        Some(Self {
            left,
            names,
            newest,
            shapes,
            key_lengths: take_bytes(input)?,
            keys: take_bytes(input)?,
            value_lengths: take_bytes(input)?,
            values: take_bytes(input)?,
            shape_numbers: take_bytes(input)?,
            header_lengths: take_bytes(input)?,
            header_values: take_bytes(input)?,
        })
    }

    /// Number of records that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next record; `None` when the bytes are damaged.
    pub(super) fn take(&mut self) -> Option<Owned> {
        let mut headers = Vec::with_capacity(self.names.len());
        let (key, value) = self.advance(|name, newest| {
            headers.push(Header { name: name.clone(), value: newest.shared() });
        })?;
        Some((key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec), headers))
    }

    /// Passes over the next record; `None` when the bytes are damaged.
    pub(super) fn skip(&mut self) -> Option<()> {
        self.advance(|_, _| ()).map(drop)
    }

    /// Key and value of the next record; its headers go to `header`.
    fn advance(&mut self, mut header: impl FnMut(&HeaderName, &mut Newest<'a>)) -> Option<KeyAndValue<'a>> {
        self.left = self.left.checked_sub(1)?;
        let key = take_optional(&mut self.key_lengths, &mut self.keys)?;
        let value = take_optional(&mut self.value_lengths, &mut self.values)?;
        let shape = self.shapes.get(usize::try_from(take_number(&mut self.shape_numbers)?).ok()?)?;
        for name in shape {
            if let Some(value) = take_optional(&mut self.header_lengths, &mut self.header_values)? {
                self.newest[*name] = Newest { bytes: value, shared: None };
            }
            header(&self.names[*name], &mut self.newest[*name]);
        }
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&'static str, &[u8])]) -> Write {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: value.to_vec().into() });
        Write {
            topic: Arc::from("topic"),
            placement: crate::write::Placement::ByKey,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }

    fn encoded(writes: &[Write]) -> Vec<u8> {
        encode(&writes.iter().map(Content::from).collect::<Vec<_>>())
    }

    fn decoded(bytes: &[u8]) -> Option<Vec<Owned>> {
        let mut decoder = Decoder::new(bytes)?;
        (0..decoder.left()).map(|_| decoder.take()).collect()
    }

    fn text(random: &mut fastrand::Rng) -> Vec<u8> {
        let length = [0, 1, 5, 200][random.usize(..4)];
        vec![random.u8(..); length]
    }

    fn owned(writes: &[Write]) -> Vec<Owned> {
        writes.iter().map(|w| (w.key.clone(), w.value.clone(), w.headers.clone())).collect()
    }

    /// Keys, values and headers of every kind, also missing, empty and repeated ones.
    fn random_writes(random: &mut fastrand::Rng) -> Vec<Write> {
        let count = random.usize(0..30);
        (0..count)
            .map(|_| {
                let key = random.bool().then(|| text(random));
                let value = random.bool().then(|| text(random));
                let headers: Vec<(&'static str, Vec<u8>)> =
                    (0..random.usize(0..4)).map(|_| (["a", "b", "é", ""][random.usize(..4)], text(random))).collect();
                let headers: Vec<(&'static str, &[u8])> =
                    headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
                write(key.as_deref(), value.as_deref(), &headers)
            })
            .collect()
    }

    #[test]
    fn records_come_back_whatever_they_hold() {
        let mut random = fastrand::Rng::with_seed(14);
        for _ in 0..500 {
            let writes = random_writes(&mut random);
            let bytes = encoded(&writes);
            assert_eq!(decoded(&bytes), Some(owned(&writes)));
            let mut decoder = Decoder::new(&bytes).expect("it is one");
            let skipped = random.usize(0..=writes.len());
            (0..skipped).for_each(|_| decoder.skip().expect("there is another"));
            let rest: Option<Vec<Owned>> = (0..decoder.left()).map(|_| decoder.take()).collect();
            assert_eq!(rest, Some(owned(&writes[skipped..])), "what is passed over changes nothing");
            assert_eq!((decoder.left(), decoder.take()), (0, None));
        }
    }

    #[test]
    fn what_is_cut_short_is_seen() {
        let writes =
            [write(Some(b"k"), Some(b"v"), &[("a", b"1")]), write(None, Some(b"w"), &[("a", b"2"), ("b", b"")])];
        let bytes = encoded(&writes);
        for length in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn a_header_that_stays_the_same_takes_a_byte() {
        let of = |count: usize| {
            let headers: [(&str, &[u8]); 2] = [("content-type", b"application/avro"), ("ce_type", b"x.raw-kpis.v1")];
            encoded(&vec![write(None, None, &headers); count]).len()
        };
        // Key, value, shape and two headers, a byte each.
        assert_eq!(of(101) - of(1), 500);
    }
}
