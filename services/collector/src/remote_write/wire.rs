//! Remote write on the wire: protobuf messages `prometheus.WriteRequest` (1.0) and `io.prometheus.write.v2.Request`
//! (2.0), read where they lie. Nothing is made of what is not a sample of a float, so memory has a bound.

use crate::receiver::series::{FloatSample, SeriesOf};

/// Which message a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `prometheus.WriteRequest`.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// Bytes that are no such message, with what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Texts of a request of 2.0.
const SYMBOLS_MAX: usize = 1_000_000;
/// Labels of a series.
const LABELS_MAX: usize = 1_000;
/// Samples of a series.
const SAMPLES_MAX: usize = 100_000;

/// A message may repeat what takes two bytes, so each list has a bound of its own.
fn push<T>(list: &mut Vec<T>, item: T, max: usize) -> Result<(), Malformed> {
    if list.len() >= max {
        return Err(Malformed("it repeats something more often than is read"));
    }
    list.push(item);
    Ok(())
}

/// Gives each series of a request to `take`, with how many histograms and exemplars it has beside its samples; `take` says
/// whether to go on.
///
/// # Errors
/// When the bytes are no such message.
pub(crate) fn each_series<'a>(
    version: Version,
    message: &'a [u8],
    mut take: impl FnMut(&mut SeriesOf<'a>, u64) -> bool,
) -> Result<(), Malformed> {
    let mut symbols = Vec::new();
    let of_series = match version {
        Version::One => 1,
        Version::Two => {
            for field in Fields(message) {
                if let (4, Field::Bytes(symbol)) = field? {
                    push(&mut symbols, text(symbol)?, SYMBOLS_MAX)?;
                }
            }
            5
        }
    };
    let mut series = SeriesOf::default();
    for field in Fields(message) {
        let (tag, Field::Bytes(bytes)) = field? else { continue };
        if tag != of_series {
            continue;
        }
        series.labels.clear();
        series.samples.clear();
        let unread = match version {
            Version::One => read_one(bytes, &mut series)?,
            Version::Two => read_two(bytes, &symbols, &mut series)?,
        };
        if !take(&mut series, unread) {
            break;
        }
    }
    Ok(())
}

/// In both versions histograms and exemplars have these tags, in this order and in the other.
const UNREAD: [u64; 2] = [3, 4];

/// Reads a series; how much of it is nothing that is made anything of.
fn read_one<'a>(bytes: &'a [u8], series: &mut SeriesOf<'a>) -> Result<u64, Malformed> {
    let mut unread = 0;
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(label)) => push(&mut series.labels, label_of(label)?, LABELS_MAX)?,
            (2, Field::Bytes(sample)) => push(&mut series.samples, sample_of(sample)?, SAMPLES_MAX)?,
            (tag, Field::Bytes(_)) => unread += u64::from(UNREAD.contains(&tag)),
            _ => {}
        }
    }
    Ok(unread)
}

fn label_of(bytes: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut name, mut value) = ("", "");
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => name = text(bytes)?,
            (2, Field::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Likewise.
fn read_two<'a>(bytes: &'a [u8], symbols: &[&'a str], series: &mut SeriesOf<'a>) -> Result<u64, Malformed> {
    let (mut name, mut unread) = (None, 0);
    let mut label = |number: u64, labels: &mut Vec<(&'a str, &'a str)>| -> Result<(), Malformed> {
        let symbol = usize::try_from(number).ok().and_then(|number| symbols.get(number)).copied();
        let symbol = symbol.ok_or(Malformed("a label refers to a symbol that is not there"))?;
        match name.take() {
            None => name = Some(symbol),
            Some(name) => push(labels, (name, symbol), LABELS_MAX)?,
        }
        Ok(())
    };
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    label(varint(&mut packed)?, &mut series.labels)?;
                }
            }
            (1, Field::Varint(number)) => label(number, &mut series.labels)?,
            (2, Field::Bytes(sample)) => push(&mut series.samples, sample_of(sample)?, SAMPLES_MAX)?,
            (tag, Field::Bytes(_)) => unread += u64::from(UNREAD.contains(&tag)),
            _ => {}
        }
    }
    if name.is_some() { Err(Malformed("a label has a name and no value")) } else { Ok(unread) }
}

/// The same in both versions.
fn sample_of(bytes: &[u8]) -> Result<FloatSample, Malformed> {
    let mut sample = FloatSample::new(0, 0.0);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Field::Varint(at_ms)) => sample.at_ms = at_ms.cast_signed(),
            _ => {}
        }
    }
    Ok(sample)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message with their tags, one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = field(&mut self.0);
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Field<'a>), Malformed> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => {
            let (bytes, behind) = rest.split_first_chunk::<8>().ok_or(CUT)?;
            *rest = behind;
            Field::Fixed64(u64::from_le_bytes(*bytes))
        }
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| CUT)?;
            let (bytes, behind) = rest.split_at_checked(length).ok_or(CUT)?;
            *rest = behind;
            Field::Bytes(bytes)
        }
        5 => {
            let (_, behind) = rest.split_first_chunk::<4>().ok_or(CUT)?;
            *rest = behind;
            Field::Fixed32
        }
        _ => return Err(Malformed("a field has a type that protobuf does not have")),
    };
    Ok((key >> 3, value))
}

const CUT: Malformed = Malformed("it is cut off");

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, behind) = rest.split_first().ok_or(CUT)?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("a number is longer than 64 bits"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Labels, and samples of instant and value.
    pub(crate) type Written = (Vec<(String, String)>, Vec<(i64, f64)>);

    fn put_varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn put_bytes(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
        put_varint(out, (tag << 3) | 2);
        put_varint(out, bytes.len() as u64);
        out.extend(bytes);
    }

    fn sample(at_ms: i64, value: f64) -> Vec<u8> {
        let mut out = vec![(1 << 3) | 1];
        out.extend(value.to_le_bytes());
        out.push(2 << 3);
        put_varint(&mut out, at_ms.cast_unsigned());
        out
    }

    /// A message of these series.
    pub(crate) fn written(version: Version, all: &[Written]) -> Vec<u8> {
        let (mut out, mut symbols) = (Vec::new(), vec![String::new()]);
        let mut number_of = |text: &String| match symbols.iter().position(|symbol| symbol == text) {
            Some(number) => number as u64,
            None => {
                symbols.push(text.clone());
                symbols.len() as u64 - 1
            }
        };
        for (labels, samples) in all {
            let mut series = Vec::new();
            let mut packed = Vec::new();
            for (name, value) in labels {
                let mut label = Vec::new();
                put_bytes(&mut label, 1, name.as_bytes());
                put_bytes(&mut label, 2, value.as_bytes());
                match version {
                    Version::One => put_bytes(&mut series, 1, &label),
                    Version::Two => [name, value].into_iter().for_each(|text| put_varint(&mut packed, number_of(text))),
                }
            }
            if version == Version::Two {
                put_bytes(&mut series, 1, &packed);
            }
            for (at_ms, value) in samples {
                put_bytes(&mut series, 2, &sample(*at_ms, *value));
            }
            put_bytes(&mut out, if version == Version::One { 1 } else { 5 }, &series);
        }
        if version == Version::Two {
            symbols.iter().for_each(|symbol| put_bytes(&mut out, 4, symbol.as_bytes()));
        }
        out
    }

    /// The same message, with a histogram and an exemplar in each of its series.
    pub(crate) fn with_unread(version: Version, message: &[u8]) -> Vec<u8> {
        let of_series = if version == Version::One { 1 } else { 5 };
        let mut out = Vec::new();
        for field in Fields(message) {
            let (tag, Field::Bytes(bytes)) = field.unwrap() else { panic!("it was written otherwise") };
            let mut bytes = bytes.to_vec();
            if tag == of_series {
                put_bytes(&mut bytes, 3, b"");
                put_bytes(&mut bytes, 4, b"");
            }
            put_bytes(&mut out, tag, &bytes);
        }
        out
    }

    fn read(version: Version, message: &[u8]) -> Result<Vec<Written>, Malformed> {
        let mut all = Vec::new();
        each_series(version, message, |series, _| {
            let labels = series.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            all.push((labels.collect(), series.samples.iter().map(|sample| (sample.at_ms, sample.value)).collect()));
            true
        })?;
        Ok(all)
    }

    const BOTH: [Version; 2] = [Version::One, Version::Two];

    proptest! {
        #[test]
        fn what_is_written_is_read(
            all in prop::collection::vec(
                (prop::collection::vec(("[a-z]{0,5}", "\\PC{0,5}"), 0..4), prop::collection::vec((any::<i64>(), -1e9..1e9f64), 0..4)),
                0..5,
            ),
        ) {
            for version in BOTH {
                prop_assert_eq!(read(version, &written(version, &all)), Ok(all.clone()));
            }
        }

        #[test]
        fn bytes_from_anywhere_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for version in BOTH {
                let _ = read(version, &bytes);
            }
        }

        #[test]
        fn what_is_cut_off_is_refused(cut in 1..20usize) {
            let one = (vec![("a".to_owned(), "b".to_owned())], vec![(1, 2.0)]);
            for version in BOTH {
                let whole = written(version, std::slice::from_ref(&one));
                let cut = &whole[..whole.len() - cut.min(whole.len() - 1)];
                prop_assert_ne!(read(version, cut), Ok(vec![one.clone()]));
            }
        }
    }

    #[test]
    fn labels_without_symbols_or_values_are_refused() {
        let mut refs = Vec::new();
        put_bytes(&mut refs, 1, &[0]);
        let mut message = Vec::new();
        put_bytes(&mut message, 4, b"");
        put_bytes(&mut message, 5, &refs);
        assert_eq!(read(Version::Two, &message), Err(Malformed("a label has a name and no value")));
        let mut refs = Vec::new();
        put_bytes(&mut refs, 1, &[0, 9]);
        message.truncate(2);
        put_bytes(&mut message, 5, &refs);
        assert!(read(Version::Two, &message).is_err());
    }
}
