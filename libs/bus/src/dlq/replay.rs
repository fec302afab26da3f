//! Writing dead letters back to the topic that they came from, each once.
//!
//! The replay is a source: the letters and the word of which ones went are written as one step, so a
//! repeated or killed replay neither loses nor doubles a letter. It ends where the queue ended when
//! it began: a letter that fails again comes back behind that end, with its new reason, and waits
//! for the next replay.

use super::ranges::{Replayed, refused, replayed_by, source_of};
use super::walk::Walk;
use super::{DeadLetter, LetterFilter, dlq_topic};
use crate::bus::{Bus, Source};
use crate::error::BusError;
use tokio_util::sync::CancellationToken;

/// Bound of the word of which letters went: it is stored as one record.
const POSITION_BYTES_MAX: usize = 512 * 1024;

/// What to replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayRequest {
    /// Topic that the letters came from.
    pub topic: String,
    /// Which of them.
    pub filter: LetterFilter,
    /// At most so many.
    pub limit: Option<u64>,
    /// Only count.
    pub dry_run: bool,
    /// Take none for replayed.
    pub from_start: bool,
}

/// A letter that cannot be written back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreplayable {
    /// Partition of the queue.
    pub partition: u32,
    /// Offset in the queue.
    pub offset: i64,
    /// Why not.
    pub why: String,
}

/// What a replay did; each letter of the queue is in one of the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Written back (of a dry run: those that would be).
    pub replayed: u64,
    /// Written back by an earlier replay.
    pub replayed_before: u64,
    /// Left out by the selection.
    pub not_selected: u64,
    /// Selected, but beyond the limit.
    pub beyond_limit: u64,
    /// Number of letters that cannot be written back.
    pub unreplayable: u64,
    /// The first of them.
    pub first_unreplayable: Option<Unreplayable>,
}

/// Replays letters until the queue's end as of now, the limit or `shutdown`. Letters of one key keep
/// their order.
///
/// # Errors
/// When a topic is missing, the bus is lost, or another replay of the queue took over. What was
/// written until then is remembered: the same call goes on behind it.
pub fn replay(bus: &dyn Bus, request: &ReplayRequest, shutdown: &CancellationToken) -> Result<ReplayReport, BusError> {
    let dlq = dlq_topic(&request.topic);
    let mut walk = Walk::begin(bus, &dlq)?;
    let id = source_of(&dlq);
    let mut source = if request.dry_run { None } else { Some(bus.source(&id)?) };
    let position = match (&mut source, request.from_start) {
        (_, true) => None,
        (Some(source), false) => source.position()?,
        (None, false) => bus.source_position(&id)?,
    };
    let replayed = replayed_by(&dlq, position)?;
    check_ends(&dlq, &replayed, &walk)?;
    let mut run = Run { request, dlq, source, replayed, report: ReplayReport::default() };
    while !shutdown.is_cancelled()
        && let Some(page) = walk.page()?
    {
        run.step(page.into_iter().map(|(behind, record)| (behind, DeadLetter::of(record))))?;
    }
    Ok(run.report)
}

/// Offsets that were replayed and that the queue does not have: it was made anew, and what was
/// remembered is of the old one.
fn check_ends(dlq: &str, replayed: &Replayed, walk: &Walk) -> Result<(), BusError> {
    for (partition, to) in replayed.ends() {
        let end = walk.ends.get(&partition).copied().unwrap_or(0);
        if to > end {
            let message = format!(
                "partition {partition} ends at offset {end}, and letters up to {to} were replayed before: the queue was made anew, replay from the start"
            );
            return Err(refused(dlq, message));
        }
    }
    Ok(())
}

struct Run<'a> {
    request: &'a ReplayRequest,
    dlq: String,
    source: Option<Box<dyn Source>>,
    replayed: Replayed,
    report: ReplayReport,
}

impl Run<'_> {
    /// Takes letters in order, each with the offset behind the one before it: between the two there
    /// is none, which keeps the ranges few.
    fn step(&mut self, letters: impl Iterator<Item = (i64, DeadLetter)>) -> Result<(), BusError> {
        let mut records = Vec::new();
        for (behind, letter) in letters {
            let (partition, offset) = (letter.record.partition, letter.record.offset);
            self.replayed.add(partition, behind, offset);
            if self.replayed.contains(partition, offset) {
                self.report.replayed_before += 1;
            } else if !self.request.filter.admits(&letter) {
                self.report.not_selected += 1;
            } else if self.request.limit.is_some_and(|limit| self.report.replayed >= limit) {
                self.report.beyond_limit += 1;
            } else {
                match letter.original() {
                    Ok(original) => {
                        records.push(original);
                        self.replayed.add(partition, offset, offset + 1);
                        self.report.replayed += 1;
                    }
                    Err(why) => {
                        self.report.unreplayable += 1;
                        let first = &mut self.report.first_unreplayable;
                        first.get_or_insert(Unreplayable { partition, offset, why });
                    }
                }
            }
        }
        let Some(source) = self.source.as_mut().filter(|_| !records.is_empty()) else { return Ok(()) };
        let position = self.replayed.encode();
        if position.len() > POSITION_BYTES_MAX {
            return Err(refused(
                &self.dlq,
                "selections have left too many gaps to remember: replay the queue without a selection",
            ));
        }
        source.append(records, &position)
    }
}
