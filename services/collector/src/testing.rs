//! What tests of the sources share: an embedded bus in a folder of its own, and a bus that fails or
//! stops at a chosen write.

use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{
    Bus, BusError, CaughtUp, Cleanup, ConsumedRecord, Lag, OutputRecord, ReadFrom, RecordReader, Source, StageFactory,
    StageOptions, TopicSpec,
};
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::sample::Sample;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A bus of a folder that goes when it is dropped.
pub(crate) struct TestBus {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) folder: TempDir,
}

impl TestBus {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = EmbeddedBus::open(folder.path().join("bus.db"), options).unwrap();
        let cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
        let spec = |name: String| TopicSpec { name, partitions: 4, replication: 1, cleanup };
        let specs: Vec<TopicSpec> = topics::table().into_iter().map(|t| spec(t.name)).collect();
        bus.ensure_topics(&specs).unwrap();
        Self { bus: Arc::new(bus), folder }
    }

    /// All records of a topic, by partition and offset.
    pub(crate) fn records(&self, topic: &str) -> Vec<ConsumedRecord> {
        let mut reader = self.bus.reader(topic, ReadFrom::Earliest).unwrap();
        let mut all = Vec::new();
        loop {
            let (records, caught_up) = reader.poll(10_000, Duration::ZERO).unwrap();
            all.extend(records);
            if caught_up == CaughtUp::Yes {
                break;
            }
        }
        all.sort_by_key(|r| (r.partition, r.offset));
        all.into_iter().map(|r| ConsumedRecord { appended_at_ms: 0, ..r }).collect()
    }

    /// All samples, by instant and workload.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let records = self.records(topics::RAW_KPIS);
        let mut samples: Vec<Sample> = records.iter().map(|r| decode_record::<Sample>(r).unwrap().value).collect();
        samples.sort_by(|a, b| (a.at, &a.workload).cmp(&(b.at, &b.workload)));
        samples
    }
}

/// What happens at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The process is stopped before the write takes effect.
    StopBefore,
    /// The process is stopped after the write took effect.
    StopAfter,
    /// The bus fails for a moment and nothing was written.
    FailBefore,
    /// The bus fails for a moment, but the write took effect.
    FailAfter,
}

/// A bus whose source meets a mishap at its write number `at`, from 0.
pub(crate) struct Mishappen {
    pub(crate) inner: Arc<dyn Bus>,
    pub(crate) at: u64,
    pub(crate) mishap: Mishap,
    pub(crate) shutdown: CancellationToken,
    writes: Arc<AtomicU64>,
}

impl Mishappen {
    pub(crate) fn new(inner: &Arc<dyn Bus>, at: u64, mishap: Mishap, shutdown: &CancellationToken) -> Self {
        Self { inner: Arc::clone(inner), at, mishap, shutdown: shutdown.clone(), writes: Arc::default() }
    }
}

struct MishappenSource {
    inner: Box<dyn Source>,
    at: u64,
    mishap: Mishap,
    shutdown: CancellationToken,
    writes: Arc<AtomicU64>,
}

fn broken() -> BusError {
    BusError::Backend { context: "test".to_owned(), message: "a mishap".to_owned(), retryable: true }
}

impl Source for MishappenSource {
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.inner.position()
    }

    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        let is_now = self.writes.fetch_add(1, Ordering::SeqCst) == self.at;
        match self.mishap {
            Mishap::FailBefore if is_now => return Err(broken()),
            Mishap::StopBefore if is_now => {
                self.shutdown.cancel();
                return Err(broken());
            }
            _ => {}
        }
        self.inner.append(records, position)?;
        match self.mishap {
            Mishap::FailAfter if is_now => return Err(broken()),
            Mishap::StopAfter if is_now => self.shutdown.cancel(),
            _ => {}
        }
        Ok(())
    }
}

impl Bus for Mishappen {
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
        self.inner.run_stage(factory, options, shutdown)
    }

    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError> {
        Ok(Box::new(MishappenSource {
            inner: self.inner.source(id)?,
            at: self.at,
            mishap: self.mishap,
            shutdown: self.shutdown.clone(),
            writes: Arc::clone(&self.writes),
        }))
    }

    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        self.inner.reader(topic, from)
    }

    fn partition_reader(&self, topic: &str, partition: u32, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        self.inner.partition_reader(topic, partition, from)
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        self.inner.lag(group, topic)
    }
}
