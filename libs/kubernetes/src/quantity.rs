//! Quantities as Kubernetes writes them (`250m`, `1.5Gi`, `1e3`), exactly: a float would make a limit of 0.1 cores
//! another one when it is read again.

/// So many billionths are one.
const NANOS: i128 = 1_000_000_000;
/// A thousandth, in billionths.
const MILLI: i128 = NANOS / 1000;
/// Powers of ten beyond this are no amount of anything.
const EXPONENT_MAX: i32 = 24;

/// An amount, not below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

/// A text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no quantity of Kubernetes")]
pub struct QuantityError {
    /// The text.
    pub text: String,
}

impl Quantity {
    /// Reads one. What is finer than a billionth is rounded up.
    ///
    /// # Errors
    /// When the text is no quantity, or is below zero.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let read = || {
            let (number, suffix) = text.split_at(text.find(|c: char| !is_of_number(c)).unwrap_or(text.len()));
            let (tens, factor) = scale(suffix)?;
            nanos(number.strip_prefix('+').unwrap_or(number), tens, factor)
        };
        read().map(|nanos| Self { nanos }).ok_or_else(|| QuantityError { text: text.to_owned() })
    }

    /// So many whole ones, rounded up: bytes.
    pub fn units(self) -> u64 {
        up(self.nanos, NANOS)
    }

    /// So many thousandths, rounded up: millicores.
    pub fn millis(self) -> u64 {
        up(self.nanos, MILLI)
    }

    /// As a float, which may be off in the last digits: a measured use.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }
}

/// So many millicores as a quantity: whole cores without a suffix.
pub fn of_millis(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// So many bytes as a quantity: in the largest binary unit that fits.
pub fn of_bytes(bytes: u64) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = units.into_iter().find(|(_, bits)| bytes.is_multiple_of(1_u64 << *bits));
    match fits {
        Some((suffix, bits)) if bytes > 0 => format!("{}{suffix}", bytes >> bits),
        _ => bytes.to_string(),
    }
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | '+')
}

/// The power of ten and the factor that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, i128)> {
    Some(match suffix {
        "" => (0, 1),
        "n" => (-9, 1),
        "u" => (-6, 1),
        "m" => (-3, 1),
        "k" => (3, 1),
        "M" => (6, 1),
        "G" => (9, 1),
        "T" => (12, 1),
        "P" => (15, 1),
        "E" => (18, 1),
        "Ki" => (0, 1 << 10),
        "Mi" => (0, 1 << 20),
        "Gi" => (0, 1 << 30),
        "Ti" => (0, 1 << 40),
        "Pi" => (0, 1 << 50),
        "Ei" => (0, 1 << 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, 1),
    })
}

fn nanos(number: &str, tens: i32, factor: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{}", fraction.trim_end_matches('0'));
    if (digits.is_empty() && fraction.is_empty()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let behind = i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
    let tens = tens.checked_add(9)?.checked_sub(behind)?;
    if tens > EXPONENT_MAX + 9 {
        return None;
    }
    let scaled = digits.checked_mul(factor)?;
    match u32::try_from(tens) {
        Ok(tens) => scaled.checked_mul(10_i128.checked_pow(tens)?),
        Err(_) => match 10_i128.checked_pow(tens.unsigned_abs()) {
            Some(divisor) => Some(scaled / divisor + i128::from(scaled % divisor > 0)),
            None => Some(i128::from(scaled > 0)),
        },
    }
}

fn up(nanos: i128, of: i128) -> u64 {
    u64::try_from(nanos / of + i128::from(nanos % of > 0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> u64 {
        Quantity::parse(text).unwrap().millis()
    }

    fn bytes(text: &str) -> u64 {
        Quantity::parse(text).unwrap().units()
    }

    #[test]
    fn all_ways_to_write_an_amount_are_read() {
        assert_eq!(
            ["0", "250m", "0.25", ".5", "2", "2.", "+1.5", "1e0"].map(millis),
            [0, 250, 250, 500, 2000, 2000, 1500, 1000]
        );
        assert_eq!(["1500000n", "1500u", "1n"].map(millis), [2, 2, 1], "a part of a thousandth counts as one");
        let written = ["128974848", "129e6", "129M", "123Mi", "1.5Gi", "128974848000m", "1E3", "1e-1", "2E", "7Ei"];
        let whole = 128_974_848;
        let read =
            [whole, 129_000_000, 129_000_000, whole, 3 << 29, whole, 1000, 1, 2_000_000_000_000_000_000, 7 << 60];
        assert_eq!(written.map(bytes), read);
        assert_eq!(Quantity::parse("12345678n").unwrap().as_f64(), 0.012_345_678);
        assert_eq!(Quantity::parse("0.10").unwrap(), Quantity::parse("100m").unwrap());
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "m", ".", "-1", "1 Gi", "1gi", "1K", "1e", "1e99", "1.2.3", "1+1", "NaN", "0x10", "1e+"] {
            assert_eq!(Quantity::parse(text), Err(QuantityError { text: text.to_owned() }), "{text:?}");
        }
        assert!(Quantity::parse(&"9".repeat(40)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(amount in 0..u64::MAX / 2) {
            prop_assert_eq!(millis(&of_millis(amount)), amount);
            prop_assert_eq!(bytes(&of_bytes(amount)), amount);
            prop_assert_eq!(bytes(&of_bytes(amount << 20)), amount << 20);
        }

        #[test]
        fn no_text_is_too_much_for_it(text in "[0-9.+eEmKMGi-]{0,40}") {
            let _ = Quantity::parse(&text).map(|quantity| (quantity.units(), quantity.millis()));
        }
    }

    #[test]
    fn amounts_are_written_as_people_do() {
        assert_eq!([0, 1, 250, 2000].map(of_millis), ["0", "1m", "250m", "2"]);
        assert_eq!([0, 5, 1 << 10, 3 << 29, 1 << 30].map(of_bytes), ["0", "5", "1Ki", "1536Mi", "1Gi"]);
    }
}
