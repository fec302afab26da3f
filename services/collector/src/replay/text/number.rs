//! Numbers as people and tools write them: with decimal points or commas, digits in groups, and units.

/// What stands between the whole part and the fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `1.5`.
    Point,
    /// `1,5`.
    Comma,
}

/// What a number tells of its decimal sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Nothing, or what the decimal point says as well.
    None,
    /// `1,234`: a fraction or a thousand.
    Ambiguous,
    /// It must be this.
    Sure(Sign),
}

/// A number, and its unit where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    /// In units of one.
    pub value: f64,
    /// As it was written.
    pub unit: Option<&'static str>,
}

/// Units and what they stand for. A percent is left as it is: 12% is 12.
const UNITS: [(&str, f64); 37] = [
    ("%", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("µ", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("bytes", 1.0),
    ("Bytes", 1.0),
    ("core", 1.0),
    ("cores", 1.0),
    ("percent", 1.0),
    ("B/s", 1.0),
    ("kB/s", 1e3),
    ("MB/s", 1e6),
    ("GB/s", 1e9),
];

/// Words that exporters write where there is no value.
const MISSING: [&str; 16] = [
    "nan",
    "null",
    "none",
    "nil",
    "undefined",
    "n/a",
    "na",
    "-",
    "--",
    "inf",
    "infinity",
    "(null)",
    "\\n",
    "?",
    "missing",
    "#n/a",
];

/// Whether a field says that there is no value, in a word.
pub(super) fn is_missing(text: &str) -> bool {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let word = text.trim_start_matches(['+', '-']);
    let is = |text: &str| MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(text));
    is(text) || is(word)
}

/// Reads a number; `None` where it is none. Digits in groups are of three each.
pub(super) fn parse(text: &str, sign: Sign) -> Option<Number> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (digits, rest) = text.split_at(end);
    // A sign at the end belongs to the number: `1.`.
    let unit = rest.strip_prefix(if sign == Sign::Point { '.' } else { ',' }).unwrap_or(rest).trim();
    let (unit, scale) = match unit {
        "" => (None, 1.0),
        unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(name, scale)| (Some(*name), *scale))?,
    };
    let value = plain(digits, sign)? * scale;
    value.is_finite().then_some(Number { value, unit })
}

/// A number without a unit.
fn plain(text: &str, sign: Sign) -> Option<f64> {
    let (decimal, group) = match sign {
        Sign::Point => ('.', ','),
        Sign::Comma => (',', '.'),
    };
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-') || c == decimal);
    if !starts {
        return None;
    }
    let is_group = |c: char| c == group || matches!(c, ' ' | '\'' | '\u{a0}' | '\u{202f}');
    if sign == Sign::Point && !text.contains(is_group) {
        return text.parse().ok();
    }
    let (whole, fraction) = text.split_once(decimal).map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let whole = if whole.contains(is_group) { joined(whole, is_group)? } else { whole.to_owned() };
    match fraction {
        Some(fraction) => format!("{whole}.{fraction}").parse().ok(),
        None => whole.parse().ok(),
    }
}

/// The digits of groups of three.
fn joined(whole: &str, is_group: impl Fn(char) -> bool) -> Option<String> {
    let separator = whole.chars().find(|c| is_group(*c))?;
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let led = first.strip_prefix(['+', '-']).unwrap_or(first);
    if !(1..=3).contains(&led.len()) || !is_digits(led) {
        return None;
    }
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !is_digits(group) {
            return None;
        }
        digits += group;
    }
    Some(digits)
}

/// What a field that may be a number tells of the decimal sign.
pub(super) fn evidence(text: &str) -> Evidence {
    let count = |sign: char| text.matches(sign).count();
    match (count('.'), count(',')) {
        (0, 0) => Evidence::None,
        (1, 0) if may_be_group(text, '.') => Evidence::None,
        (1, 0) => Evidence::Sure(Sign::Point),
        (0, 1) if may_be_group(text, ',') => Evidence::Ambiguous,
        (0, 1) => Evidence::Sure(Sign::Comma),
        (_, 0) => Evidence::Sure(Sign::Comma),
        (0, _) => Evidence::Sure(Sign::Point),
        _ if text.rfind('.') > text.rfind(',') => Evidence::Sure(Sign::Point),
        _ => Evidence::Sure(Sign::Comma),
    }
}

/// Whether three digits follow the sign, and one to three, not just zero, are before it.
fn may_be_group(text: &str, sign: char) -> bool {
    let Some((before, after)) = text.split_once(sign) else { return false };
    let before = before.trim_start_matches(['+', '-']);
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let starts_at_zero = before.starts_with('0');
    digits == 3 && (1..=3).contains(&before.len()) && !starts_at_zero && before.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str, sign: Sign) -> Option<f64> {
        parse(text, sign).map(|number| number.value)
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, wanted) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("1.", 1.0),
            ("1,721,992,142.283", 1_721_992_142.283),
            ("1 721 992.5", 1_721_992.5),
            ("18446744073709551591", 18_446_744_073_709_551_591.0),
            ("12%", 12.0),
            ("12.5 %", 12.5),
            ("616.5Mi", 646_447_104.0),
            ("631612Ki", 646_770_688.0),
            ("2 GB", 2e9),
            ("1e-3", 0.001),
        ] {
            let read = value(text, Sign::Point).unwrap();
            assert!((read - wanted).abs() <= 1e-12 * wanted.abs(), "{text} is {read}");
        }
        assert!(value("250m", Sign::Point).is_some_and(|v| (v - 0.25).abs() < 1e-12));
        assert!(value("78061175n", Sign::Point).is_some_and(|v| (v - 0.078_061_175).abs() < 1e-12));
        assert_eq!(value("1,5", Sign::Comma), Some(1.5));
        assert_eq!(value("1.234.567,5", Sign::Comma), Some(1_234_567.5));
        for none in ["", "web-1", "1,2,3", "1,23", "N/A", "inf", "NaN", "1x", "2024-03-04", "1.2.3", "--1", "12ms"] {
            assert_eq!(value(none, Sign::Point), None, "{none}");
        }
        assert_eq!(parse("0.60Gi", Sign::Point).unwrap().unit, Some("Gi"));
    }

    #[test]
    fn a_number_tells_its_decimal_sign_or_not() {
        assert_eq!(evidence("12"), Evidence::None);
        assert_eq!(evidence("1.5"), Evidence::Sure(Sign::Point));
        assert_eq!(evidence("1.234"), Evidence::None, "a point is the decimal sign unless others say otherwise");
        assert_eq!(evidence("1,234"), Evidence::Ambiguous);
        assert_eq!(evidence("0,758"), Evidence::Sure(Sign::Comma));
        assert_eq!(evidence("1,5"), Evidence::Sure(Sign::Comma));
        assert_eq!(evidence("1,234,567"), Evidence::Sure(Sign::Point));
        assert_eq!(evidence("1.234,5"), Evidence::Sure(Sign::Comma));
        assert_eq!(evidence("1,234.5"), Evidence::Sure(Sign::Point));
    }

    #[test]
    fn words_for_no_value_are_known() {
        for word in ["NaN", "null", "undefined", "-", "N/A", "+Inf", "-Infinity", "None"] {
            assert!(is_missing(word), "{word}");
        }
        assert!(!is_missing("-1") && !is_missing("web-1"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (parse(&text, Sign::Point), parse(&text, Sign::Comma), evidence(&text), is_missing(&text));
        }

        #[test]
        fn what_is_written_in_groups_is_the_same_number(whole in 0u64..1_000_000_000_000, hundredths in 0u32..100) {
            let digits = whole.to_string();
            let mut grouped = String::new();
            for (i, digit) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            let wanted: f64 = format!("{whole}.{hundredths:02}").parse().unwrap();
            prop_assert_eq!(value(&format!("{grouped}.{hundredths:02}"), Sign::Point), Some(wanted));
        }
    }
}
