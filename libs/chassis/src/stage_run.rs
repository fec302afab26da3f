//! Running a stage with its health: each partition is a component that is busy while it works on
//! a batch, so that a hung stage shows in `/livez`.

use crate::context::Context;
use crate::health::ComponentHealth;
use prescale_bus::{Bus, BusError, ConsumedRecord, Outcome, Reach, Stage, StageFactory, StageFailure};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Context {
    /// Runs a stage until `shutdown`, as [`Bus::run_stage`] does, with this context's settings and
    /// health. Blocks the calling thread.
    ///
    /// # Errors
    /// As [`Bus::run_stage`]; the component then shows the reason in `/readyz`.
    pub fn run_stage(
        &self,
        bus: &dyn Bus,
        factory: Arc<dyn StageFactory>,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        let name = factory.name();
        let health = self.health.component(name);
        let watched = Watched { factory, context: self.clone() };
        health.ready();
        let ended = bus.run_stage(Arc::new(watched), &self.stage_options(name), shutdown);
        match &ended {
            Ok(()) => health.failed("stopped"),
            Err(error) => health.failed(error.to_string()),
        }
        ended
    }
}

struct Watched {
    factory: Arc<dyn StageFactory>,
    context: Context,
}

impl Watched {
    fn watch(&self, partition: u32, inner: Box<dyn Stage>) -> Box<dyn Stage> {
        let health = self.context.health.component(&format!("{}/{partition}", self.factory.name()));
        health.ready();
        Box::new(WatchedStage { inner, health })
    }
}

impl StageFactory for Watched {
    fn name(&self) -> &'static str {
        self.factory.name()
    }

    fn input_topic(&self) -> Arc<str> {
        self.factory.input_topic()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        self.factory.output_topics()
    }

    fn state_schema(&self) -> String {
        self.factory.state_schema()
    }

    fn reach(&self) -> Vec<Reach> {
        self.factory.reach()
    }

    fn keeps_state(&self) -> bool {
        self.factory.keeps_state()
    }

    fn create(&self, partition: u32) -> Box<dyn Stage> {
        self.watch(partition, self.factory.create(partition))
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.watch(partition, self.factory.restore(partition, snapshot)?))
    }
}

struct WatchedStage {
    inner: Box<dyn Stage>,
    health: ComponentHealth,
}

impl Stage for WatchedStage {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        self.health.alive();
        let applied = self.inner.apply(batch);
        self.health.idle();
        applied
    }

    fn snapshot(&self) -> Vec<u8> {
        self.inner.snapshot()
    }

    fn repeated_under_other_terms(&mut self) {
        self.inner.repeated_under_other_terms();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus_access::{BusConfig, EmbeddedConfig, open_bus};
    use crate::health::HealthRegistry;
    use crate::stage::{Input, Outgoing, Reply, TypedStage, TypedStageFactory, output_record, stage_factory};
    use prescale_bus::{CaughtUp, Cleanup, ReadFrom, TopicSpec};
    use prescale_contracts::{Contract, Envelope, topics};
    use prescale_domain::sample::{Platform, Sample};
    use prescale_domain::source::SourceName;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;
    use std::time::Duration;

    const OUT: &str = "copies";

    /// Copies samples and notes, on its way, what health says of it.
    struct Copier {
        health: HealthRegistry,
    }

    impl TypedStage for Copier {
        type In = Sample;

        fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
            assert_eq!(self.health.not_ready(), []);
            while self.health.stuck(Duration::ZERO).is_empty() {
                std::thread::yield_now();
            }
            let copy = |i: Input<Sample>| Outgoing::following(&i.envelope, "copier", 0, &[OUT], &i.value);
            batch.into_iter().map(|i| Ok(Reply::Emit(vec![copy(i)?]))).collect()
        }

        fn snapshot(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    struct Factory {
        health: HealthRegistry,
    }

    impl TypedStageFactory for Factory {
        type Stage = Copier;

        fn name(&self) -> &'static str {
            "copier"
        }

        fn output_topics(&self) -> Vec<&'static str> {
            vec![OUT]
        }

        fn state_schema(&self) -> String {
            "v1".to_owned()
        }

        fn create(&self, _partition: u32) -> Copier {
            Copier { health: self.health.clone() }
        }

        fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Copier, String> {
            Ok(self.create(partition))
        }
    }

    #[test]
    fn a_stage_runs_over_the_embedded_bus_and_shows_its_health() {
        let folder = tempfile::tempdir().unwrap();
        let embedded = EmbeddedConfig { path: folder.path().join("bus.db"), ..Default::default() };
        let bus = open_bus(&BusConfig { embedded, ..Default::default() }).unwrap();
        let spec = |name: &str| TopicSpec {
            name: name.to_owned(),
            partitions: 1,
            replication: 1,
            cleanup: Cleanup::Delete { retention_ms: i64::MAX },
        };
        let dlq = topics::dlq_of(topics::RAW_KPIS);
        bus.ensure_topics(&[spec(topics::RAW_KPIS), spec(&dlq), spec(OUT)]).unwrap();

        let sample = Sample {
            workload: WorkloadId::new("web-1").unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            at: EventTime::from_s(60),
            step_s: 60,
            kpis: Vec::new(),
            capacity: None,
            platform: Platform::SIMULATED,
        };
        let envelope = Envelope::root("test", Sample::EVENT_TYPE, &sample.workload, sample.at, "0");
        let good = output_record(&envelope, topics::RAW_KPIS, &sample).unwrap();
        let mut torn = good.clone();
        torn.value = Some(vec![0, 0]);
        bus.source("test").unwrap().append(vec![torn, good.clone()], b"1").unwrap();

        let context = Context::default();
        let (health, shutdown) = (context.health.clone(), CancellationToken::new());
        let factory = stage_factory(Factory { health: health.clone() });
        std::thread::scope(|scope| {
            let stage = scope.spawn(|| context.run_stage(&*bus, factory, &shutdown));
            let read = |topic: &str| {
                let mut reader = bus.reader(topic, ReadFrom::Earliest).unwrap();
                let mut records = Vec::new();
                while records.is_empty() {
                    let (more, caught_up) = reader.poll(10, Duration::from_secs(1)).unwrap();
                    assert!(!stage.is_finished() || caught_up == CaughtUp::No || !more.is_empty(), "the stage ended");
                    records.extend(more);
                }
                records
            };
            assert_eq!(read(OUT)[0].value, good.value);
            let dead = read(&dlq);
            assert_eq!(dead[0].header("__connect.errors.class.name"), Some(b"undecodable".as_slice()));
            shutdown.cancel();
            stage.join().unwrap().unwrap();
        });
        assert_eq!(health.not_ready(), [("copier".to_owned(), "stopped".to_owned())]);
        assert!(health.stuck(Duration::ZERO).is_empty());
    }
}
