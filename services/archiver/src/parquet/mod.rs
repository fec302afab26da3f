//! Day-partitioned Parquet files, `<folder>/<topic>/day=YYYY-MM-DD/part-<partition>-<position>.parquet`,
//! each of the records of one partition and day from that position of the log on.
//!
//! Until a file is due its records stand in a journal ([`journal`]), on disk before the position moves.
//! A file ([`part`]) becomes visible whole, and says up to which position it goes; so whatever was
//! archived before a crash is known, and a record that comes again is left out ([`days`]). Where there is room the
//! day's newest file goes into the next one, which takes its place, so that a day has few. A file that turns out to be
//! damaged is moved below `<folder>/.damaged`. Tables are in [`table`].

mod date;
mod days;
mod journal;
mod part;
mod table;

use crate::config::ParquetConfig;
use anyhow::Result;
use days::{Days, Rules};
use prescale_chassis::patience::{GaveUp, Patience, Unavailable};
use prescale_chassis::sink::{Sink, SinkRun, Taken};
use std::path::{Path, PathBuf};
use table::Tabular;

/// Where and when files are written.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    topic: &'static str,
    partition: u32,
}

impl Layout {
    fn journals(&self) -> PathBuf {
        self.folder.join(".open").join(self.topic).join(self.partition.to_string())
    }

    fn day(&self, day: i64) -> PathBuf {
        self.folder.join(self.topic).join(format!("day={}", date::text(day)))
    }

    /// Where a day's files go that cannot be read.
    fn damaged(&self, day: i64) -> PathBuf {
        self.folder.join(".damaged").join(self.topic).join(format!("day={}", date::text(day)))
    }
}

/// Runs the stage that writes one topic's files; at its end every file is closed, so that nothing waits
/// unseen in a journal.
pub(crate) fn run<C: Tabular + 'static>(config: &ParquetConfig, sink: &SinkRun<'_>) -> Result<()> {
    let rules = Rules {
        rows_max: config.rows_per_file_max,
        span_ms_max: i64::from(config.span_s_max) * 1000,
        idle_ms: i64::from(config.idle_s) * 1000,
    };
    let folder = config.folder.clone();
    sink.run::<C>(Box::new(move |partition| {
        Box::new(Archive::<C> { layout: layout::<C>(&folder, partition), rules, days: None })
    }))?;
    close_all::<C>(&config.folder, rules)
}

fn layout<C: Tabular>(folder: &Path, partition: u32) -> Layout {
    Layout { folder: folder.to_owned(), topic: C::TOPIC, partition }
}

/// Closes what is open of partitions that no other instance has.
fn close_all<C: Tabular>(folder: &Path, rules: Rules) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder.join(".open").join(C::TOPIC)) else { return Ok(()) };
    for entry in entries {
        let Some(partition) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match Days::<C>::open(layout::<C>(folder, partition), rules) {
            Ok(mut days) => days.close_all()?,
            Err(error) => tracing::info!(partition, "files stay open: {error:#}"),
        }
    }
    Ok(())
}

/// The sink of one partition.
struct Archive<C> {
    layout: Layout,
    rules: Rules,
    /// `None` before the first record, and after a failure, since when only the disk knows.
    days: Option<Days<C>>,
}

impl<C: Tabular> Archive<C> {
    fn try_take(&mut self, records: &[Taken<'_, C>]) -> Result<()> {
        let mut days = match self.days.take() {
            Some(days) => days,
            None => Days::open(self.layout.clone(), self.rules)?,
        };
        days.take(records)?;
        self.days = Some(days);
        Ok(())
    }
}

impl<C: Tabular> Sink<C> for Archive<C> {
    fn take(&mut self, records: &[Taken<'_, C>], patience: &mut Patience) -> Result<(), GaveUp> {
        while let Err(error) = self.try_take(records) {
            patience.wait(&Unavailable::new(format!("{error:#}")))?;
        }
        patience.answered();
        Ok(())
    }
}
