//! Instants as text: year first, with or without an offset, or in a form that was given.

use super::super::form::TextForm;
use anyhow::{Result, bail};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use std::collections::HashMap;

/// What instants are in that name no zone.
#[derive(Clone, Debug)]
enum Zone {
    Offset(FixedOffset),
    Named(Tz),
}

/// Reads the instants of a file, in its order.
#[derive(Clone, Debug)]
pub(super) struct InstantReader {
    zone: Zone,
    is_zone_given: bool,
    form: Option<String>,
    /// The last instant of each workload, in milliseconds: it tells which of two equal local times is meant. Held for
    /// zones that change their clocks.
    last_ms: HashMap<String, i64>,
    /// Instants that named no zone.
    pub(super) without_zone: u64,
}

impl InstantReader {
    /// Of a form.
    ///
    /// # Errors
    /// When zone or form are none.
    pub(super) fn new(form: &TextForm) -> Result<Self> {
        let zone = match form.zone.as_str() {
            "" => FixedOffset::east_opt(0).map(Zone::Offset),
            text => match offset(text) {
                Some(offset) => Some(Zone::Offset(offset)),
                None => text.parse::<Tz>().ok().map(Zone::Named),
            },
        };
        let Some(zone) = zone else {
            bail!(
                "[collector.replay.mapping.text] zone = {:?} is no zone: write its name, such as Europe/Berlin, or an \
                 offset, such as +02:00",
                form.zone
            );
        };
        if StrftimeItems::new(&form.instant_form).any(|item| item == Item::Error) {
            bail!(
                "[collector.replay.mapping.text] instant_form = {:?} is no form: write one such as %d.%m.%Y %H:%M:%S",
                form.instant_form
            );
        }
        let given = (!form.instant_form.is_empty()).then(|| form.instant_form.clone());
        let is_zone_given = !form.zone.is_empty();
        Ok(Self { zone, is_zone_given, form: given, last_ms: HashMap::new(), without_zone: 0 })
    }

    /// Whether a form was given.
    pub(super) fn has_form(&self) -> bool {
        self.form.is_some()
    }

    /// Whether instants without a zone are taken as UTC for want of a setting.
    pub(super) fn takes_for_utc(&self) -> bool {
        self.without_zone > 0 && !self.is_zone_given
    }

    /// Whether a text is an instant.
    pub(super) fn can_read(&self, text: &str) -> bool {
        self.parsed(text).is_some()
    }

    /// The instant of a workload's next line, in milliseconds since 1970; `None` where it cannot be read or, as the
    /// hour that is left out in spring, never was.
    pub(super) fn read(&mut self, text: &str, workload: &str) -> Option<i64> {
        let (local, offset) = self.parsed(text)?;
        if let Some(offset) = offset {
            return Some(offset.from_local_datetime(&local).single()?.timestamp_millis());
        }
        self.without_zone += 1;
        match &self.zone {
            Zone::Offset(offset) => Some(offset.from_local_datetime(&local).single()?.timestamp_millis()),
            Zone::Named(zone) => {
                let last_ms = self.last_ms.get(workload).copied();
                let at_ms = match zone.from_local_datetime(&local) {
                    LocalResult::Single(at) => at.timestamp_millis(),
                    LocalResult::Ambiguous(first, second) => {
                        let first_ms = first.timestamp_millis();
                        let is_second = last_ms.is_some_and(|last_ms| first_ms <= last_ms);
                        if is_second { second.timestamp_millis() } else { first_ms }
                    }
                    LocalResult::None => return None,
                };
                match self.last_ms.get_mut(workload) {
                    Some(last_ms) => *last_ms = at_ms,
                    None => {
                        self.last_ms.insert(workload.to_owned(), at_ms);
                    }
                }
                Some(at_ms)
            }
        }
    }

    fn parsed(&self, text: &str) -> Option<(NaiveDateTime, Option<FixedOffset>)> {
        match &self.form {
            None => year_first(text),
            Some(form) => {
                if let Ok(at) = DateTime::parse_from_str(text, form) {
                    return Some((at.naive_local(), Some(*at.offset())));
                }
                let at = NaiveDateTime::parse_from_str(text, form).ok();
                let day = || NaiveDate::parse_from_str(text, form).ok().map(|day| day.and_time(NaiveTime::MIN));
                at.or_else(day).map(|at| (at, None))
            }
        }
    }
}

/// Whether a text is an instant of any form, or looks like one.
pub(super) fn looks_like_one(text: &str) -> bool {
    year_first(text).is_some() || form_of(text, None).is_some()
}

/// Reads `2024-03-04T12:00:00.5+01:00` and the like: the date alone, `/` in it, a blank in place of the T, no seconds,
/// no offset, or `Z`, `UTC` and `GMT`.
fn year_first(text: &str) -> Option<(NaiveDateTime, Option<FixedOffset>)> {
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, rest) = text.split_at(date_end);
    let mark = if date.contains('/') { '/' } else { '-' };
    let mut parts = date.split(mark);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(whole(year)?).ok()?, whole(month)?, whole(day)?)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest).trim();
    if rest.is_empty() {
        return Some((date.and_time(NaiveTime::MIN), None));
    }
    let time_end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(time_end);
    let at = date.and_time(time_of(time)?);
    match zone.trim() {
        "" => Some((at, None)),
        zone => Some((at, Some(offset(zone)?))),
    }
}

/// `12:00`, `12:00:05`, `12:00:05.25`.
fn time_of(text: &str) -> Option<NaiveTime> {
    let mut parts = text.split(':');
    let (hour, minute, seconds) = (whole(parts.next()?)?, whole(parts.next()?)?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    NaiveTime::from_hms_nano_opt(hour, minute, whole(second)?, nanos.parse().ok()?)
}

/// `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, `+01`, `+0100 UTC`.
fn offset(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "z" | "UTC" | "GMT") {
        return FixedOffset::east_opt(0);
    }
    let text = text.strip_suffix("UTC").unwrap_or(text).trim_end();
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = text[1..].replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let seconds = i32::try_from(whole(hours)? * 3600 + whole(minutes)? * 60).ok()?;
    FixedOffset::east_opt(sign * seconds)
}

/// One to four digits.
fn whole(text: &str) -> Option<u32> {
    let is_short = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { text.parse().ok() } else { None }
}

/// The form that a text with day or month first seems to have; `day_first` where others of the column tell.
pub(super) fn form_of(text: &str, day_first: Option<bool>) -> Option<String> {
    let (date, rest) = text.split_once([' ', ',']).map_or((text, None), |(date, rest)| (date, Some(rest)));
    let (numbers, mark) = day_month_year(date)?;
    let year = if numbers[2] > 99 { "%Y" } else { "%y" };
    let is_day_first = day_first.unwrap_or(numbers[0] > 12 || (mark != '/' && numbers[1] <= 12));
    let (first, second) = if is_day_first { ("%d", "%m") } else { ("%m", "%d") };
    let date = format!("{first}{mark}{second}{mark}{year}");
    let Some(rest) = rest else { return Some(date) };
    let between = if text.contains(", ") { ", " } else { " " };
    let rest = rest.trim();
    let has_half = rest.ends_with(['M', 'm']);
    let hour = if has_half { "%I" } else { "%H" };
    let seconds = match rest.matches(':').count() {
        1 => "",
        2 if rest.contains('.') => ":%S%.f",
        2 => ":%S",
        _ => return None,
    };
    Some(format!("{date}{between}{hour}:%M{seconds}{}", if has_half { " %p" } else { "" }))
}

/// The three numbers of a date that does not begin with the year, and what is between them.
pub(super) fn day_month_year(text: &str) -> Option<([u32; 3], char)> {
    let date = text.split([' ', ',']).next()?;
    let mark = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '.' | '-'))?;
    let numbers: Vec<u32> = date.split(mark).map(whole).collect::<Option<_>>()?;
    let numbers: [u32; 3] = numbers.try_into().ok()?;
    let is_date = (1..=31).contains(&numbers[0]) && (1..=31).contains(&numbers[1]);
    is_date.then_some((numbers, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(zone: &str, form: &str) -> InstantReader {
        let form = TextForm { zone: zone.to_owned(), instant_form: form.to_owned(), ..TextForm::default() };
        InstantReader::new(&form).unwrap()
    }

    fn shown(at_ms: Option<i64>) -> String {
        at_ms.and_then(DateTime::from_timestamp_millis).map_or("none".to_owned(), |at| at.naive_utc().to_string())
    }

    #[test]
    fn instants_with_the_year_first_need_no_setting() {
        for (text, wanted) in [
            ("2024-03-04T11:00:00+11:00", "2024-03-04 00:00:00"),
            ("2024-03-04 02:30:00-0700", "2024-03-04 09:30:00"),
            ("2024-03-04T00:00:00Z", "2024-03-04 00:00:00"),
            ("2024/3/4 1:02", "2024-03-04 01:02:00"),
            ("2024-03-04", "2024-03-04 00:00:00"),
            ("2024-03-04 12:00:00.250 UTC", "2024-03-04 12:00:00.250"),
            ("2024-03-04 12:00:00 +0000 UTC", "2024-03-04 12:00:00"),
            ("11/14/2022 12:45:00 PM", "none"),
            ("2024-13-04", "none"),
            ("1561012200", "none"),
        ] {
            assert_eq!(shown(reader("", "").read(text, "a")), wanted, "{text}");
        }
    }

    #[test]
    fn a_form_that_was_given_is_followed() {
        let mut us = reader("", "%m/%d/%Y %I:%M:%S %p");
        assert_eq!(shown(us.read("11/14/2022 12:05:00 AM", "a")), "2022-11-14 00:05:00");
        let mut german = reader("Europe/Berlin", "%d.%m.%Y %H:%M");
        assert_eq!(shown(german.read("04.03.2024 01:00", "a")), "2024-03-04 00:00:00");
    }

    #[test]
    fn the_hour_that_is_there_twice_is_told_by_its_order() {
        let mut berlin = reader("Europe/Berlin", "");
        let read = |reader: &mut InstantReader, text: &str| shown(reader.read(text, "a"));
        assert_eq!(read(&mut berlin, "2023-10-29 01:55:00"), "2023-10-28 23:55:00");
        assert_eq!(read(&mut berlin, "2023-10-29 02:00:00"), "2023-10-29 00:00:00");
        assert_eq!(shown(berlin.read("2023-10-29 02:00:00", "b")), "2023-10-29 00:00:00");
        assert_eq!(read(&mut berlin, "2023-10-29 02:55:00"), "2023-10-29 00:55:00");
        assert_eq!(read(&mut berlin, "2023-10-29 02:00:00"), "2023-10-29 01:00:00");
        assert_eq!(read(&mut berlin, "2023-10-29 02:05:00"), "2023-10-29 01:05:00");
        assert_eq!(read(&mut berlin, "2024-03-31 02:30:00"), "none", "it never was");
    }

    #[test]
    fn settings_that_are_none_are_refused_and_a_form_is_proposed() {
        let refused = |zone: &str, form: &str| {
            let form = TextForm { zone: zone.to_owned(), instant_form: form.to_owned(), ..TextForm::default() };
            InstantReader::new(&form).unwrap_err().to_string()
        };
        assert!(refused("Berlin", "").contains("Europe/Berlin") && refused("", "%Q").contains("instant_form"));
        assert_eq!(form_of("11/14/2022 12:45:00 PM", None).as_deref(), Some("%m/%d/%Y %I:%M:%S %p"));
        assert_eq!(form_of("14.11.2022 12:45", None).as_deref(), Some("%d.%m.%Y %H:%M"));
        assert_eq!(form_of("04/11/2022", Some(true)).as_deref(), Some("%d/%m/%Y"));
        assert_eq!(form_of("soon", None), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = (reader("", "").read(&text, "a"), looks_like_one(&text));
            let _ = (reader("Europe/Berlin", "%d.%m.%Y %H:%M").read(&text, "a"), offset(&text));
        }
    }
}
