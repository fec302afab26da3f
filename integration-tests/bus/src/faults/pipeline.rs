//! A source and stages as processes, followed by readers, through which the suite's records go
//! while faults happen.

use super::copy::{BusAt, CopySettings, Role, written_of};
use super::follower::Follower;
use super::process::CopyProcess;
use super::verdict::{CHAIN, Difference, without_faults};
use crate::conformance::fixture::{PARTITIONS, bytes_by_partition, read_all, topic, until, until_within};
use prescale_bus::{Bus, ConsumedRecord, TopicSpec};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// After a fault's end the pipeline has gone on within this.
pub const BACK_AT_WORK_WITHIN: Duration = Duration::from_secs(60);

/// Name of the source.
pub const SOURCE: &str = "meter";

/// What a pipeline runs on.
pub struct Installation {
    /// The process that copies.
    pub binary: PathBuf,
    /// Where processes find the bus.
    pub bus: BusAt,
    /// Where the test finds it, out of reach of faults of the network.
    pub observed: BusAt,
    /// Copies of each partition.
    pub replication: u16,
    /// Further librdkafka properties of the processes.
    pub extra: BTreeMap<String, String>,
    /// Where logs go.
    pub folder: TempDir,
}

impl Installation {
    /// The bus, as the test sees it.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn observer(&self) -> Arc<dyn Bus> {
        self.observed.open("observer", &BTreeMap::new()).expect("the bus opens for the test")
    }

    /// Makes the topics.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn make_topics(&self) {
        let names = CHAIN.into_iter().map(str::to_owned).chain(CHAIN.map(|name| format!("{name}.dlq")));
        let specs: Vec<TopicSpec> =
            names.map(|name| TopicSpec { replication: self.replication, ..topic(&name) }).collect();
        self.observer().ensure_topics(&specs).expect("topics are made");
    }

    /// A process' settings.
    pub fn settings(&self, instance: &str, role: Role) -> CopySettings {
        let (bus, extra) = (self.bus.clone(), self.extra.clone());
        CopySettings { bus, instance: instance.to_owned(), role, crash: None, extra }
    }

    /// The settings of the stage that copies from one topic of [`CHAIN`], by number, to the next.
    pub fn stage(&self, instance: &str, from: usize) -> CopySettings {
        let (input, output) = (CHAIN[from].to_owned(), CHAIN[from + 1].to_owned());
        self.settings(instance, Role::Stage { input, output, slow: None })
    }

    /// The settings of a source that writes until it is stopped.
    pub fn source(&self) -> CopySettings {
        let pause = Duration::from_millis(20);
        self.settings(SOURCE, Role::Source { batch: 40, pause, records: usize::MAX })
    }

    /// Starts a process.
    pub fn start(&self, settings: &CopySettings) -> CopyProcess {
        let log = self.folder.path().join(format!("{}.log", settings.instance));
        CopyProcess::start(&self.binary, settings, log)
    }
}

/// What a topic holds, once that is so many records or nothing more comes for a while.
fn read_at_least(bus: &dyn Bus, topic: &str, count: usize) -> Vec<ConsumedRecord> {
    let since = Instant::now();
    until("committed records to be visible", || {
        let found = read_all(bus, topic);
        (found.len() >= count || since.elapsed() > BACK_AT_WORK_WITHIN).then_some(found)
    })
}

/// A running pipeline.
pub struct Pipeline {
    bus: Arc<dyn Bus>,
    /// The source first, then the stages.
    members: Vec<(CopySettings, CopyProcess)>,
    followers: Vec<Follower>,
    /// Dropped last: it holds the logs.
    on: Installation,
}

impl Pipeline {
    /// Makes the topics, starts the source and three stages (two share the first step, one does the
    /// second), and follows every topic.
    ///
    /// # Panics
    /// When anything of that fails.
    pub fn start(on: Installation) -> Self {
        on.make_topics();
        let settings = [on.source(), on.stage("a", 0), on.stage("b", 0), on.stage("c", 1)];
        Self::of(on, settings)
    }

    /// A pipeline of these processes, the source first. The topics are there.
    pub fn of(on: Installation, settings: impl IntoIterator<Item = CopySettings>) -> Self {
        let members: Vec<_> = settings.into_iter().map(|settings| (settings.clone(), on.start(&settings))).collect();
        Self::with(on, members)
    }

    /// A pipeline of processes that run already.
    pub fn with(on: Installation, members: impl IntoIterator<Item = (CopySettings, CopyProcess)>) -> Self {
        let bus = on.observer();
        let followers = CHAIN.iter().map(|name| Follower::start(bus.as_ref(), name)).collect();
        Self { bus, members: members.into_iter().collect(), followers, on }
    }

    /// Number of processes.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A process, by number; the source is 0.
    pub fn member(&mut self, number: usize) -> &mut CopyProcess {
        &mut self.members[number].1
    }

    /// Kills a process.
    pub fn kill(&mut self, number: usize) {
        self.members[number].1.kill();
    }

    /// Starts a process again that has ended.
    pub fn restart(&mut self, number: usize) {
        let process = self.on.start(&self.members[number].0);
        self.members[number].1 = process;
    }

    /// Starts another process in the place of one, and hands over the one.
    pub fn replace(&mut self, number: usize) -> CopyProcess {
        let process = self.on.start(&self.members[number].0);
        std::mem::replace(&mut self.members[number].1, process)
    }

    /// The process does not crash at a point any more once it is started again.
    pub fn disarm(&mut self, number: usize) {
        self.members[number].0.crash = None;
    }

    /// How many records each topic of [`CHAIN`] was seen to hold.
    pub fn seen(&self) -> Vec<usize> {
        self.followers.iter().map(Follower::read).collect()
    }

    /// Waits until everything that is now in the input, and one record more, has come to the end.
    ///
    /// # Panics
    /// When it has not within [`BACK_AT_WORK_WITHIN`].
    pub fn await_work(&self) {
        let before = self.seen()[0];
        until_within(BACK_AT_WORK_WITHIN, "the pipeline to be back at work", || {
            self.seen().iter().all(|seen| *seen > before).then_some(())
        });
    }

    /// Checks, while no process runs, that no group's position is ahead of the outputs.
    ///
    /// # Panics
    /// When one is.
    pub fn assert_positions_not_ahead(&self) {
        for pair in CHAIN.windows(2) {
            let lags = until("the lag", || self.bus.lag(&CopySettings::group(pair[0]), pair[0]).ok());
            let inputs = read_all(self.bus.as_ref(), pair[0]);
            until_within(BACK_AT_WORK_WITHIN, "outputs up to the positions", || {
                let outputs = read_all(self.bus.as_ref(), pair[1]);
                let behind = |lag: &&prescale_bus::Lag| {
                    let used = inputs.iter().filter(|r| r.partition == lag.partition && r.offset < lag.position);
                    outputs.iter().filter(|r| r.partition == lag.partition).count() < used.count()
                };
                lags.iter().find(behind).is_none().then_some(())
            });
        }
    }

    /// Stops the source, waits until the stages are through, stops them, and accounts for every
    /// record. Returns how many went through.
    ///
    /// # Panics
    /// When one is lost, repeated, in another order or with other bytes than without faults.
    pub fn finish(mut self) -> usize {
        assert!(self.members[0].1.stop().success(), "the source stops in good order");
        let mut source = self.bus.source(SOURCE).expect("the source opens");
        let written = written_of(source.position().expect("the position is readable").as_deref());
        for name in &CHAIN[..CHAIN.len() - 1] {
            until_within(BACK_AT_WORK_WITHIN, "the stages to be through", || {
                let lags = self.bus.lag(&CopySettings::group(name), name).ok()?;
                assert_eq!(lags.len(), PARTITIONS as usize);
                lags.iter().all(|l| l.behind() == 0).then_some(())
            });
        }
        for (settings, process) in &mut self.members[1..] {
            assert!(process.stop().success(), "stage {} stops in good order", settings.instance);
        }
        let expected = without_faults(written);
        let followers = std::mem::take(&mut self.followers);
        for ((name, expected), follower) in CHAIN.iter().zip(&expected).zip(followers) {
            let count = expected.values().map(Vec::len).sum();
            let found = read_at_least(self.bus.as_ref(), name, count);
            let difference = Difference::between(expected, &bytes_by_partition(&found));
            assert_eq!(difference, Difference::default(), "{name} after {written} inputs");
            until_within(BACK_AT_WORK_WITHIN, "the follower to be through", || {
                (follower.read() >= found.len()).then_some(())
            });
            let difference = Difference::between(expected, &follower.finish());
            assert_eq!(difference, Difference::default(), "{name} as it was followed, after {written} inputs");
        }
        written
    }
}
