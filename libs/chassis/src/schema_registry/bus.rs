//! A bus whose records have the registry's ids, as one whose records have ours.

use super::ids::{Ids, NoId, Waited, no_id};
use super::reader::RegistryReader;
use super::source::RegistrySource;
use super::stage::RegistryFactory;
use prescale_bus::{Bus, BusError, Lag, ReadFrom, RecordReader, Source, StageFactory, StageOptions, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) struct RegistryBus {
    inner: Arc<dyn Bus>,
    ids: Arc<Ids>,
    /// Ends waits of readers, which have no shutdown of their own.
    shutdown: CancellationToken,
}

impl RegistryBus {
    pub(super) fn new(inner: Arc<dyn Bus>, ids: Arc<Ids>, shutdown: CancellationToken) -> Self {
        Self { inner, ids, shutdown }
    }
}

impl Bus for RegistryBus {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BusError> {
        self.inner.ensure_topics(topics)
    }

    fn topics(&self) -> Result<Vec<(String, u32)>, BusError> {
        self.inner.topics()
    }

    fn run_stage(
        &self,
        factory: Arc<dyn StageFactory>,
        options: &StageOptions,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        let waiter = self.ids.waiter(factory.name());
        let mut written = BTreeMap::new();
        for topic in factory.output_topics() {
            let waited = waiter.until(shutdown, || match self.ids.to_write(&topic) {
                Ok(id) => Ok(Ok(id)),
                Err(NoId::Unavailable(why)) => Err(why),
                Err(refused) => Ok(Err(refused)),
            });
            match waited {
                Waited::For(Ok(Some(id))) => drop(written.insert(topic, id)),
                Waited::For(Ok(None)) => {}
                Waited::For(Err(why)) => return Err(no_id(why)),
                Waited::Shutdown => return Ok(()),
            }
        }
        let factory = Arc::new(RegistryFactory::new(factory, Arc::clone(&self.ids), written, shutdown.clone()));
        match self.inner.run_stage(Arc::clone(&factory) as Arc<dyn StageFactory>, options, shutdown) {
            Err(BusError::Stage { .. }) if factory.gave_up() => Ok(()),
            ended => ended,
        }
    }

    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError> {
        Ok(Box::new(RegistrySource::new(self.inner.source(id)?, Arc::clone(&self.ids))))
    }

    fn source_position(&self, id: &str) -> Result<Option<Vec<u8>>, BusError> {
        self.inner.source_position(id)
    }

    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        let inner = self.inner.reader(topic, from)?;
        Ok(Box::new(RegistryReader::new(inner, Arc::clone(&self.ids), topic, self.shutdown.clone())))
    }

    fn partition_reader(&self, topic: &str, partition: u32, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        let inner = self.inner.partition_reader(topic, partition, from)?;
        Ok(Box::new(RegistryReader::new(inner, Arc::clone(&self.ids), topic, self.shutdown.clone())))
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        self.inner.lag(group, topic)
    }
}
