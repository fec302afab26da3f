//! A source whose records get the registry's ids on their way.

use super::bus::no_id;
use super::ids::{Ids, NoId, Waited, Waiter};
use super::stage::{Written, under};
use prescale_bus::{BusError, OutputRecord, Source};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) struct RegistrySource {
    inner: Box<dyn Source>,
    ids: Arc<Ids>,
    waiter: Waiter,
    written: Written,
    shutdown: CancellationToken,
}

impl RegistrySource {
    pub(super) fn new(inner: Box<dyn Source>, ids: Arc<Ids>, id: &str, shutdown: CancellationToken) -> Self {
        let waiter = ids.waiter(id);
        Self { inner, ids, waiter, written: Written::new(), shutdown }
    }

    /// Waits for the id of a topic that is new to this source.
    fn learn(&mut self, topic: &Arc<str>) -> Result<(), BusError> {
        let token = &self.shutdown;
        let waited = self.waiter.until([token, token], || match self.ids.to_write(topic) {
            Ok(id) => Ok(Ok(id)),
            Err(NoId::Unavailable(why)) => Err(why),
            Err(NoId::Refused(why)) => Ok(Err(why)),
        });
        match waited {
            Waited::For(Ok(Some(id))) => drop(self.written.insert(Arc::clone(topic), id)),
            Waited::For(Ok(None)) => {}
            Waited::For(Err(why)) => return Err(no_id(why)),
            Waited::Shutdown => {
                let message = "stopped while it waited for the schema registry".to_owned();
                return Err(BusError::Backend { context: "cannot write".to_owned(), message, retryable: true });
            }
        }
        Ok(())
    }
}

impl Source for RegistrySource {
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.inner.position()
    }

    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        for record in &records {
            if !self.written.contains_key(&record.topic) {
                self.learn(&record.topic)?;
            }
        }
        let records = records.into_iter().map(|record| under(&self.written, record)).collect();
        self.inner.append(records, position)
    }
}
