//! Writes a crowd's samples to `raw-kpis`.

use integration_tests::warm::Crowd;
use integration_tests::warm::crowd::{Came, Progress, record};
use prescale_bus::{Bus, OutputRecord, Source};
use std::ops::Range;

/// A crowd's source.
pub(crate) struct Writer<'a> {
    crowd: &'a Crowd,
    progress: Progress,
    source: Box<dyn Source>,
    /// Samples written.
    pub(crate) samples: u64,
    appends: u64,
}

impl<'a> Writer<'a> {
    /// Goes on from `progress`.
    pub(crate) fn new(crowd: &'a Crowd, progress: Progress, bus: &dyn Bus) -> Self {
        let source = bus.source("crowd").expect("the source opens");
        Self { crowd, progress, source, samples: 0, appends: 0 }
    }

    /// What comes in the next step.
    pub(crate) fn step(&mut self) -> Vec<Came> {
        self.crowd.step_all(&mut self.progress)
    }

    /// Writes what came of the workloads of these numbers; returns how many samples that is.
    pub(crate) fn append(&mut self, numbers: Range<usize>, came: &[Came]) -> u64 {
        let crowd = self.crowd;
        let of = |number: usize| Some(record(&crowd.sample(number, &came[crowd.partition(number)])?));
        let records: Vec<OutputRecord> = numbers.filter_map(of).collect();
        let written = records.len() as u64;
        if written > 0 {
            self.appends += 1;
            self.source.append(records, self.appends.to_string().as_bytes()).expect("the records are written");
        }
        self.samples += written;
        written
    }

    /// Where it has come to.
    pub(crate) fn into_progress(self) -> Progress {
        self.progress
    }
}
