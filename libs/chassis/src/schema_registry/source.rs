//! A source whose records get the registry's ids on their way.

use super::ids::{Ids, no_id};
use super::stage::{Written, under};
use prescale_bus::{BusError, OutputRecord, Source};
use std::sync::Arc;

pub(super) struct RegistrySource {
    inner: Box<dyn Source>,
    ids: Arc<Ids>,
    written: Written,
}

impl RegistrySource {
    pub(super) fn new(inner: Box<dyn Source>, ids: Arc<Ids>) -> Self {
        Self { inner, ids, written: Written::new() }
    }
}

impl Source for RegistrySource {
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.inner.position()
    }

    /// While an id cannot be had, nothing is written and the error is one to try again after.
    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        for record in &records {
            if !self.written.contains_key(&record.topic)
                && let Some(id) = self.ids.to_write(&record.topic).map_err(no_id)?
            {
                self.written.insert(Arc::clone(&record.topic), id);
            }
        }
        let records = records.into_iter().map(|record| under(&self.written, record)).collect();
        self.inner.append(records, position)
    }
}
