//! An instance of a stage as the Kafka backend runs it (`libs/bus/src/kafka/session.rs`), over the
//! model instead of librdkafka: fence, wait until what was left has ended, join, restore, and then
//! step by step. The stage is a real one; every call may go unanswered.

use super::cluster::{Cluster, Name, Refused};
use prescale_bus::{ConsumedRecord, Outcome, OutputRecord, Stage, StageFactory};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of the instance's part is left out, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Careless {
    /// Nothing.
    No,
    /// It takes a commit without an answer for one that failed, and goes on with what it has.
    AboutAnswers,
    /// It reads positions that an open transaction holds.
    AboutPositions,
    /// It keeps its work on a partition that was given to another.
    AboutRevocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fencing,
    Settling,
    Joining,
    Working,
    Producing,
    Moving,
    Committing,
    Aborting,
    /// Waiting to see the end of a transaction.
    Seeing {
        commits: bool,
    },
    /// Another one has its name.
    TakenOver,
}

struct Prepared {
    writes: Vec<OutputRecord>,
    position: usize,
}

struct Held {
    stage: Box<dyn Stage>,
    position: usize,
}

/// Snapshots on the instance's disk, by partition: position and state.
pub(super) type Disk = BTreeMap<usize, (usize, Vec<u8>)>;

/// One process.
pub(super) struct Instance {
    pub(super) name: Name,
    factory: Arc<dyn StageFactory>,
    careless: Careless,
    batch_records_max: usize,
    phase: Phase,
    epoch: u64,
    generation: u64,
    held: BTreeMap<usize, Held>,
    prepared: BTreeMap<usize, Prepared>,
    unsent: Vec<(usize, OutputRecord)>,
}

impl Instance {
    pub(super) fn new(
        name: Name,
        factory: Arc<dyn StageFactory>,
        batch_records_max: usize,
        careless: Careless,
    ) -> Self {
        Self {
            name,
            factory,
            careless,
            batch_records_max,
            phase: Phase::Fencing,
            epoch: 0,
            generation: 0,
            held: BTreeMap::new(),
            prepared: BTreeMap::new(),
            unsent: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::TakenOver
    }

    /// A new session: what is in memory counts for nothing.
    fn start_anew(&mut self) {
        self.held.clear();
        self.prepared.clear();
        self.unsent.clear();
        self.phase = Phase::Fencing;
    }

    /// One call. When `answered` is false it took effect and its answer was lost.
    pub(super) fn step(&mut self, cluster: &mut Cluster, disk: &mut Disk, answered: bool, is_newest: bool) {
        let id = (self.name, self.epoch);
        let done = match self.phase {
            Phase::TakenOver => return,
            Phase::Fencing => cluster.init(self.name).map(|epoch| {
                self.epoch = epoch;
                self.phase = Phase::Settling;
            }),
            Phase::Settling => {
                if cluster.has_ended(self.name) {
                    self.phase = Phase::Joining;
                }
                return;
            }
            Phase::Joining => {
                cluster.join(self.name);
                self.phase = Phase::Working;
                return;
            }
            Phase::Working => return self.work(cluster, disk),
            Phase::Producing => match self.unsent.pop() {
                None => {
                    self.phase = Phase::Moving;
                    return;
                }
                Some((partition, record)) => cluster.produce(id, partition, record),
            },
            Phase::Moving => {
                let positions = self.prepared.iter().map(|(p, work)| (*p, work.position)).collect();
                let moved = cluster.move_positions(id, self.generation, &positions);
                moved.map(|()| self.phase = Phase::Committing)
            }
            Phase::Committing => cluster.end(id, true).map(|()| self.phase = Phase::Seeing { commits: true }),
            Phase::Aborting => cluster.end(id, false).map(|()| self.phase = Phase::Seeing { commits: false }),
            Phase::Seeing { commits } => {
                if cluster.has_ended(self.name) {
                    self.ended(commits, disk);
                }
                return;
            }
        };
        self.take(done, answered, is_newest);
    }

    fn take(&mut self, done: Result<(), Refused>, answered: bool, is_newest: bool) {
        match done {
            Ok(()) if answered => {}
            Ok(())
                if self.careless == Careless::AboutAnswers && matches!(self.phase, Phase::Seeing { commits: true }) =>
            {
                self.phase = Phase::Seeing { commits: false };
            }
            Err(Refused::Busy) => {}
            Err(Refused::LeftBehind) => self.phase = Phase::Aborting,
            Err(Refused::Fenced) if !is_newest => self.phase = Phase::TakenOver,
            Ok(()) | Err(Refused::Fenced) => self.start_anew(),
        }
    }

    /// Learns its partitions, then either tries prepared work again or prepares some.
    fn work(&mut self, cluster: &mut Cluster, disk: &Disk) {
        if !cluster.is_member(self.name) {
            self.held.clear();
            self.prepared.clear();
            self.phase = Phase::Joining;
            return;
        }
        if self.generation != cluster.generation() {
            self.learn(cluster, disk);
            return;
        }
        if self.prepared.is_empty() {
            self.prepare(cluster);
        }
        if !self.prepared.is_empty() {
            let writes = self.prepared.iter().flat_map(|(p, work)| work.writes.iter().map(|w| (*p, w.clone())));
            self.unsent = writes.collect();
            self.unsent.reverse();
            self.phase = Phase::Producing;
        }
    }

    fn learn(&mut self, cluster: &Cluster, disk: &Disk) {
        let assigned = cluster.assigned(self.name);
        if self.careless != Careless::AboutRevocation {
            // Whoever missed a generation may have lost a partition and got it back since.
            let missed = cluster.generation() > self.generation + 1;
            self.held.retain(|p, _| assigned.contains(p) && !missed);
            self.prepared.retain(|p, _| assigned.contains(p) && !missed);
        }
        for partition in assigned {
            if self.held.contains_key(&partition) {
                continue;
            }
            let position = match self.careless {
                Careless::AboutPositions => Some(cluster.position(partition)),
                _ => cluster.stable_position(partition),
            };
            // Without it the generation is not taken up yet: the next step asks again.
            let Some(position) = position else { return };
            let held = self.restored(cluster, disk, partition, position);
            self.held.insert(partition, held);
        }
        self.generation = cluster.generation();
    }

    fn restored(&self, cluster: &Cluster, disk: &Disk, partition: usize, position: usize) -> Held {
        let number = u32::try_from(partition).expect("few partitions");
        let (from, mut stage) = match disk.get(&partition).filter(|(at, _)| *at <= position) {
            Some((at, state)) => (*at, self.factory.restore(number, state).expect("it is this stage's")),
            None => (0, self.factory.create(number)),
        };
        drop(stage.apply(&consumed(cluster, partition, from, position)).expect("the stage does not fail"));
        Held { stage, position }
    }

    fn prepare(&mut self, cluster: &Cluster) {
        for (partition, held) in &mut self.held {
            let upto = cluster.inputs[*partition].len().min(held.position + self.batch_records_max);
            if upto == held.position {
                continue;
            }
            let batch = consumed(cluster, *partition, held.position, upto);
            let outcomes = held.stage.apply(&batch).expect("the stage does not fail");
            let writes = outcomes.into_iter().flat_map(|outcome| match outcome {
                Outcome::Emit(records) => records,
                Outcome::Drop(_) | Outcome::Reject(_) => Vec::new(),
            });
            self.prepared.insert(*partition, Prepared { writes: writes.collect(), position: upto });
        }
    }

    /// After a commit the work is done; after an abort it stays prepared.
    fn ended(&mut self, commits: bool, disk: &mut Disk) {
        if commits {
            for (partition, work) in std::mem::take(&mut self.prepared) {
                if let Some(held) = self.held.get_mut(&partition) {
                    held.position = work.position;
                    disk.insert(partition, (held.position, held.stage.snapshot()));
                }
            }
        }
        self.phase = Phase::Working;
    }
}

fn consumed(cluster: &Cluster, partition: usize, from: usize, upto: usize) -> Vec<ConsumedRecord> {
    let record = |(offset, (key, payload)): (usize, &(Vec<u8>, Vec<u8>))| ConsumedRecord {
        topic: "in".into(),
        partition: u32::try_from(partition).expect("few partitions"),
        offset: i64::try_from(offset).expect("few records"),
        appended_at_ms: 0,
        key: Some(key.clone()),
        value: Some(payload.clone()),
        headers: Vec::new(),
    };
    cluster.inputs[partition].iter().enumerate().take(upto).skip(from).map(record).collect()
}
