//! Numbers that look drawn at random and follow from a text.

/// A number in [0, 1) that follows from the seed and the text: FNV-1a (Fowler, Noll, Vo), mixed
/// with the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn unit_interval(seed: u64, text: &str) -> f64 {
    let hashed = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut z = hashed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_similar_names_are_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for i in 0..1000 {
            tenths[(10.0 * unit_interval(0, &format!("web-{i}"))) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (50..150).contains(count)), "{tenths:?}");
        assert_eq!(unit_interval(7, "web"), unit_interval(7, "web"));
        assert_ne!(unit_interval(7, "web"), unit_interval(8, "web"));
    }
}
