//! Writing to the bus for a source: its records and its position together, tried again while the
//! bus cannot take them.
//!
//! A source waits here, so it never holds more than the records under way. It must not know what
//! they say.

use anyhow::{Context as _, Result};
use prescale_bus::{Bus, BusError, OutputRecord, Source};
use prescale_chassis::{BusRetry, output_record};
use prescale_contracts::{Contract, ContractError, Envelope, topics};
use prescale_domain::sample::Sample;

/// Whether records were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// They are on the bus, with the position.
    Yes,
    /// The shutdown came while the bus could not take them; neither is there.
    Shutdown,
}

/// A sample and its place in its source, which never repeats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedSample {
    /// The sample.
    pub sample: Sample,
    /// Its place.
    pub place: String,
}

/// A source of samples on the bus.
pub(crate) struct Appender {
    source: Box<dyn Source>,
    retry: BusRetry,
}

impl Appender {
    /// Opens the source, whose name is `retry`'s and names it for good, and reads the position that
    /// it stored last, if it stored any. `None` when the shutdown comes before the bus.
    ///
    /// # Errors
    /// When the bus refuses for good.
    pub(crate) fn open(bus: &dyn Bus, retry: BusRetry) -> Result<Option<(Self, Option<Vec<u8>>)>> {
        Ok(open(bus, &retry)?.map(|(source, position)| (Self { source, retry }, position)))
    }

    /// Writes the samples and the new position, or nothing. Positions must differ from each other:
    /// where it is not known whether a write took effect, the stored position tells.
    ///
    /// # Errors
    /// When a sample breaks its contract, or the bus refuses for good.
    pub(crate) fn append(&mut self, samples: &[PlacedSample], position: &[u8]) -> Result<Appended> {
        let Self { source, retry } = self;
        let id = retry.id();
        retry.health().alive();
        let mut records = Some(records_of(id, samples).with_context(|| format!("source {id} made a bad record"))?);
        let written = retry.run(|| {
            let records = match records.take() {
                Some(records) => records,
                None if source.position()?.as_deref() == Some(position) => return Ok(()),
                None => records_of(id, samples).map_err(|e| defect(id, &e))?,
            };
            source.append(records, position)
        });
        match written.with_context(|| format!("source {id} cannot write"))? {
            None => Ok(Appended::Shutdown),
            Some(()) => {
                metrics::counter!("prescale_collector_samples_total", "source" => id.to_owned())
                    .increment(samples.len() as u64);
                Ok(Appended::Yes)
            }
        }
    }
}

/// A source, and the position that it stored last, if it stored any.
pub(crate) type Opened = (Box<dyn Source>, Option<Vec<u8>>);

/// Opens the source, whose name is `retry`'s, and reads its position; `None` when the shutdown comes before the bus.
///
/// # Errors
/// When the bus refuses for good.
pub(crate) fn open(bus: &dyn Bus, retry: &BusRetry) -> Result<Option<Opened>> {
    let opened = retry.run(|| {
        let mut source = bus.source(retry.id())?;
        let position = source.position()?;
        Ok((source, position))
    });
    opened.with_context(|| format!("cannot open source {}", retry.id()))
}

fn records_of(id: &str, samples: &[PlacedSample]) -> Result<Vec<OutputRecord>, ContractError> {
    let record = |placed: &PlacedSample| {
        let PlacedSample { sample, place } = placed;
        let envelope = Envelope::root(id, Sample::EVENT_TYPE, &sample.workload, sample.at, place);
        output_record(&envelope, topics::RAW_KPIS, sample)
    };
    samples.iter().map(record).collect()
}

fn defect(id: &str, error: &ContractError) -> BusError {
    BusError::Backend { context: format!("source {id}"), message: error.to_string(), retryable: false }
}

#[cfg(test)]
mod tests;
