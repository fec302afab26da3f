//! Avro's binary encoding from and to a mirror, without a look at the schema.
//!
//! A mirror has its schema's fields in their order, an option is a union of null and one other in that order, and the
//! variants of an enum are the schema's symbols in theirs. So the place alone says what comes next; apache-avro looks
//! every field up by its name, which takes several times as long. Tests compare what is written with what it writes.

mod decoder;
mod encoder;

use decoder::Decoder;
use encoder::Encoder;
use serde::de::{self, DeserializeOwned};
use serde::ser::{self, Serialize};
use std::fmt;

/// What is wrong with a datum, or with what was to become one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Problem(String);

impl Problem {
    fn new(problem: &str) -> Self {
        Self(problem.to_owned())
    }

    fn cut_short() -> Self {
        Self::new("it ends in the middle of a value")
    }

    fn unsupported(what: &str) -> Self {
        Self(format!("no schema has {what}"))
    }
}

impl ser::Error for Problem {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(problem.to_string())
    }
}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(problem.to_string())
    }
}

/// Appends the encoding of a mirror.
///
/// # Errors
/// When it has a part that no schema has.
pub(crate) fn write<T: Serialize>(mirror: &T, out: &mut Vec<u8>) -> Result<(), Problem> {
    mirror.serialize(Encoder { out })
}

/// Takes a mirror off the front of a datum.
///
/// # Errors
/// When the bytes are none of such a mirror.
pub(crate) fn read<T: DeserializeOwned>(datum: &mut &[u8]) -> Result<T, Problem> {
    T::deserialize(Decoder { input: datum })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Mirror {
        number: i64,
        texts: Vec<String>,
        shares: BTreeMap<String, Option<f32>>,
        is_set: bool,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        First,
        Second,
    }

    fn read_whole(mut datum: &[u8]) -> Result<Mirror, String> {
        let mirror = read(&mut datum).map_err(|e| e.to_string())?;
        assert_eq!(datum, b"", "all is read");
        Ok(mirror)
    }

    fn mirror(number: i64) -> Mirror {
        let shares = [("a", Some(0.5f32)), ("b", None)].map(|(name, share)| (name.to_owned(), share));
        Mirror { number, texts: vec!["one".to_owned(), String::new()], shares: shares.into(), is_set: true }
    }

    #[test]
    fn numbers_of_any_length_come_back() {
        for number in [0, -1, 1, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut datum = Vec::new();
            write(&mirror(number), &mut datum).unwrap();
            assert_eq!(read_whole(&datum), Ok(mirror(number)));
        }
        let mut endless = vec![0xff; 11];
        endless.extend([0; 8]);
        assert!(read_whole(&endless).unwrap_err().contains("64 bits"));
    }

    /// As other writers may cut arrays: in several blocks, and with their length in bytes.
    #[test]
    fn blocks_are_read_however_they_are_cut() {
        let datum = [
            [2].as_slice(),
            [2, 6].as_slice(),
            b"one".as_slice(),
            // A block of one, of a byte.
            [1, 2, 0, 0].as_slice(),
            [2, 2].as_slice(),
            b"a".as_slice(),
            [2].as_slice(),
            0.5f32.to_le_bytes().as_slice(),
            [1, 6, 2].as_slice(),
            b"b".as_slice(),
            [0, 0].as_slice(),
            [1].as_slice(),
        ]
        .concat();
        assert_eq!(read_whole(&datum), Ok(mirror(1)));
    }

    #[test]
    fn what_is_none_is_refused() {
        let mut datum = Vec::new();
        write(&mirror(1), &mut datum).unwrap();
        for length in 0..datum.len() {
            assert!(read::<Mirror>(&mut &datum[..length]).is_err(), "cut to {length}");
        }
        let with_last = |last: u8| [&datum[..datum.len() - 1], &[last]].concat();
        assert_eq!(read_whole(&with_last(0)).map(|mirror| mirror.is_set), Ok(false));
        assert!(read::<Mirror>(&mut with_last(2).as_slice()).is_err());
        // A text that claims more than there is, and an array of more items than there are bytes.
        assert!(read::<Mirror>(&mut [2, 2, 0x80, 0x80, 0x80, 0x80, 0x20].as_slice()).is_err());
        assert!(read::<Mirror>(&mut [2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f].as_slice()).is_err());
    }

    #[test]
    fn an_enum_is_the_place_of_its_symbol_and_no_other_place_is_read() {
        for (kind, byte) in [(Kind::First, 0), (Kind::Second, 2)] {
            let mut datum = Vec::new();
            write(&kind, &mut datum).unwrap();
            assert_eq!(datum, [byte]);
            assert_eq!(read::<Kind>(&mut datum.as_slice()).unwrap(), kind);
        }
        // The places -1 and 2.
        for unknown in [1, 4] {
            assert!(read::<Kind>(&mut [unknown].as_slice()).is_err(), "{unknown}");
        }
        assert!(read::<Option<bool>>(&mut [4, 0].as_slice()).is_err(), "a third branch");
    }
}
