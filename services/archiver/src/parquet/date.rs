//! Days of event time, in UTC.

use prescale_contracts::rfc3339;
use prescale_domain::time::EventTime;

const DAY_MS: i64 = 86_400_000;
const DATE_CHARACTERS: usize = "YYYY-MM-DD".len();

/// The day that holds an instant, counted from 1970-01-01.
pub(super) fn of_ms(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// Its end, in milliseconds since the Unix epoch.
pub(super) fn end_ms(day: i64) -> i64 {
    day.saturating_add(1).saturating_mul(DAY_MS)
}

/// The day as `YYYY-MM-DD`.
pub(super) fn text(day: i64) -> String {
    rfc3339(EventTime::from_ms(day.saturating_mul(DAY_MS))).chars().take(DATE_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (day, date) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(text(day), date);
        }
        assert_eq!((of_ms(-1), of_ms(86_399_999), of_ms(86_400_000)), (-1, 0, 1));
        assert_eq!(end_ms(0), 86_400_000);
    }
}
