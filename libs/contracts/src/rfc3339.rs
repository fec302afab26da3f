//! Event time as RFC 3339 text in UTC, without a calendar crate.
//!
//! Days and dates by H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).

use prescale_domain::time::EventTime;

const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can write.
pub(crate) const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the last one.
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

/// The instant as `2026-01-31T12:00:00.000Z`. Years outside 0 to 9999 cannot be written; the
/// nearest instant inside is.
pub fn text(at: EventTime) -> String {
    let ms = at.as_ms().clamp(FIRST_MS, LAST_MS);
    let (year, month, day) = date_of_days(ms.div_euclid(DAY_MS));
    let in_day = ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1000)
}

/// Reads an RFC 3339 instant with any offset, or a bare date as its midnight in UTC. Digits past
/// the millisecond are cut off. `None` when the text is neither.
pub fn parse(text: &str) -> Option<EventTime> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let in_day_ms = time.map_or(Some(0), time_of_day_ms)?;
    Some(EventTime::from_ms(days_of_date(year, month, day) * DAY_MS + in_day_ms))
}

/// Milliseconds since the date's midnight in UTC: `12:00:00[.000](Z|+01:00)`.
fn time_of_day_ms(time: &str) -> Option<i64> {
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = whole.split(':');
    let (hour, minute, second) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction_ms: i64 = format!("{:0<3.3}", fraction).parse().ok()?;
    let offset_min = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    Some((((hour * 60 + minute - offset_min) * 60) + second) * 1000 + fraction_ms)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    if text.len() == count && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Inverse of [`days_of_date`].
fn date_of_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
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
    }

    #[test]
    fn what_is_no_instant() {
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-01-00",
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
