//! From requests to the log: what waits is written together, and each request hears whether its records are there.

use anyhow::{Context as _, Result, anyhow};
use prescale_bus::{BusError, OutputRecord, Source};
use prescale_chassis::BusRetry;
use tokio::sync::{mpsc, oneshot};

/// Records on their way to the log.
pub(crate) struct Job {
    /// The records.
    pub(crate) records: Vec<OutputRecord>,
    /// Hears whether they are there, or why not.
    pub(crate) done: oneshot::Sender<Result<(), String>>,
}

/// Writes to the log what requests hand over.
pub(super) struct Writer {
    log: Box<dyn Source>,
    /// Of the last write; positions must differ.
    number: u64,
    retry: BusRetry,
}

impl Writer {
    /// To this log, whose source stored this position last.
    ///
    /// # Errors
    /// When that is no position of a receiver.
    pub(super) fn new(log: Box<dyn Source>, stored: Option<Vec<u8>>, retry: BusRetry) -> Result<Self> {
        Ok(Self { log, number: number_of(stored)?, retry })
    }

    /// The source's id.
    pub(super) fn id(&self) -> &str {
        self.retry.id()
    }

    /// Says that it can take records.
    pub(super) fn ready(&self) {
        self.retry.health().ready();
    }

    /// Writes until nobody is left who could send. What waits is written together.
    pub(super) fn write_all(&mut self, mut queue: mpsc::Receiver<Job>) -> Result<()> {
        while let Some(first) = queue.blocking_recv() {
            let (mut records, mut waiting) = (first.records, vec![first.done]);
            while let Ok(next) = queue.try_recv() {
                records.extend(next.records);
                waiting.push(next.done);
            }
            self.retry.health().alive();
            let written = self.write(records).with_context(|| format!("source {} cannot write", self.retry.id()));
            self.retry.health().idle();
            let written = written?;
            for done in waiting {
                // Who does not wait any more will send it again.
                let _ = done.send(written.clone());
            }
        }
        Ok(())
    }

    /// Writes all of them, or says why it cannot now.
    ///
    /// # Errors
    /// When trying again cannot help.
    fn write(&mut self, records: Vec<OutputRecord>) -> Result<Result<(), String>, BusError> {
        self.number += 1;
        let position = self.number.to_be_bytes();
        let error = match self.log.append(records, &position) {
            Ok(()) => {
                self.retry.health().ready();
                return Ok(Ok(()));
            }
            Err(error @ BusError::Backend { retryable: true, .. }) => error,
            Err(error) => return Err(error),
        };
        let is_written = self.log.position().is_ok_and(|stored| stored.as_deref() == Some(position.as_slice()));
        if is_written {
            return Ok(Ok(()));
        }
        tracing::warn!(source = self.retry.id(), %error, "the sender is to try again");
        self.retry.health().failed(format!("the bus cannot be used: {error}"));
        Ok(Err(format!("the log cannot take it now: {error}\n")))
    }
}

/// The number of the last write, by the stored position.
fn number_of(stored: Option<Vec<u8>>) -> Result<u64> {
    let Some(stored) = stored else { return Ok(0) };
    let bytes: [u8; 8] =
        stored.try_into().map_err(|_| anyhow!("the stored position of the source is none of a receiver's"))?;
    Ok(u64::from_be_bytes(bytes))
}
