//! Length-prefixed byte strings: how headers and snapshots lie on disk.

use crate::record::Header;

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

/// Takes what [`put_bytes`] wrote; `None` when it is cut short.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_le_bytes(take_array(input)?)).ok()?;
    let (head, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(head)
}

/// Headers as bytes.
pub(crate) fn encode_headers(headers: &[Header]) -> Vec<u8> {
    let size = headers.iter().map(|h| 8 + h.name.len() + h.value.len()).sum();
    let mut out = Vec::with_capacity(size);
    for header in headers {
        put_bytes(&mut out, header.name.as_bytes());
        put_bytes(&mut out, &header.value);
    }
    out
}

/// What [`encode_headers`] wrote; `None` when it is damaged.
pub(crate) fn decode_headers(mut bytes: &[u8]) -> Option<Vec<Header>> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = String::from_utf8(take_bytes(&mut bytes)?.to_vec()).ok()?;
        let value = take_bytes(&mut bytes)?.to_vec();
        headers.push(Header { name, value });
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_damage_is_seen() {
        let headers = vec![
            Header { name: "a".into(), value: vec![1, 2] },
            Header { name: "a".into(), value: vec![] },
            Header { name: "é".into(), value: vec![0; 300] },
        ];
        let bytes = encode_headers(&headers);
        assert_eq!(decode_headers(&bytes), Some(headers));
        assert_eq!(decode_headers(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_headers(&[]), Some(vec![]));
    }
}
