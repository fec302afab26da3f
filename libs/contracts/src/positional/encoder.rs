//! From a mirror to bytes.

use super::Problem;
use serde::ser::{self, Impossible, Serialize};

/// Appends to `out`.
pub(super) struct Encoder<'o> {
    pub(super) out: &'o mut Vec<u8>,
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
