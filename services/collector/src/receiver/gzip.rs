//! Bodies packed with gzip, of which no more is unpacked than may be there.

use std::io::{self, Read as _};

/// What is packed; `None` where it is longer than allowed, and no more than that is in memory then.
///
/// # Errors
/// When it is no gzip.
pub(crate) fn unpacked(packed: &[u8], bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    let most = (bytes_max as u64).saturating_add(1);
    flate2::read::MultiGzDecoder::new(packed).take(most).read_to_end(&mut unpacked)?;
    Ok((unpacked.len() <= bytes_max).then_some(unpacked))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write as _;

    /// So many zeros, packed.
    pub(crate) fn packed_zeros(bytes: u64) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::copy(&mut io::repeat(0).take(bytes), &mut gzip).unwrap();
        gzip.finish().unwrap()
    }

    /// These bytes, packed.
    pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn what_is_longer_than_allowed_is_not_unpacked() {
        assert_eq!(unpacked(&packed(b"abc"), 3).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(unpacked(&packed(b"abc"), 2).unwrap(), None);
        assert_eq!(unpacked(&packed_zeros(1 << 26), 1 << 10).unwrap(), None);
        assert!(unpacked(b"no gzip", 100).is_err());
        let whole = packed(b"abcabc");
        assert!(unpacked(&whole[..whole.len() - 9], 100).is_err(), "it is cut off");
    }
}
