//! An instance of a stage on several threads, each of which works on partitions of its own, so that one stage uses the
//! cores that there are. To the others of its group the instance is one.

use super::instance::Instance;
use super::stage_runner::StageRunner;
use crate::error::BusError;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;
use tokio_util::sync::CancellationToken;

/// Runs an instance until the shutdown, then gives everything back. When one thread fails, the others end too.
///
/// # Errors
/// That of the first thread that failed.
pub(super) fn run(instance: &Instance<'_>, shutdown: &CancellationToken) -> Result<(), BusError> {
    let ran = match instance.deal.threads {
        1 => StageRunner::new(instance, 0, shutdown).and_then(StageRunner::run),
        threads => run_on(threads, instance, &shutdown.child_token()),
    };
    let left = instance.store.write("cannot leave the group", |transaction| instance.member.leave(transaction));
    ran.and(left)
}

fn run_on(threads: usize, instance: &Instance<'_>, stop: &CancellationToken) -> Result<(), BusError> {
    let name = instance.factory.name();
    let first_failure = OnceLock::new();
    let run = |number: usize| {
        let stop_all = stop.clone().drop_guard();
        match StageRunner::new(instance, number, stop).and_then(StageRunner::run) {
            Ok(()) => drop(stop_all.disarm()),
            // Told before the others are stopped: one that is trying something again fails because of that.
            Err(error) => drop(first_failure.set(error)),
        }
    };
    let run = &run;
    thread::scope(|scope| {
        let mut running = Vec::with_capacity(threads);
        for number in 0..threads {
            match thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, move || run(number)) {
                Ok(thread) => running.push(thread),
                Err(error) => {
                    drop(first_failure.set(BusError::Backend {
                        context: format!("cannot start a thread of stage {name}"),
                        message: error.to_string(),
                        retryable: true,
                    }));
                    stop.cancel();
                    break;
                }
            }
        }
        for thread in running {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
    first_failure.into_inner().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::dlq_topic;
    use crate::embedded::store::lock;
    use crate::embedded::{EmbeddedBus, EmbeddedOptions};
    use crate::partitioner::partition_of;
    use crate::{
        Bus, Cleanup, ConsumedRecord, Outcome, OutputRecord, Stage, StageFactory, StageFailure, StageOptions, TopicSpec,
    };
    use std::path::Path;
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::{Duration, Instant};

    const INPUT: &str = "in";
    const GROUP: &str = "meeting";
    const PARTITIONS: u32 = 4;
    const THREADS: usize = 2;
    /// Reached only when something is broken.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Stages that are told how many of them work on a record at the same time.
    #[derive(Clone, Default)]
    struct Meeting {
        /// Where one fails; then none waits for the others.
        fails_in: Option<u32>,
        partition: u32,
        here: Arc<(Mutex<usize>, Condvar)>,
    }

    impl Meeting {
        /// Whether as many as there are threads were here at once.
        fn meets(&self) -> bool {
            let (here, changed) = &*self.here;
            let mut count = lock(here);
            *count += 1;
            changed.notify_all();
            let (count, _) = changed
                .wait_timeout_while(count, PATIENCE, |count| *count < THREADS)
                .expect("no test panics while it holds this");
            *count >= THREADS
        }
    }

    impl StageFactory for Meeting {
        fn name(&self) -> &'static str {
            "meeting"
        }

        fn input_topic(&self) -> Arc<str> {
            INPUT.into()
        }

        fn output_topics(&self) -> Vec<Arc<str>> {
            Vec::new()
        }

        fn state_schema(&self) -> String {
            "none".to_owned()
        }

        fn keeps_state(&self) -> bool {
            false
        }

        fn create(&self, partition: u32) -> Box<dyn Stage> {
            Box::new(Self { partition, ..self.clone() })
        }

        fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
            Ok(self.create(partition))
        }
    }

    impl Stage for Meeting {
        fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
            let fails = self.fails_in.map_or_else(|| !self.meets(), |partition| partition == self.partition);
            if fails {
                return Err(StageFailure { message: "it is alone".to_owned() });
            }
            Ok(batch.iter().map(|_| Outcome::Emit(Vec::new())).collect())
        }

        fn snapshot(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    /// A log with a record in each partition.
    fn log_in(folder: &Path) -> EmbeddedBus {
        let options = EmbeddedOptions { stage_threads: THREADS, maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = EmbeddedBus::open(folder.join("log.db"), options).expect("the log opens");
        let cleanup = Cleanup::Delete { retention_ms: 1 << 40 };
        let names = [INPUT.to_owned(), dlq_topic(INPUT)];
        let topics = names.map(|name| TopicSpec { name, partitions: PARTITIONS, replication: 1, cleanup });
        bus.ensure_topics(&topics).expect("the topics are made");
        let key_in = |partition: u32| -> Vec<u8> {
            let mut keys = (0..1000u32).map(|number| number.to_be_bytes());
            let found = keys.find(|key| partition_of(key, PARTITIONS) == partition);
            found.expect("keys are spread").to_vec()
        };
        let record = |partition| OutputRecord {
            topic: INPUT.into(),
            key: key_in(partition),
            value: Some(b"value".to_vec()),
            headers: Vec::new(),
        };
        let records = (0..PARTITIONS).map(record).collect();
        bus.source("test").expect("it opens").append(records, b"").expect("they are written");
        bus
    }

    fn options() -> StageOptions {
        StageOptions { group: GROUP.to_owned(), batch_records_max: 10, snapshot_every_records: 1000 }
    }

    #[test]
    fn partitions_are_worked_on_side_by_side() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = log_in(folder.path());
        let shutdown = CancellationToken::new();
        thread::scope(|scope| {
            let _ends_with_the_test = shutdown.clone().drop_guard();
            let running = scope.spawn(|| bus.run_stage(Arc::new(Meeting::default()), &options(), &shutdown));
            let deadline = Instant::now() + PATIENCE;
            let is_behind = || bus.lag(GROUP, INPUT).expect("it is readable").iter().any(|lag| lag.behind() > 0);
            while is_behind() && !running.is_finished() && Instant::now() < deadline {
                thread::park_timeout(Duration::from_millis(2));
            }
            assert!(!is_behind(), "all is read");
            shutdown.cancel();
            running.join().expect("it does not panic").expect("each has met another");
        });
        let members = bus.store.look("test", |connection| {
            connection.query_row("SELECT count(*) FROM members", [], |row| row.get::<_, i64>(0))
        });
        assert_eq!(members.expect("it is readable"), 0, "it has left the group");
    }

    #[test]
    fn one_that_fails_ends_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = log_in(folder.path());
        let failing = Arc::new(Meeting { fails_in: Some(0), ..Meeting::default() });
        let shutdown = CancellationToken::new();
        let ended = thread::scope(|scope| {
            let _ends_with_the_test = shutdown.clone().drop_guard();
            let running = scope.spawn(|| bus.run_stage(failing, &options(), &shutdown));
            let deadline = Instant::now() + PATIENCE;
            while !running.is_finished() && Instant::now() < deadline {
                thread::park_timeout(Duration::from_millis(2));
            }
            assert!(running.is_finished(), "the other thread goes on");
            running.join().expect("it does not panic")
        });
        assert!(ended.expect_err("it fails").to_string().contains("it is alone"));
    }
}
