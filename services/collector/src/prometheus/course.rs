//! What is to be read next: the history in pieces, then step by step what comes. Pure.

use super::api::Instants;
use anyhow::{Result, bail};
use bitcode::{Decode, Encode};
use prescale_domain::time::EventTime;

/// First byte of a position: how the rest is laid out.
const LAYOUT: u8 = 1;
/// Instants of the first piece.
const FIRST_INSTANTS: u32 = 12;
/// Instants of any piece.
const INSTANTS_MAX: u32 = 2000;
/// Samples that a piece is to have at most.
const SAMPLES_WANTED: u64 = 20_000;
/// A piece is at most so many times as long as the one before, up to what a server has not refused yet.
const GROWTH: u32 = 4;
/// From there on it is longer by one in so many.
const CAREFUL_GROWTH: u32 = 8;

/// How far it was read; with the samples on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Position {
    /// What describes the time before is read, in milliseconds.
    pub until_ms: i64,
    /// Whether the history is read: from then on the step is the live one, also after a stop.
    pub is_live: bool,
}

impl Position {
    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        bytes.extend(bitcode::encode(self));
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are of another build.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let position = bytes.split_first().filter(|(layout, _)| **layout == LAYOUT);
        match position.and_then(|(_, rest)| bitcode::decode(rest).ok()) {
            Some(position) => Ok(position),
            None => bail!(
                "the stored position is of another build: set [collector.prometheus] name to another name to read all again"
            ),
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read these.
    Read(Instants),
    /// The history is read.
    GoLive,
    /// Nothing before this instant.
    Wait(EventTime),
}

/// By what it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// Step of what is live, in seconds.
    pub step_s: u32,
    /// Step of the history, in seconds; a multiple of it.
    pub history_step_s: u32,
    /// Length of the history, in seconds.
    pub history_s: u32,
    /// An instant is asked for so many seconds after it.
    pub delay_s: u32,
    /// Instants of the next piece.
    pub instants: u32,
    /// From so many on pieces grow slowly: twice as many were too much for the server.
    careful_from: u32,
}

impl Course {
    /// Of these lengths, all in seconds.
    pub(crate) fn new(step_s: u32, history_step_s: u32, history_s: u32, delay_s: u32) -> Self {
        Self { step_s, history_step_s, history_s, delay_s, instants: FIRST_INSTANTS, careful_from: INSTANTS_MAX }
    }

    /// Where a source begins that has read nothing.
    pub(crate) fn start(&self, now: EventTime) -> Position {
        Position { until_ms: self.oldest(now), is_live: false }
    }

    /// Where the history begins, seen from now.
    fn oldest(&self, now: EventTime) -> i64 {
        now.plus_s(-i64::from(self.history_s)).bin(self.history_step_s) * i64::from(self.history_step_s) * 1000
    }

    /// A position that lies before the history begins moves there: the seconds that are left out.
    pub(crate) fn skip(&self, position: &mut Position, now: EventTime) -> i64 {
        let oldest = self.oldest(now);
        if position.until_ms >= oldest {
            return 0;
        }
        (oldest - std::mem::replace(&mut position.until_ms, oldest)) / 1000
    }

    /// What comes next.
    pub(crate) fn next(&self, position: Position, now: EventTime) -> Next {
        let step_s = if position.is_live { self.step_s } else { self.history_step_s };
        let step_ms = i64::from(step_s) * 1000;
        let ready_ms = now.as_ms() - i64::from(self.delay_s) * 1000;
        let ready = (ready_ms - position.until_ms).div_euclid(step_ms);
        match u32::try_from(ready).unwrap_or(if ready > 0 { u32::MAX } else { 0 }) {
            0 if !position.is_live => Next::GoLive,
            0 => Next::Wait(EventTime::from_ms(position.until_ms + step_ms + i64::from(self.delay_s) * 1000)),
            ready => {
                let count = ready.min(self.instants);
                Next::Read(Instants { first_ms: position.until_ms + step_ms, step_s, count })
            }
        }
    }

    /// A piece took more than the server allows: the next ones are shorter. Whether that is possible.
    pub(crate) fn shorten(&mut self, piece: Instants) -> bool {
        self.instants = (piece.count / 2).max(1);
        self.careful_from = self.instants;
        piece.count > 1
    }

    /// A piece gave so many samples: the next ones are as long as gives what is wanted.
    pub(crate) fn adapt(&mut self, piece: Instants, samples: usize) {
        let wanted = (u64::from(piece.count) * SAMPLES_WANTED).checked_div(samples as u64).unwrap_or(u64::MAX);
        let most = if self.instants < self.careful_from {
            self.instants.saturating_mul(GROWTH).min(self.careful_from)
        } else {
            self.instants + self.instants / CAREFUL_GROWTH + 1
        };
        self.instants = wanted.clamp(1, u64::from(most.min(INSTANTS_MAX))) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_S: u32 = 86_400;

    #[test]
    fn a_position_reads_back_and_that_of_another_build_is_refused() {
        let position = Position { until_ms: 1_700_000_000_000, is_live: true };
        assert_eq!(Position::decode(&position.encode()).unwrap(), position);
        assert!(Position::decode(&[]).is_err() && Position::decode(&[2, 0]).is_err());
    }

    #[test]
    fn pieces_follow_the_number_of_samples_and_what_a_server_allows() {
        let mut course = Course::new(60, 300, DAY_S, 30);
        let piece = |count| Instants { first_ms: 0, step_s: 300, count };
        course.adapt(piece(12), 0);
        assert_eq!(course.instants, 48, "nothing there: go on faster");
        course.adapt(piece(48), 48 * 2000);
        assert_eq!(course.instants, 10);
        assert!(course.shorten(piece(10)));
        assert_eq!(course.instants, 5);
        course.adapt(piece(5), 5 * 100_000);
        assert_eq!(course.instants, 1);
        assert!(!course.shorten(piece(1)));
    }

    #[test]
    fn what_a_server_refused_is_not_asked_for_again_at_once() {
        let mut course = Course::new(60, 300, DAY_S, 30);
        let (mut read, mut refused) = (0, 0);
        while read < 4000 {
            let piece = Instants { first_ms: 0, step_s: 300, count: course.instants };
            if piece.count > 100 {
                refused += 1;
                assert!(course.shorten(piece));
            } else {
                read += piece.count;
                course.adapt(piece, 0);
            }
        }
        assert!(course.instants > 50 && refused < 20, "{refused} pieces were refused");
    }

    #[test]
    fn who_was_away_for_longer_than_the_history_goes_on_with_its_beginning() {
        let course = Course::new(60, 300, DAY_S, 30);
        let now = EventTime::from_s(1_700_000_130);
        let mut position = Position { until_ms: 0, is_live: true };
        assert_eq!(course.skip(&mut position, now), 1_699_913_700);
        assert_eq!((position.until_ms, position.is_live), (1_699_913_700_000, true));
        assert_eq!(course.skip(&mut position, now), 0);
    }

    proptest! {
        /// Whatever the clock does between, each instant of the grid is read once.
        #[test]
        fn every_instant_is_read_once(start_s in 1_000_000_000i64..2_000_000_000, pauses in prop::collection::vec(0i64..1000, 1..80)) {
            let mut course = Course::new(60, 300, 7200, 30);
            let mut now = EventTime::from_s(start_s);
            let mut position = course.start(now);
            let mut expected_ms = position.until_ms;
            for pause_s in pauses {
                now = now.plus_s(pause_s);
                loop {
                    match course.next(position, now) {
                        Next::GoLive => position.is_live = true,
                        Next::Wait(at) => {
                            prop_assert!(at > now && at.as_ms() - now.as_ms() <= 90_000);
                            break;
                        }
                        Next::Read(piece) => {
                            prop_assert_eq!(piece.first_ms, expected_ms + piece.step_ms());
                            prop_assert!(piece.last_ms() + 30_000 <= now.as_ms());
                            expected_ms = piece.last_ms();
                            position.until_ms = piece.last_ms();
                            course.adapt(piece, piece.count as usize * 700);
                        }
                    }
                }
            }
            prop_assert!(position.is_live);
        }
    }
}
