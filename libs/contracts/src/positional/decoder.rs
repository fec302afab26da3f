//! From bytes to a mirror.

use super::Problem;
use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Takes off the front of `input`.
pub(super) struct Decoder<'a, 'de> {
    pub(super) input: &'a mut &'de [u8],
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
