//! Avro's binary encoding from and to a mirror, without a look at the schema.
//!
//! A mirror has its schema's fields in their order, an option is a union of null and one other in that order, and the
//! variants of an enum are the schema's symbols in theirs. So the place alone says what comes next; apache-avro looks
//! every field up by its name, which takes several times as long. Tests compare what is written with what it writes.

use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{self, Impossible, Serialize};
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

/// Appends to `out`.
struct Encoder<'o> {
    out: &'o mut Vec<u8>,
}

impl Encoder<'_> {
    fn again(&mut self) -> Encoder<'_> {
        Encoder { out: &mut *self.out }
    }

    /// Zigzag, in groups of seven bits, the lowest first.
    fn put_long(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)) as u64;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    /// The one block of an array or a map; none where it is empty.
    fn begin_block(&mut self, items: Option<usize>) -> Result<(), Problem> {
        match items {
            Some(0) => {}
            Some(items) => self.put_long(items as i64),
            None => return Err(Problem::unsupported("an array of a length that is not known")),
        }
        Ok(())
    }
}

impl ser::Serializer for Encoder<'_> {
    type Ok = ();
    type Error = Problem;
    type SerializeSeq = Self;
    type SerializeTuple = Impossible<(), Problem>;
    type SerializeTupleStruct = Impossible<(), Problem>;
    type SerializeTupleVariant = Impossible<(), Problem>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Problem>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Problem> {
        self.out.push(u8::from(value));
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(mut self, value: i64) -> Result<(), Problem> {
        self.put_long(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, _: u64) -> Result<(), Problem> {
        Err(Problem::unsupported("unsigned numbers of 64 bits"))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Problem> {
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Problem> {
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, _: char) -> Result<(), Problem> {
        Err(Problem::unsupported("single characters"))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Problem> {
        self.put_long(value.len() as i64);
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Problem> {
        Err(Problem::unsupported("plain bytes"))
    }

    fn serialize_none(mut self) -> Result<(), Problem> {
        self.put_long(0);
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(mut self, value: &T) -> Result<(), Problem> {
        self.put_long(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Problem> {
        Err(Problem::unsupported("null alone"))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Problem> {
        Err(Problem::unsupported("records without fields"))
    }

    fn serialize_unit_variant(mut self, _: &'static str, index: u32, _: &'static str) -> Result<(), Problem> {
        self.put_long(index.into());
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Problem> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Problem> {
        Err(Problem::unsupported("unions of several records"))
    }

    fn serialize_seq(mut self, items: Option<usize>) -> Result<Self, Problem> {
        self.begin_block(items)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Impossible<(), Problem>, Problem> {
        Err(Problem::unsupported("tuples"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Impossible<(), Problem>, Problem> {
        Err(Problem::unsupported("tuples"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Problem>, Problem> {
        Err(Problem::unsupported("unions of several records"))
    }

    fn serialize_map(mut self, items: Option<usize>) -> Result<Self, Problem> {
        self.begin_block(items)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Problem> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Problem>, Problem> {
        Err(Problem::unsupported("unions of several records"))
    }
}

impl ser::SerializeSeq for Encoder<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Problem> {
        value.serialize(self.again())
    }

    fn end(mut self) -> Result<(), Problem> {
        self.put_long(0);
        Ok(())
    }
}

impl ser::SerializeMap for Encoder<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Problem> {
        key.serialize(self.again())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Problem> {
        value.serialize(self.again())
    }

    fn end(mut self) -> Result<(), Problem> {
        self.put_long(0);
        Ok(())
    }
}

impl ser::SerializeStruct for Encoder<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &'static str, value: &T) -> Result<(), Problem> {
        value.serialize(self.again())
    }

    fn end(self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Takes off the front of `input`.
struct Decoder<'a, 'de> {
    input: &'a mut &'de [u8],
}

impl<'de> Decoder<'_, 'de> {
    fn again(&mut self) -> Decoder<'_, 'de> {
        Decoder { input: &mut *self.input }
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (head, rest) = self.input.split_first_chunk::<N>().ok_or_else(Problem::cut_short)?;
        *self.input = rest;
        Ok(*head)
    }

    fn take_long(&mut self) -> Result<i64, Problem> {
        let mut number = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.take_array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(Problem::new("a number has more than 64 bits"))
    }

    fn take_text(&mut self) -> Result<&'de str, Problem> {
        let length = usize::try_from(self.take_long()?).map_err(|_| Problem::new("a text has a length below 0"))?;
        let (text, rest) = self.input.split_at_checked(length).ok_or_else(Problem::cut_short)?;
        *self.input = rest;
        std::str::from_utf8(text).map_err(|_| Problem::new("a text is not UTF-8"))
    }
}

impl<'de> de::Deserializer<'de> for Decoder<'_, 'de> {
    type Error = Problem;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Problem> {
        Err(Problem::unsupported("that"))
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        match self.take_array()? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            [_] => Err(Problem::new("a yes or no is neither")),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_i64(self.take_long()?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f32(f32::from_le_bytes(self.take_array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f64(f64::from_le_bytes(self.take_array()?))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(self.take_text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        match self.take_long()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Problem::new("a union has no such branch")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(Items::of(self)?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(Items::of(self)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_seq(Fields { decoder: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let symbol = u32::try_from(self.take_long()?).map_err(|_| Problem::new("an enum has no such symbol"))?;
        visitor.visit_enum(U32Deserializer::<Problem>::new(symbol))
    }

    forward_to_deserialize_any! {
        i128 u64 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The fields of a record.
struct Fields<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.decoder.again()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// What an array or a map holds, in blocks of which the last one is empty.
struct Items<'a, 'de> {
    decoder: Decoder<'a, 'de>,
    /// Items of the block that are left.
    left: u64,
    is_last_block: bool,
}

impl<'a, 'de> Items<'a, 'de> {
    fn of(decoder: Decoder<'a, 'de>) -> Result<Self, Problem> {
        let mut items = Self { decoder, left: 0, is_last_block: false };
        items.begin_block()?;
        Ok(items)
    }

    fn begin_block(&mut self) -> Result<(), Problem> {
        let items = self.decoder.take_long()?;
        if items < 0 {
            // The block's length in bytes, for those who pass over it.
            self.decoder.take_long()?;
        }
        (self.left, self.is_last_block) = (items.unsigned_abs(), items == 0);
        Ok(())
    }

    /// Whether there is another one.
    fn advance(&mut self) -> Result<bool, Problem> {
        if self.left == 0 && !self.is_last_block {
            self.begin_block()?;
        }
        let has_more = self.left > 0;
        self.left -= u64::from(has_more);
        Ok(has_more)
    }

    /// Each takes a byte at least, so that a torn length does not take all memory.
    fn hint(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.decoder.input.len())
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        if self.advance()? { seed.deserialize(self.decoder.again()).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if self.advance()? { seed.deserialize(self.decoder.again()).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        seed.deserialize(self.decoder.again())
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
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
}
