//! Times of the day at which something is allowed. Pure.

use anyhow::{Context as _, Result};
use prescale_domain::time::EventTime;
use std::fmt;

const DAY_MIN: i64 = 24 * 60;

/// Windows of each day, in UTC; without any, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows(Vec<(i64, i64)>);

impl Windows {
    /// At any time.
    #[cfg(test)]
    pub(super) const ANY: Self = Self(Vec::new());

    /// Of texts such as `22:00-04:00`.
    ///
    /// # Errors
    /// With the one that is none.
    pub(super) fn read(texts: &[String]) -> Result<Self> {
        let window = |text: &String| {
            let ends = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
            ends.with_context(|| format!("{text:?} is no window: write one as \"22:00-04:00\""))
        };
        Ok(Self(texts.iter().map(window).collect::<Result<_>>()?))
    }

    /// Whether an instant lies within one.
    pub(super) fn has(&self, at: EventTime) -> bool {
        let now = at.as_ms().div_euclid(60_000).rem_euclid(DAY_MIN);
        let is_within = |&(from, to): &(i64, i64)| (now - from).rem_euclid(DAY_MIN) < (to - from).rem_euclid(DAY_MIN);
        self.0.is_empty() || self.0.iter().any(is_within)
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (from, to)) in self.0.iter().enumerate() {
            let joint = if nth == 0 { "" } else { ", " };
            write!(f, "{joint}{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        }
        f.write_str(" UTC")
    }
}

/// Of the day.
fn minute(text: &str) -> Option<i64> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_beyond_midnight() {
        let windows = Windows::read(&["22:00-04:00".to_owned(), "12:30-13:00".to_owned()]).unwrap();
        let at = |hour: i64, minute: i64| windows.has(EventTime::from_s(86_400 * 400 + hour * 3600 + minute * 60));
        assert_eq!([at(21, 59), at(22, 0), at(3, 59), at(4, 0), at(12, 45)], [false, true, true, false, true]);
        assert_eq!(windows.to_string(), "22:00-04:00, 12:30-13:00 UTC");
        assert!(Windows::default().has(EventTime::from_s(0)));
        assert!(Windows::read(&["25:00-04:00".to_owned()]).is_err());
    }
}
