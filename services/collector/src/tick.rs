//! Ticks on a grid of time, of inputs that look at what is there now: those that were missed are not made up.

use anyhow::{Context as _, Result, bail};
use prescale_domain::time::EventTime;

/// Layout of the position: this byte, then the instant of the last tick.
const POSITION_LAYOUT: u8 = 1;

/// The next instant on the grid that lies after now and after the last one.
pub(crate) fn next(now: EventTime, last: Option<EventTime>, every_s: u32) -> EventTime {
    let newest = last.map_or(now, |last| last.max(now));
    EventTime::of_bin(newest.bin(every_s) + 1, every_s)
}

/// The instant of a tick that was due, and was waited for until now: its own, or a later one where the clock went on.
pub(crate) fn at(due: EventTime, now: EventTime, every_s: u32) -> EventTime {
    EventTime::of_bin(now.bin(every_s), every_s).max(due)
}

/// The last tick as a source's position.
pub(crate) fn position(at: EventTime) -> Vec<u8> {
    let mut bytes = vec![POSITION_LAYOUT];
    bytes.extend(at.as_ms().to_be_bytes());
    bytes
}

/// The last tick by a stored position; `key` names the source.
///
/// # Errors
/// When it is of another build.
pub(crate) fn read_position(bytes: &[u8], key: &str) -> Result<EventTime> {
    match bytes.split_first() {
        Some((&POSITION_LAYOUT, ms)) if ms.len() == 8 => {
            Ok(EventTime::from_ms(i64::from_be_bytes(ms.try_into().context("eight bytes")?)))
        }
        _ => bail!("the stored position is of another build: give the source another name with {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_lie_on_the_grid_and_never_repeat(now_ms in 0i64..1 << 45, back_ms in -100_000i64..100_000, every_s in 1u32..3600) {
            let now = EventTime::from_ms(now_ms);
            let last = EventTime::from_ms((now_ms - back_ms).max(0));
            let due = next(now, Some(last), every_s);
            prop_assert!(due > last && due > now);
            prop_assert_eq!(due.as_ms() % (i64::from(every_s) * 1000), 0);
            prop_assert!(due.as_ms() <= last.max(now).as_ms() + i64::from(every_s) * 1000);
            prop_assert_eq!(read_position(&position(due), "name").unwrap(), due);
            let late = at(due, due.plus_s(2 * i64::from(every_s)), every_s);
            prop_assert_eq!(late, due.plus_s(2 * i64::from(every_s)));
            prop_assert_eq!(at(due, now, every_s), due, "the clock was set back");
        }
    }

    #[test]
    fn a_position_of_another_build_is_refused() {
        for bytes in [&[][..], &[2, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 0]] {
            let error = read_position(bytes, "[collector.host] name").unwrap_err().to_string();
            assert!(error.contains("[collector.host] name"), "{error}");
        }
    }
}
