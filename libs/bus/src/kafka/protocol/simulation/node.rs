//! The port of the protocol on the model: each call is a turn, before which the scheduler may do anything else.
//! Any call may have no effect, or have it and go unanswered.

use super::world::{Broken, Content, Id, Membership, Refused, Standing, World};
use crate::bus::Lag;
use crate::error::BusError;
use crate::kafka::options::KafkaOptions;
use crate::kafka::protocol::log::{CommittedLog, LogEvent};
use crate::kafka::protocol::port::{CallFailed, Kafka, Member, MemberEvent, Place, Producer, Snapshots};
use crate::kafka::protocol::provenance::Position;
use crate::snapshot::Loaded;
use crate::state_schema::StateSchema;
use crate::wait::Pauses;
use crate::write::Write;
use corosensei::Yielder;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// An instance's view of the world.
#[derive(Clone)]
pub(super) struct Node<'y> {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) yielder: &'y Yielder<(), ()>,
    pub(super) options: KafkaOptions,
}

fn unanswered(what: &str) -> BusError {
    BusError::Backend { context: what.to_owned(), message: "no answer".to_owned(), retryable: true }
}

fn offset(at: usize) -> i64 {
    i64::try_from(at).unwrap_or_default()
}

fn place(topic: &str, partition: u32) -> Place {
    Place { topic: topic.into(), partition }
}

/// What became of a call.
enum Called<T> {
    Answered(T),
    /// It took effect or not, and nobody knows.
    Unanswered,
}

impl Node<'_> {
    /// One call, which always comes back.
    fn turn<T>(&self, call: impl FnOnce(&mut World) -> T) -> T {
        self.yielder.suspend(());
        call(&mut self.world.borrow_mut())
    }

    /// One call with an effect.
    fn call<T>(&self, call: impl FnOnce(&mut World) -> T) -> Called<T> {
        self.turn(|world| {
            if !world.loses() {
                return Called::Answered(call(world));
            }
            if world.random.bool() {
                call(world);
            }
            Called::Unanswered
        })
    }

    fn read<T>(&self, what: &str, read: impl FnOnce(&mut World) -> T) -> Result<T, BusError> {
        match self.call(read) {
            Called::Answered(read) => Ok(read),
            Called::Unanswered => Err(unanswered(what)),
        }
    }

    fn lost(&self) -> CallFailed {
        let requires_abort = self.world.borrow_mut().random.bool();
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
        CallFailed { error, is_fenced: false, requires_abort }
    }

    fn refused(refused: Refused) -> CallFailed {
        let (code, is_fenced, requires_abort) = match refused {
            Refused::Fenced => (RDKafkaErrorCode::ProducerFenced, true, false),
            Refused::NameTaken => (RDKafkaErrorCode::FencedInstanceId, true, true),
            Refused::LeftBehind => (RDKafkaErrorCode::IllegalGeneration, false, true),
            Refused::Busy => (RDKafkaErrorCode::ConcurrentTransactions, false, false),
            Refused::Committed => (RDKafkaErrorCode::InvalidTransactionalState, false, false),
        };
        CallFailed { error: KafkaError::MessageProduction(code), is_fenced, requires_abort }
    }

    /// Calls until nothing is in the way, as the client library does by itself.
    fn until_not_busy<T>(
        &self,
        at_most: Duration,
        mut call: impl FnMut(&mut World) -> Result<T, Refused>,
    ) -> Result<T, CallFailed> {
        let deadline = self.now() + at_most;
        loop {
            match self.call(&mut call) {
                Called::Answered(Err(Refused::Busy)) if self.now() < deadline => {}
                Called::Answered(answer) => return answer.map_err(Self::refused),
                Called::Unanswered => return Err(self.lost()),
            }
        }
    }
}

impl<'y> Kafka for Node<'y> {
    type Membership = Membership;
    type Producer = ModelProducer<'y>;
    type Member = ModelMember<'y>;
    type Log = ModelLog<'y>;
    type Snapshots = ModelSnapshots<'y>;

    fn options(&self) -> &KafkaOptions {
        &self.options
    }

    fn now(&self) -> Instant {
        self.world.borrow().now()
    }

    fn unix_ms(&self) -> i64 {
        i64::try_from(self.world.borrow().now_ms).unwrap_or_default()
    }

    fn pause(&self, _: &mut Pauses) {
        self.turn(|_| ());
    }

    fn cancelled_within(&self, shutdown: &CancellationToken, at_most: Duration) -> bool {
        let deadline = self.now() + at_most;
        while !shutdown.is_cancelled() && self.now() < deadline {
            self.turn(|_| ());
        }
        shutdown.is_cancelled()
    }

    fn explain(&self, error: BusError) -> BusError {
        error
    }

    fn explain_text(&self, text: String) -> String {
        text
    }

    fn partitions(&self, topic: &str) -> Result<u32, BusError> {
        let partitions = self.world.borrow().partitions(topic);
        partitions.ok_or_else(|| BusError::UnknownTopic { topic: topic.to_owned() })
    }

    fn partitions_now(&self, topic: &str) -> Result<u32, BusError> {
        self.read("partitions", |_| ())?;
        self.partitions(topic)
    }

    fn ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError> {
        self.read("ends", |world| places.iter().map(|place| (place.clone(), offset(world.end(place)))).collect())
    }

    fn stable_ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError> {
        self.read("stable ends", |world| {
            places.iter().map(|place| (place.clone(), offset(world.stable_end(place)))).collect()
        })
    }

    fn stable_positions(
        &self,
        group: &str,
        topic: &str,
        partitions: &[u32],
        at_most: Duration,
    ) -> Result<BTreeMap<u32, Position>, BusError> {
        let deadline = self.now() + at_most;
        loop {
            let found = self.read("positions", |world| {
                let position = |p: &u32| Ok(world.stable_position(group, &place(topic, *p))?.map(|found| (*p, found)));
                partitions.iter().map(position).collect::<Result<Vec<_>, Refused>>()
            })?;
            match found {
                Ok(found) => return Ok(found.into_iter().flatten().collect()),
                Err(_) if self.now() < deadline => {}
                Err(_) => return Err(unanswered("positions are held")),
            }
        }
    }

    fn positions(&self, group: &str, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, Position>, BusError> {
        self.read("positions", |world| {
            let position = |p: &u32| Some((*p, world.moved_to(group, &place(topic, *p))?));
            partitions.iter().filter_map(position).collect()
        })
    }

    fn membership_of_none(&self, group: &str) -> Result<Membership, BusError> {
        Ok(Membership { group: group.into(), member: None })
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        let partitions = self.partitions(topic)?;
        self.read("lag", |world| {
            let lag = |partition| {
                let place = place(topic, partition);
                let (position, end) =
                    (world.moved_to(group, &place).map_or(0, |p| p.offset), offset(world.end(&place)));
                Lag { topic: topic.to_owned(), partition, position, end }
            };
            (0..partitions).map(lag).collect()
        })
    }

    fn producer(&self, transactional_id: &str) -> Result<ModelProducer<'y>, BusError> {
        let id: Id = transactional_id.into();
        let epoch = self
            .until_not_busy(self.options.transaction_timeout() * 2, |world| world.init(&id))
            .map_err(|_| unanswered("cannot start the producer"))?;
        let (unsent, offsets) = (RefCell::default(), RefCell::default());
        let (unacknowledged, numbered_again) = (RefCell::default(), RefCell::default());
        let has_failed = Cell::new(false);
        Ok(ModelProducer { node: self.clone(), id, epoch, unsent, offsets, has_failed, unacknowledged, numbered_again })
    }

    fn join(&self, group: &str, topic: &str) -> Result<ModelMember<'y>, BusError> {
        let name: Rc<str> = self.options.instance_id.as_str().into();
        let joined = self.read("join", |world| {
            let forgets = world.losses > 0 && world.random.u32(0..8) == 0;
            world.join(group, &name, forgets)
        })?;
        Ok(ModelMember {
            node: self.clone(),
            group: group.into(),
            topic: topic.into(),
            partitions: self.partitions(topic)?,
            name,
            id: joined,
            generation: Cell::new(None),
            reading: RefCell::default(),
            events: RefCell::default(),
        })
    }

    fn open_log(&self, topic: &str) -> Result<ModelLog<'y>, BusError> {
        Ok(ModelLog { node: self.clone(), topic: topic.into(), reading: RefCell::default() })
    }

    fn snapshots(&self, _: &str, _: &str, _: String) -> Result<ModelSnapshots<'y>, BusError> {
        Ok(ModelSnapshots(self.clone()))
    }

    fn share_out_again(&self, group: &str, _: &str) -> Result<(), BusError> {
        self.read("sharing out", |world| world.rebalance(group))
    }
}

pub(super) struct ModelProducer<'y> {
    node: Node<'y>,
    id: Id,
    epoch: u64,
    /// Records that are handed over and not delivered, with their indices.
    unsent: RefCell<VecDeque<(usize, Place, Content)>>,
    offsets: RefCell<Vec<Option<i64>>>,
    /// A record was not delivered, so none after it is.
    has_failed: Cell<bool>,
    /// Where a record was written of which this producer does not know that it was.
    unacknowledged: RefCell<Option<(Place, usize)>>,
    /// The same of an aborted transaction: the next record to that place gets its number, and passes for it.
    numbered_again: RefCell<BTreeMap<Place, VecDeque<usize>>>,
}

impl ModelProducer<'_> {
    fn deliver_one(&self) {
        let Some((index, place, content)) = self.unsent.borrow_mut().pop_front() else { return };
        if self.has_failed.get() {
            return;
        }
        if let Some(at) = self.numbered_again.borrow_mut().get_mut(&place).and_then(VecDeque::pop_front) {
            self.offsets.borrow_mut()[index] = Some(offset(at));
            return;
        }
        let mut written = None;
        let delivered = self.node.until_not_busy(self.node.options.transaction_timeout(), |world| {
            written = Some(world.produce(&self.id, self.epoch, &place, content.clone())?);
            Ok(written)
        });
        match delivered {
            Ok(at) => self.offsets.borrow_mut()[index] = at.map(offset),
            Err(_) => {
                self.has_failed.set(true);
                *self.unacknowledged.borrow_mut() = written.map(|at| (place, at));
            }
        }
    }

    fn end(&self, commits: bool) -> Result<(), CallFailed> {
        match self.node.call(|world| world.end_transaction(&self.id, self.epoch, commits)) {
            Called::Answered(ended) => ended.map_err(Node::refused),
            Called::Unanswered => Err(self.node.lost()),
        }
    }
}

impl Producer for ModelProducer<'_> {
    type Membership = Membership;

    fn begin(&self, records: usize) -> Result<(), CallFailed> {
        self.unsent.borrow_mut().clear();
        *self.offsets.borrow_mut() = vec![None; records];
        self.has_failed.set(false);
        Ok(())
    }

    fn send(&self, index: usize, place: &Place, write: &Write) -> Result<(), CallFailed> {
        let Write { key, value, headers, .. } = write.clone();
        self.unsent.borrow_mut().push_back((index, place.clone(), Content { key, value, headers }));
        let delivers = self.node.world.borrow_mut().random.bool();
        if delivers {
            self.deliver_one();
        }
        Ok(())
    }

    fn send_positions(
        &self,
        topic: &str,
        positions: &BTreeMap<u32, Position>,
        membership: &Membership,
    ) -> Result<(), CallFailed> {
        self.node.until_not_busy(self.node.options.transaction_timeout(), |world| {
            let moved = positions.iter().map(|(p, position)| (place(topic, *p), position.clone())).collect();
            world.move_positions(&self.id, self.epoch, membership, moved)
        })
    }

    fn flush(&self) -> Result<(), CallFailed> {
        while !self.unsent.borrow().is_empty() {
            self.deliver_one();
        }
        Ok(())
    }

    fn offsets(&self) -> Vec<Option<i64>> {
        self.offsets.borrow().clone()
    }

    fn commit(&self) -> Result<(), CallFailed> {
        self.end(true)
    }

    fn abort(&self) -> Result<(), CallFailed> {
        self.unsent.borrow_mut().clear();
        if let Some((place, at)) = self.unacknowledged.take() {
            self.numbered_again.borrow_mut().entry(place).or_default().push_back(at);
        }
        self.end(false)
    }

    fn cause(&self) -> Option<KafkaError> {
        None
    }
}

/// How far partitions are read, and up to which end that was told.
type Reading = BTreeMap<u32, (usize, Option<usize>)>;

fn next_event(world: &mut World, topic: &str, reading: &mut Reading) -> Option<LogEvent> {
    let mut partitions: Vec<u32> = reading.keys().copied().collect();
    world.random.shuffle(&mut partitions);
    for partition in partitions {
        let (position, told) = reading.get_mut(&partition)?;
        let place = place(topic, partition);
        if let Some(record) = world.next_record(&place, position) {
            return Some(LogEvent::Record(record));
        }
        if *told != Some(*position) {
            *told = Some(*position);
            return Some(LogEvent::End(partition));
        }
    }
    None
}

pub(super) struct ModelMember<'y> {
    node: Node<'y>,
    group: Rc<str>,
    topic: Arc<str>,
    partitions: u32,
    name: Rc<str>,
    id: u64,
    /// The one in which it got its partitions.
    generation: Cell<Option<u64>>,
    reading: RefCell<Reading>,
    events: RefCell<VecDeque<MemberEvent<Membership>>>,
}

impl ModelMember<'_> {
    /// Loses all it has when the group has given it up, or, as librdkafka does when it hears of that only as it
    /// joins again, goes on with it.
    fn join_again(&self) {
        self.generation.set(None);
        let keeps = self.node.turn(|world| {
            world.rejoin(&self.group, &self.name, self.id);
            world.random.bool()
        });
        if !keeps {
            for (partition, _) in std::mem::take(&mut *self.reading.borrow_mut()) {
                self.tell_revoked(partition);
            }
        }
    }

    fn tell(&self, event: MemberEvent<Membership>) {
        self.events.borrow_mut().push_back(event);
    }

    fn tell_revoked(&self, partition: u32) {
        if self.node.world.borrow().broken != Broken::Revocations {
            self.tell(MemberEvent::Revoked(partition));
        }
    }

    /// Takes up a generation: what it is given, where the group stands there, and the right that comes with it.
    fn take_up(&self, generation: u64) {
        let assigned = self.node.world.borrow_mut().assign(&self.group, &self.name, self.partitions);
        let had: BTreeSet<u32> = self.reading.borrow().keys().copied().collect();
        let gone: Vec<u32> = had.difference(&assigned).copied().collect();
        for partition in &gone {
            self.reading.borrow_mut().remove(partition);
            self.tell_revoked(*partition);
        }
        self.generation.set(Some(generation));
        let asked: Vec<u32> = assigned.iter().copied().collect();
        let at_most = self.node.options.request_timeout * 3;
        let positions = match self.node.stable_positions(&self.group, &self.topic, &asked, at_most) {
            Ok(positions) => positions,
            Err(error) => return self.tell(MemberEvent::Broken(error.to_string())),
        };
        let position = |partition: u32| positions.get(&partition).cloned().unwrap_or_default();
        for partition in assigned.intersection(&had) {
            if self.node.world.borrow().broken != Broken::KeptPositions {
                self.tell(MemberEvent::Kept {
                    partition: *partition,
                    position: position(*partition).offset,
                    rejoins: !gone.is_empty(),
                });
            }
        }
        for partition in assigned.difference(&had) {
            let start = position(*partition);
            let from = usize::try_from(start.offset).unwrap_or_default();
            self.reading.borrow_mut().insert(*partition, (from, None));
            self.tell(MemberEvent::Assigned(*partition, start));
        }
        let member = Some((Rc::clone(&self.name), self.id, generation));
        self.tell(MemberEvent::Joined(Membership { group: Rc::clone(&self.group), member }));
        if !gone.is_empty() {
            self.node.turn(|world| world.rebalance(&self.group));
        }
    }
}

impl Member for ModelMember<'_> {
    type Membership = Membership;

    fn poll(&self, _: Duration) -> Option<MemberEvent<Membership>> {
        if let Some(event) = self.told() {
            return Some(event);
        }
        let standing = self.node.turn(|world| world.standing(&self.group, &self.name, self.id));
        match standing {
            Standing::NameTaken => return Some(MemberEvent::Fenced),
            Standing::Unknown => self.join_again(),
            Standing::Member { generation } if self.generation.get() != Some(generation) => self.take_up(generation),
            Standing::Member { .. } => {
                let mut world = self.node.world.borrow_mut();
                let event = next_event(&mut world, &self.topic, &mut self.reading.borrow_mut());
                return event.map(|event| match event {
                    LogEvent::Record(record) => MemberEvent::Record(record),
                    LogEvent::End(partition) => MemberEvent::End(partition),
                });
            }
        }
        self.told()
    }

    fn told(&self) -> Option<MemberEvent<Membership>> {
        self.events.borrow_mut().pop_front()
    }
}

pub(super) struct ModelLog<'y> {
    node: Node<'y>,
    topic: Arc<str>,
    reading: RefCell<Reading>,
}

impl CommittedLog for ModelLog<'_> {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn now(&self) -> Instant {
        self.node.now()
    }

    fn request_timeout(&self) -> Duration {
        self.node.options.request_timeout
    }

    fn tend(&self) -> Result<(), BusError> {
        Ok(())
    }

    fn assign(&self, from: &BTreeMap<u32, i64>) -> Result<(), BusError> {
        let start = |(p, at): (&u32, &i64)| (*p, (usize::try_from(*at).unwrap_or_default(), None));
        *self.reading.borrow_mut() = from.iter().map(start).collect();
        Ok(())
    }

    fn poll(&self, _: Duration) -> Result<Option<LogEvent>, BusError> {
        self.node.read("reading", |world| next_event(world, &self.topic, &mut self.reading.borrow_mut()))
    }

    fn bounds(&self, partition: u32) -> Result<(i64, i64), BusError> {
        self.node.read("bounds", |world| (0, offset(world.stable_end(&place(&self.topic, partition)))))
    }

    fn position(&self, partition: u32) -> Result<Option<i64>, BusError> {
        Ok(self.reading.borrow().get(&partition).map(|(at, _)| offset(*at)))
    }
}

pub(super) struct ModelSnapshots<'y>(Node<'y>);

impl Snapshots for ModelSnapshots<'_> {
    fn store(&self, partition: u32, offset: i64, state: &[u8]) -> std::io::Result<()> {
        let key = (self.0.options.instance_id.clone(), partition);
        match self.0.call(|world| drop(world.disks.insert(key, (offset, state.to_vec())))) {
            Called::Answered(()) => Ok(()),
            Called::Unanswered => Err(std::io::Error::other("the disk is full")),
        }
    }

    fn made_by(&self, _: u32) -> Option<StateSchema> {
        None
    }

    fn load<T>(&self, partition: u32, committed: i64, restore: impl FnOnce(&[u8]) -> Result<T, String>) -> Loaded<T> {
        let key = (self.0.options.instance_id.clone(), partition);
        let Some((at, state)) = self.0.world.borrow().disks.get(&key).cloned() else { return Loaded::Missing };
        let restored = if at <= committed { restore(&state).ok() } else { None };
        restored.map_or(Loaded::Rejected, |made| Loaded::Sound(made, at))
    }
}
