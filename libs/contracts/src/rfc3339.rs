//! Event time as RFC 3339 text in UTC.

use chrono::{DateTime, SecondsFormat};
use prescale_domain::time::EventTime;
use std::borrow::Cow;

/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can write.
pub(crate) const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the last one.
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

/// The instant as `2026-01-31T12:00:00.000Z`. Years outside 0 to 9999 cannot be written; the
/// nearest instant inside is.
pub fn text(at: EventTime) -> String {
    let at = DateTime::from_timestamp_millis(at.as_ms().clamp(FIRST_MS, LAST_MS)).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads an RFC 3339 instant with any offset, or a bare date as its midnight in UTC. Digits past
/// the millisecond are cut off. `None` when the text is neither.
pub fn parse(text: &str) -> Option<EventTime> {
    let is_whole = text.contains(['T', 't', ' ']);
    let whole = if is_whole { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}T00:00:00Z")) };
    let at = DateTime::parse_from_rfc3339(&whole).ok()?;
    Some(EventTime::from_ms(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        // Python: datetime.fromtimestamp(s, timezone.utc).isoformat()
        for (ms, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_376_314_846_000, "2013-08-12T13:40:46.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
            (FIRST_MS, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text(EventTime::from_ms(ms)), written);
            assert_eq!(parse(written), Some(EventTime::from_ms(ms)), "{written}");
        }
    }

    #[test]
    fn offsets_and_fractions_and_bare_dates() {
        let noon = parse("2026-01-31T12:00:00Z").unwrap();
        assert_eq!(parse("2026-01-31T13:30:00+01:30"), Some(noon));
        assert_eq!(parse("2026-01-31t07:00:00-05:00"), Some(noon));
        assert_eq!(parse("2026-01-31 12:00:00.0009z"), Some(noon));
        assert_eq!(parse("2026-01-31T12:00:00.5Z"), Some(EventTime::from_ms(noon.as_ms() + 500)));
        assert_eq!(parse("2026-01-31"), Some(noon.plus_s(-12 * 3600)));
        assert_eq!(parse("2026-01-31T11:59:60Z"), Some(noon), "a leap second is the next minute's first");
    }

    #[test]
    fn what_is_no_instant() {
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-01-00",
            "2026-1-01",
            "+2026-01-01",
            "26-01-01",
            "2026-01-01T",
            "2026-01-01T00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Zz",
            "2026-01-01T00:00:00é",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(ms in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(parse(&text(EventTime::from_ms(ms))), Some(EventTime::from_ms(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
