//! Where a replay stands, and of what: so that it goes on with the same rows after a restart, and
//! refuses to go on with others.

use super::at::Range;
use super::join::Outcome;
use super::mapping::Mapping;
use super::rows::DropReason;
use super::source::files_of;
use super::trace::Trace;
use crate::event::ReplayReport;
use anyhow::{Context as _, Result, bail};
use bitcode::{Decode, Encode};
use prescale_domain::time::EventTime;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// First byte of a position: how the rest is laid out.
const LAYOUT: u8 = 2;
/// So much of a file's head and tail tells it from others of its length.
const DIGESTED_BYTES: u64 = 1 << 20;

/// What is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Identity {
    file: [u8; 32],
    mapping: String,
    from_ms: i64,
    to_ms: Option<i64>,
    step_s: u32,
}

/// How much of it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Progress {
    /// Ordered rows that are done.
    pub rows_done: u64,
    /// Instant of the last one, in milliseconds.
    last_row_ms: Option<i64>,
    /// How many rows of that instant are done.
    rows_at_last: u64,
    samples_written: u64,
    rows_joined: u64,
    rows_differing: u64,
    /// Values of each KPI, in the order of the trace's.
    values: Vec<u64>,
    dropped: [u64; DropReason::ALL.len()],
    /// Places of the first of them, by reason, where rows were lines of text.
    dropped_at: [Option<i64>; DropReason::ALL.len()],
    first_sample_ms: Option<i64>,
    last_sample_ms: Option<i64>,
    /// Whether the end was reached.
    pub ended: bool,
}

impl Identity {
    /// Of the files that a path names, under a mapping, in a range.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn of(path: &Path, mapping: &Mapping, range: Range, step_s: u32) -> Result<Self> {
        let mut hash = Sha256::new();
        for path in files_of(path)? {
            digest(&path, &mut hash).with_context(|| format!("cannot read {}", path.display()))?;
        }
        let file = hash.finalize().into();
        let mapping = format!("{mapping} {:?} {}", mapping.instant_unit, mapping.text);
        Ok(Self { file, mapping, from_ms: range.from_ms, to_ms: range.to_ms, step_s })
    }

    /// Refuses to go on when what was replayed under this name was another.
    fn check_same(&self, stored: &Self, name: &str) -> Result<()> {
        let differs = [
            ("the file", self.file != stored.file),
            ("the mapping", self.mapping != stored.mapping),
            ("the range (from, to)", (self.from_ms, self.to_ms) != (stored.from_ms, stored.to_ms)),
            ("the step", self.step_s != stored.step_s),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => bail!(
                "replay {name:?} was begun with another trace: {what} is not the same any more; set \
                 [collector.replay] name to another name to replay this one from its start"
            ),
        }
    }
}

fn digest(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    hash.update(bytes.to_be_bytes());
    for from in [0, bytes.saturating_sub(DIGESTED_BYTES)] {
        file.seek(SeekFrom::Start(from))?;
        let mut part = Vec::new();
        (&mut file).take(DIGESTED_BYTES).read_to_end(&mut part)?;
        hash.update(part);
    }
    Ok(())
}

impl Progress {
    /// At the start of a trace, whose rows without an instant are dropped already.
    pub(crate) fn starting(rows_without_instant: u64) -> Self {
        let mut progress = Self::default();
        progress.dropped[DropReason::NoInstant as usize] = rows_without_instant;
        progress
    }

    /// Takes note of what became of some rows.
    pub(crate) fn took(&mut self, outcome: &Outcome) {
        let at_ms = outcome.at_ms;
        if let Some(sample) = &outcome.sample {
            self.values.resize(sample.kpis.len(), 0);
            self.values.iter_mut().zip(&sample.kpis).for_each(|(n, kpi)| *n += u64::from(kpi.value.is_some()));
            self.samples_written += 1;
            self.first_sample_ms.get_or_insert(at_ms);
            self.last_sample_ms = Some(at_ms);
        }
        self.rows_joined += outcome.joined;
        self.rows_differing += outcome.differing;
        self.dropped.iter_mut().zip(outcome.dropped).for_each(|(all, new)| *all += new);
        self.dropped_at.iter_mut().zip(outcome.dropped_at).for_each(|(first, new)| *first = first.or(new));
        self.rows_done += outcome.rows();
        let same = self.last_row_ms.replace(at_ms) == Some(at_ms);
        self.rows_at_last = if same { self.rows_at_last + outcome.rows() } else { outcome.rows() };
    }

    /// From which instant to read on, and how many rows of it are done.
    pub(crate) fn resume_at(&self) -> Option<(i64, u64)> {
        self.last_row_ms.map(|ms| (ms, self.rows_at_last))
    }

    /// Rows dropped since `before`, by reason.
    pub(crate) fn dropped_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'static str, u64)> + 'a {
        let counts = self.dropped.iter().zip(&before.dropped).zip(DropReason::ALL);
        counts.map(|((now, then), reason)| (reason.code(), now - then)).filter(|(_, n)| *n > 0)
    }

    /// What became of the trace so far.
    pub(crate) fn report(&self, trace: &Trace) -> ReplayReport {
        let empty = trace.kpis().zip(&self.values).filter(|(_, values)| **values == 0);
        let empty = empty.map(|(kpi, _)| {
            format!("{}: no row has a value of it, so look at its column or expression in the mapping", kpi.name)
        });
        let dropped = DropReason::ALL.iter().zip(self.dropped_at).zip(self.dropped).filter_map(|((reason, at), n)| {
            Some(format!("{n} rows {}: the first is {}, {}", reason.code(), trace.place(at?), reason.meaning()))
        });
        let reasons = DropReason::ALL.iter().zip(self.dropped).filter(|(_, n)| *n > 0);
        ReplayReport {
            rows_read: self.samples_written + self.rows_joined + self.dropped.iter().sum::<u64>(),
            samples_written: self.samples_written,
            rows_joined: self.rows_joined,
            rows_differing: self.rows_differing,
            notes: trace.notes().iter().cloned().chain(empty).chain(dropped).collect(),
            rows_dropped: reasons.map(|(reason, n)| (reason.code(), n)).collect(),
            first_at: self.first_sample_ms.map(EventTime::from_ms),
            last_at: self.last_sample_ms.map(EventTime::from_ms),
        }
    }
}

/// As bytes for the bus to keep.
pub(crate) fn encode(identity: &Identity, progress: &Progress) -> Vec<u8> {
    let mut bytes = vec![LAYOUT];
    bytes.extend(bitcode::encode(&(identity.clone(), progress.clone())));
    bytes
}

/// The progress from the bytes that were kept.
///
/// # Errors
/// When another trace was replayed under this name, or another build wrote the bytes.
pub(crate) fn decode(bytes: &[u8], identity: &Identity, name: &str) -> Result<Progress> {
    let read = bytes.split_first().filter(|(layout, _)| **layout == LAYOUT);
    let stored = read.and_then(|(_, rest)| bitcode::decode::<(Identity, Progress)>(rest).ok());
    let (stored, progress) = stored.with_context(|| {
        format!("the position of replay {name:?} is of another build: set [collector.replay] name to another name")
    })?;
    identity.check_same(&stored, name)?;
    Ok(progress)
}
