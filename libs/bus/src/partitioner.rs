//! Which partition a key belongs to: murmur2, as Kafka's Java client computes it, so that records
//! written by either backend or by another team's producer agree.

/// MurmurHash2 (Austin Appleby) with the seed that Kafka uses, over the key's bytes.
pub fn murmur2(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ u32::try_from(key.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)).cast_signed()
}

/// The partition of a key among `partitions`, which must be at least 1.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key).cast_unsigned() & 0x7fff_ffff) % partitions.max(1)
}

/// A key that belongs to a partition among `partitions`: the prefix and the first number that leads there.
pub fn key_of(prefix: &str, partition: u32, partitions: u32) -> String {
    let (partitions, mut number) = (partitions.max(1), 0_u64);
    loop {
        let key = format!("{prefix}{number}");
        if partition_of(key.as_bytes(), partitions) == partition % partitions {
            return key;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        for (key, hash) in [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn every_partition_has_a_key() {
        for partitions in [1, 2, 7, 64] {
            for partition in 0..partitions {
                assert_eq!(partition_of(key_of("order#", partition, partitions).as_bytes(), partitions), partition);
            }
        }
    }

    #[test]
    fn partitions_are_in_range() {
        for n in 1..40_u32 {
            assert!(partition_of(&n.to_le_bytes(), n) < n);
        }
    }
}
