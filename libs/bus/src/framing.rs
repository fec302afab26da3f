//! Numbers and length-prefixed byte strings: how what the bus stores lies on disk.

/// Appends a number in LEB128.
pub(crate) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes what [`put_number`] wrote; `None` when it is cut short.
pub(crate) fn take_number(input: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Appends a length (u32, little endian) and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes `N` bytes off the front; `None` when there are fewer.
pub(crate) fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

/// Takes so many bytes off the front; `None` when there are fewer.
pub(crate) fn take_slice<'a>(input: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
    *input = rest;
    Some(head)
}

/// Takes what [`put_bytes`] wrote; `None` when it is cut short.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take_array(input)?);
    take_slice(input, u64::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_back_and_what_is_cut_short_is_seen() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut out = Vec::new();
        numbers.iter().for_each(|n| put_number(&mut out, *n));
        put_bytes(&mut out, b"bytes");
        let mut input = out.as_slice();
        for n in numbers {
            assert_eq!(take_number(&mut input), Some(n));
        }
        assert_eq!(take_bytes(&mut input), Some(b"bytes".as_slice()));
        assert_eq!((take_number(&mut input), take_bytes(&mut input)), (None, None));
        assert_eq!(take_bytes(&mut &out[out.len() - 8..]), None, "what is taken for a length says too much");
        assert_eq!(take_number(&mut [0x80].as_slice()), None);
        assert_eq!(take_number(&mut [0xff; 11].as_slice()), None, "no number has so many bytes");
    }
}
