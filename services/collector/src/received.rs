//! Requests read as receivers read them, without a port and a log: for what measures that.

use crate::remote_write;

/// What a message of remote write holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Series.
    pub series: u64,
    /// Bytes of the names and values of their labels.
    pub label_bytes: u64,
    /// Samples.
    pub samples: u64,
    /// Sum of their values.
    pub sum: f64,
}

/// Decodes a message of remote write 1.0, as it is before anything is made of it; `None` where it is none.
pub fn decode_remote_write(message: &[u8]) -> Option<Decoded> {
    let mut decoded = Decoded::default();
    remote_write::each_series_of_1(message, |series| {
        decoded.series += 1;
        decoded.label_bytes += series.labels.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
        decoded.samples += series.samples.len() as u64;
        decoded.sum += series.samples.iter().map(|sample| sample.value).sum::<f64>();
    })?;
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_or_not() {
        // One series with label `a` = `bc`, and a sample of 2.0 at 1 ms.
        let mut message = vec![10, 20, 10, 7, 10, 1, b'a', 18, 2, b'b', b'c', 18, 11, 9];
        message.extend(2.0_f64.to_le_bytes());
        message.extend([16, 1]);
        message[1] = (message.len() - 2) as u8;
        let decoded = Decoded { series: 1, label_bytes: 3, samples: 1, sum: 2.0 };
        assert_eq!(decode_remote_write(&message), Some(decoded));
        assert_eq!(decode_remote_write(&message[..message.len() - 1]), None);
    }
}
