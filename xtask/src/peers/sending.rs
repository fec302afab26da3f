//! A sender and a process of ours, of which each is killed once while the one writes to the other.

use super::prescale::Prescale;
use crate::process::{Program, wait};
use anyhow::Result;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long things go on between two changes.
pub(super) struct Turns {
    /// With both running.
    pub(super) both: Duration,
    /// With the sender alone.
    pub(super) alone: Duration,
    /// What the sender measured so long before it was killed may be on its way.
    pub(super) on_its_way: Duration,
}

/// Starts the sender, kills ours and starts it again, then kills the sender and starts it again, each time at once
/// (SIGKILL), and ends the sender in good order. Gives the instants, in milliseconds, of what may have been on its way when the
/// sender was killed.
pub(super) fn with_kills(prescale: &mut Prescale, sender: &mut Program, turns: &Turns) -> Result<Range<i64>> {
    sender.start()?;
    wait(turns.both);
    prescale.kill()?;
    wait(turns.alone);
    prescale.run()?;
    wait(turns.both);
    sender.kill()?;
    let killed_ms = now_ms();
    sender.start()?;
    wait(turns.both);
    sender.end()?;
    Ok(killed_ms - millis(turns.on_its_way)..killed_ms)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
