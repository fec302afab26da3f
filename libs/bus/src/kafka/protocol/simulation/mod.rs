//! The protocol's own code, a source and a stage of two instances with all below them, under a seeded scheduler over
//! a model of Kafka: thousands of orders in which calls, markers, rebalances, kills, stops and lost answers can come.
//! What comes out must be exactly what the inputs ask for. That the checks notice is shown by breaking, one by one,
//! the promises that the protocol rests on.
//!
//! `SIMULATION_SEEDS=100000 cargo test --release -p prescale-bus simulation` tries more of them, and
//! `SIMULATION_SEED=17` that one alone, with what happens in it.

mod node;
mod stage;
mod world;

use super::port::{Kafka, Place};
use super::run_sessions;
use super::session::Running;
use super::source::{KafkaSource, Standing};
use crate::bus::StageOptions;
use crate::error::BusError;
use crate::kafka::names::SOURCE_POSITIONS;
use crate::kafka::options::KafkaOptions;
use crate::record::OutputRecord;
use crate::wait::Pauses;
use corosensei::{Coroutine, CoroutineResult};
use node::Node;
use stage::{INPUT, OUTPUT, SummingFactory, expected};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use world::{Broken, World};

const GROUP: &str = "summing";
const SOURCE: &str = "meter";
const PARTITIONS: u32 = 3;
const KEYS: usize = 7;
/// Turns with faults; then the faults end.
const TURNS_FAULTY: usize = 3000;
/// A wrong output stays, so it need not be looked for after every turn.
const CHECKED_EVERY_TURNS: usize = 100;
/// Turns within which the work must be done once the faults have ended.
const TURNS_MAX: usize = 100_000;
/// Once in so many turns there is a fault.
const FAULT_ONCE_IN: usize = 100;
/// Once in so many calls the answer is lost, or the call.
const LOST_ONCE_IN: u32 = 150;
/// Shorter than what an early end of a log must be heard of twice.
const LATE_LEADER_MS: u64 = 1500;
const TRANSACTION_TIMEOUT_MS: u32 = 2000;
const PROCESSES_MAX: usize = 6;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// An instance of the stage, by its name.
    Stage(&'static str),
    Source,
}

const ACTORS: [Actor; 3] = [Actor::Stage("a"), Actor::Stage("b"), Actor::Source];

impl Actor {
    fn options(self) -> KafkaOptions {
        let name = match self {
            Self::Stage(name) => name,
            Self::Source => SOURCE,
        };
        KafkaOptions {
            instance_id: name.to_owned(),
            transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
            session_timeout_ms: 3000,
            request_timeout: Duration::from_secs(1),
            stall_after: Duration::from_secs(2),
            retry_for: Duration::MAX,
            ..KafkaOptions::default()
        }
    }

    fn transactional_id(self) -> String {
        match self {
            Self::Stage(_) => self.options().transactional_id("stage", GROUP),
            Self::Source => self.options().transactional_id("source", SOURCE),
        }
    }

    fn work(self, kafka: &Node<'_>, shutdown: &CancellationToken, payloads: &Payloads) -> Result<(), BusError> {
        let Self::Stage(_) = self else { return write_all(kafka, shutdown, payloads) };
        let options = StageOptions {
            group: GROUP.to_owned(),
            batch_records_max: kafka.world.borrow_mut().random.usize(1..6),
            snapshot_every_records: 8,
        };
        let factory = SummingFactory::default();
        run_sessions(&Running { kafka, factory: &factory, options: &options, shutdown, claim: Cell::new(None) })
    }
}

/// Keys and payloads, in the order in which the source writes them.
type Payloads = Rc<Vec<(usize, String)>>;

/// The source: writes everything from where it stands on, a few records at a time.
fn write_all(kafka: &Node<'_>, shutdown: &CancellationToken, payloads: &Payloads) -> Result<(), BusError> {
    let mut source = None;
    let mut pauses = Pauses::default();
    while !shutdown.is_cancelled() {
        match write_next(kafka, &mut source, payloads) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(BusError::Backend { retryable: true, .. }) => kafka.pause(&mut pauses),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes some records; tells whether all are written.
#[expect(clippy::arc_with_non_send_sync, reason = "sources share a cluster; here all is on one thread")]
fn write_next<'y>(
    kafka: &Node<'y>,
    source: &mut Option<KafkaSource<Node<'y>>>,
    payloads: &Payloads,
) -> Result<bool, BusError> {
    let source = match source {
        Some(source) => source,
        None => source.insert(KafkaSource::open(Arc::new(kafka.clone()), SOURCE)?),
    };
    let from = source.stands_at()?.map_or(0, |position| number_of(&position));
    let upto = payloads.len().min(from + kafka.world.borrow_mut().random.usize(1..5));
    let record = |(key, payload): &(usize, String)| OutputRecord {
        topic: INPUT.into(),
        key: key_of(*key),
        value: Some(payload.clone().into_bytes()),
        headers: Vec::new(),
    };
    if from < upto {
        source.write(payloads[from..upto].iter().map(record).collect(), &upto.to_be_bytes())?;
    }
    Ok(upto == payloads.len())
}

fn number_of(position: &[u8]) -> usize {
    position.try_into().map_or(0, usize::from_be_bytes)
}

/// A running instance. Dropping it is killing it: nothing of it takes effect any more.
struct Process {
    actor: Actor,
    coroutine: Coroutine<(), (), Result<(), BusError>>,
    shutdown: CancellationToken,
    /// It does nothing before this turn.
    stopped_until: usize,
    /// Producers of its transactional id before it.
    epoch_before: u64,
}

impl Process {
    fn start(actor: Actor, world: &Rc<RefCell<World>>, payloads: &Payloads) -> Self {
        let shutdown = CancellationToken::new();
        let epoch_before = world.borrow().epoch(&actor.transactional_id());
        let (world, token, payloads) = (Rc::clone(world), shutdown.clone(), Rc::clone(payloads));
        let coroutine = Coroutine::new(move |yielder, ()| {
            actor.work(&Node { world, yielder, options: actor.options() }, &token, &payloads)
        });
        Self { actor, coroutine, shutdown, stopped_until: 0, epoch_before }
    }
}

/// One run.
struct Simulation {
    world: Rc<RefCell<World>>,
    /// Of those that are the same actor, the last to claim its name goes on and the others end.
    processes: Vec<Process>,
    random: fastrand::Rng,
    payloads: Payloads,
    turn: usize,
    loses_markers: bool,
    /// Whose transaction lost markers. It can be completed from the memory of the process that made it, and only
    /// from there.
    incomplete: Option<Actor>,
    /// The group gives a member up as soon as a transaction of its has lost markers.
    gives_up_incomplete: bool,
}

impl Simulation {
    fn new(seed: u64, broken: Broken) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let topics = [(INPUT, PARTITIONS), (OUTPUT, PARTITIONS), ("in.dlq", PARTITIONS), (SOURCE_POSITIONS, 1)];
        let mut world = World::new(random.fork(), broken, &topics);
        world.losses = LOST_ONCE_IN;
        world.is_told = std::env::var_os("SIMULATION_SEED").is_some();
        let payload = |i| (random.usize(0..KEYS), format!("payload-{i}"));
        let payloads = Rc::new((0..40).map(payload).collect());
        let world = Rc::new(RefCell::new(world));
        let processes = ACTORS.map(|actor| Process::start(actor, &world, &payloads)).into();
        let loses_markers = seed % 2 == 1;
        let (incomplete, gives_up_incomplete) = (None, false);
        Self { world, processes, random, payloads, turn: 0, loses_markers, incomplete, gives_up_incomplete }
    }

    fn tell(&self, event: impl FnOnce() -> String) {
        self.world.borrow().tell(event);
    }

    /// One turn of one process.
    fn step(&mut self) -> Result<(), String> {
        let at = self.random.usize(0..self.processes.len());
        if self.processes[at].stopped_until > self.turn {
            return Ok(());
        }
        let CoroutineResult::Return(ended) = self.processes[at].coroutine.resume(()) else { return Ok(()) };
        let Process { actor, shutdown, .. } = self.processes.remove(at);
        self.tell(|| format!("{actor:?} ended: {ended:?}"));
        let another_is_done = actor == Actor::Source && self.source_position() == self.payloads.len();
        let another_has_its_name = another_is_done || self.processes.iter().any(|process| process.actor == actor);
        match ended {
            Err(BusError::Fenced { .. }) if another_has_its_name => {}
            // It was to stop, and the other one has not let it settle in time.
            Err(_) if shutdown.is_cancelled() && another_has_its_name => {}
            Ok(()) if shutdown.is_cancelled() => self.start(actor),
            Ok(()) if actor == Actor::Source => {}
            other => return Err(format!("turn {}: {actor:?} ended with {other:?}", self.turn)),
        }
        Ok(())
    }

    fn start(&mut self, actor: Actor) {
        self.tell(|| format!("{actor:?} starts"));
        self.processes.push(Process::start(actor, &self.world, &self.payloads));
    }

    fn fault(&mut self) {
        let actor = ACTORS[self.random.usize(0..ACTORS.len())];
        let id = actor.transactional_id();
        if self.incomplete.is_some_and(|actor| self.is_complete(actor)) {
            self.incomplete = None;
        }
        let is_needed = self.incomplete == Some(actor);
        let newest = self.processes.iter().rposition(|process| process.actor == actor);
        match (self.random.u8(0..9), actor) {
            (0, _) if !is_needed => {
                self.tell(|| format!("{actor:?} is killed"));
                self.processes.retain(|process| process.actor != actor);
                self.start(actor);
            }
            // Another one is started in its place, and it goes on.
            (1, _) if !is_needed && self.processes.len() < PROCESSES_MAX => self.start(actor),
            (2, _) => {
                if let Some(newest) = newest {
                    self.processes[newest].shutdown.cancel();
                }
            }
            (3, _) => {
                if let Some(newest) = newest {
                    self.processes[newest].stopped_until = self.turn + self.random.usize(0..600);
                }
            }
            // Whoever takes over from it then writes before what is missing, which is written last (ARCHITECTURE.md).
            (4, Actor::Stage(name)) if !is_needed => self.world.borrow_mut().expel(GROUP, name),
            (5, _) => self.world.borrow_mut().time_out(&id),
            (6, Actor::Stage(name)) => self.world.borrow_mut().fence_falsely(GROUP, name),
            (7, _) => {
                let topic = [INPUT, OUTPUT][self.random.usize(0..2)];
                let (place, for_ms) =
                    (place(topic, self.random.u32(0..PARTITIONS)), self.random.u64(0..LATE_LEADER_MS));
                self.world.borrow_mut().take_over_leadership(&place, for_ms);
            }
            (8, _) if self.loses_markers && self.incomplete.is_none() => self.lose_markers(actor),
            _ => {}
        }
    }

    fn lose_markers(&mut self, actor: Actor) {
        let has_its_place = match actor {
            Actor::Stage(name) => self.world.borrow().is_member(GROUP, name),
            Actor::Source => true,
        };
        let mut processes = self.processes.iter().filter(|process| process.actor == actor);
        if let (Some(process), None, true) = (processes.next(), processes.next(), has_its_place)
            && self.world.borrow_mut().lose_markers(&actor.transactional_id(), process.epoch_before)
        {
            self.incomplete = Some(actor);
            if let (Actor::Stage(name), true) = (actor, self.gives_up_incomplete) {
                self.world.borrow_mut().expel(GROUP, name);
            }
        }
    }

    /// Runs to the end; `Err` says what was wrong.
    fn run(mut self) -> Result<(), String> {
        while self.turn < TURNS_FAULTY {
            self.pass_time();
            if self.random.usize(0..FAULT_ONCE_IN) == 0 {
                self.fault();
            }
            match self.random.u8(0..40) {
                0..=12 => drop(self.world.borrow_mut().write_marker()),
                _ => self.step()?,
            }
            if self.turn.is_multiple_of(CHECKED_EVERY_TURNS) {
                self.check()?;
            }
        }
        self.world.borrow_mut().losses = 0;
        while self.turn < TURNS_FAULTY + TURNS_MAX {
            self.pass_time();
            self.world.borrow_mut().write_marker();
            self.step()?;
            if self.turn.is_multiple_of(CHECKED_EVERY_TURNS) {
                self.check()?;
                if self.is_done() {
                    return Ok(());
                }
            }
        }
        let positions: Vec<_> = places(INPUT).map(|place| self.position(&place)).collect();
        let open = self.world.borrow().open_everywhere();
        Err(format!("the faults have ended and the work is not done: positions {positions:?}, open {open:?}"))
    }

    fn pass_time(&mut self) {
        self.turn += 1;
        let mut world = self.world.borrow_mut();
        world.now_ms += self.random.u64(0..40);
        world.time_out_after(u64::from(TRANSACTION_TIMEOUT_MS));
    }

    /// Committed values of a topic, by key.
    fn committed(&self, topic: &str) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
        let world = self.world.borrow();
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for place in places(topic) {
            for content in world.committed(&place).0 {
                by_key.entry(content.key.clone().unwrap_or_default()).or_default().extend(content.value.clone());
            }
        }
        by_key
    }

    /// The group's position on a partition, and the keys of the inputs before it.
    fn position(&self, place: &Place) -> (i64, Vec<Vec<u8>>) {
        let world = self.world.borrow();
        let position = world.moved_to(GROUP, place).map_or(0, |p| p.offset);
        let mut at = 0;
        let records = std::iter::from_fn(|| world.next_record(place, &mut at));
        let before = records.take_while(|record| record.offset < position);
        (position, before.filter_map(|record| record.key).collect())
    }

    /// For each key, outputs that there are, and those that inputs before the positions ask for.
    fn outputs(&self) -> Vec<(usize, usize)> {
        let committed = self.committed(OUTPUT);
        let read: Vec<Vec<u8>> = places(INPUT).flat_map(|place| self.position(&place).1).collect();
        let keys = (0..KEYS).map(key_of);
        let count =
            |key: Vec<u8>| (committed.get(&key).map_or(0, Vec::len), read.iter().filter(|read| **read == key).count());
        keys.map(count).collect()
    }

    /// Where the source stands, in records.
    fn source_position(&self) -> usize {
        let world = self.world.borrow();
        let standing = world.committed(&place(SOURCE_POSITIONS, 0)).0.last().and_then(|content| content.value.clone());
        let position = standing.and_then(|standing| Standing::decode(&standing)).and_then(|s| s.position);
        position.map_or(0, |position| number_of(&position))
    }

    /// Whether everything of an actor has ended, and what it wrote agrees with where it stands.
    fn is_complete(&self, actor: Actor) -> bool {
        let agrees = match actor {
            Actor::Stage(_) => self.outputs().into_iter().all(|(there, wanted)| there == wanted),
            Actor::Source => self.committed(INPUT).values().map(Vec::len).sum::<usize>() == self.source_position(),
        };
        agrees && !self.world.borrow().is_open(&actor.transactional_id())
    }

    fn is_done(&self) -> bool {
        let world = self.world.borrow();
        let is_read = |place: Place| {
            let position = world.stable_position(GROUP, &place).ok().flatten().map_or(0, |p| p.offset);
            usize::try_from(position).is_ok_and(|position| position == world.end(&place))
        };
        self.source_position() == self.payloads.len()
            && places(INPUT).all(is_read)
            && places(OUTPUT).all(|place| world.committed(&place).1)
            && ACTORS.iter().all(|actor| self.is_complete(*actor))
    }

    /// What is committed is the beginning of what is asked for, key by key, and goes at least as far as the positions.
    fn check(&self) -> Result<(), String> {
        let (inputs, outputs) = (self.committed(INPUT), self.committed(OUTPUT));
        for key in 0..KEYS {
            let payloads = self.payloads.iter().filter(|(k, _)| *k == key).map(|(_, payload)| payload.as_bytes());
            let wanted_inputs: Vec<Vec<u8>> = payloads.clone().map(<[u8]>::to_vec).collect();
            for (topic, got, wanted) in [(INPUT, &inputs, wanted_inputs), (OUTPUT, &outputs, expected(payloads))] {
                let got = got.get(&key_of(key)).map_or(&[][..], Vec::as_slice);
                if !wanted.starts_with(got) {
                    let got: Vec<_> = got.iter().map(|value| String::from_utf8_lossy(value)).collect();
                    return Err(format!("turn {}: in {topic}, key {key} has {got:?}", self.turn));
                }
            }
        }
        let is_settled = places(OUTPUT).all(|place| self.world.borrow().committed(&place).1);
        if is_settled && self.incomplete.is_none() && self.outputs().into_iter().any(|(there, wanted)| there < wanted) {
            return Err(format!("turn {}: the positions are ahead of the outputs", self.turn));
        }
        Ok(())
    }
}

fn place(topic: &str, partition: u32) -> Place {
    Place { topic: topic.into(), partition }
}

fn places(topic: &str) -> impl Iterator<Item = Place> {
    (0..PARTITIONS).map(move |partition| place(topic, partition))
}

fn key_of(key: usize) -> Vec<u8> {
    format!("key-{key}").into_bytes()
}

fn seeds() -> std::ops::Range<u64> {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")));
    match number("SIMULATION_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(4000),
    }
}

/// Has a source write these, with nothing in its way.
fn source_ends(world: &Rc<RefCell<World>>, payloads: usize) -> Result<(), BusError> {
    let payloads: Payloads = Rc::new((0..payloads).map(|i| (i % KEYS, format!("payload-{i}"))).collect());
    let mut process = Process::start(Actor::Source, world, &payloads);
    for _ in 0..TURNS_MAX {
        let mut world = world.borrow_mut();
        world.now_ms += 10;
        world.write_marker();
        drop(world);
        if let CoroutineResult::Return(ended) = process.coroutine.resume(()) {
            return ended;
        }
    }
    panic!("the source does not end");
}

#[test]
fn a_source_that_starts_after_partitions_were_added_notices() {
    let topics = [(INPUT, PARTITIONS), (OUTPUT, PARTITIONS), (SOURCE_POSITIONS, 1)];
    let world = World::new(fastrand::Rng::with_seed(1), Broken::Nothing, &topics);
    let world = Rc::new(RefCell::new(world));
    source_ends(&world, 9).expect("all is written");
    // One that it does not write is not its affair.
    world.borrow_mut().set_partitions(OUTPUT, PARTITIONS + 1);
    source_ends(&world, 12).expect("it goes on");
    world.borrow_mut().set_partitions(INPUT, 2 * PARTITIONS);
    match source_ends(&world, 20) {
        Err(BusError::PartitionMismatch { topic, found, wanted }) => {
            assert_eq!((topic.as_str(), found, wanted), (INPUT, 2 * PARTITIONS, PARTITIONS));
        }
        other => panic!("{other:?}"),
    }
}

/// Has an instance of the stage, which works by these rules and has partitions alone once the group has given the other
/// up, read all that there is, and stop in good order. How many of its partitions were told that records were applied
/// again under other rules.
fn stage_reads(world: &Rc<RefCell<World>>, (name, rules): (&'static str, &'static str), other: &str) -> usize {
    let (told, shutdown) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let factory = SummingFactory { rules, told: Arc::clone(&told) };
    let (its_world, token) = (Rc::clone(world), shutdown.clone());
    let mut coroutine = Coroutine::new(move |yielder, ()| {
        let kafka = Node { world: its_world, yielder, options: Actor::Stage(name).options() };
        let options = StageOptions { group: GROUP.to_owned(), batch_records_max: 3, snapshot_every_records: 1000 };
        let (kafka, shutdown) = (&kafka, &token);
        run_sessions(&Running { kafka, factory: &factory, options: &options, shutdown, claim: Cell::new(None) })
    });
    for _ in 0..TURNS_MAX {
        let mut turn = world.borrow_mut();
        turn.now_ms += 10;
        turn.write_marker();
        turn.expel(GROUP, other);
        let is_read = |place: Place| {
            let position = turn.stable_position(GROUP, &place).ok().flatten().map_or(0, |p| p.offset);
            usize::try_from(position).is_ok_and(|position| position == turn.end(&place))
        };
        if places(INPUT).all(is_read) {
            shutdown.cancel();
        }
        drop(turn);
        if let CoroutineResult::Return(ended) = coroutine.resume(()) {
            ended.expect("it stops in good order");
            return told.load(Ordering::Relaxed);
        }
    }
    panic!("{name} does not end");
}

/// Snapshots are each instance's own: what it reads there was made under the rules that it has.
#[test]
fn whoever_takes_a_partition_over_notices_that_another_had_other_rules() {
    let told = |rules_of_b: &'static str| {
        let topics = [(INPUT, PARTITIONS), (OUTPUT, PARTITIONS), ("in.dlq", PARTITIONS), (SOURCE_POSITIONS, 1)];
        let world = World::new(fastrand::Rng::with_seed(1), Broken::Nothing, &topics);
        let world = Rc::new(RefCell::new(world));
        let turns = [("a", "old", "b"), ("b", rules_of_b, "a"), ("a", "old", "b"), ("a", "old", "b")];
        let mut payloads = 0;
        let read = |(name, rules, other)| {
            payloads += 21;
            source_ends(&world, payloads).expect("all is written");
            stage_reads(&world, (name, rules), other)
        };
        turns.map(read)
    };
    assert_eq!(told("old"), [0; 4], "all have the same");
    let [first, taken_over, taken_back, restarted] = told("new");
    assert_eq!((first, restarted), (0, 0), "what an instance did itself it did under its own");
    assert!(taken_over > 0 && taken_back > 0, "{taken_over} and {taken_back} partitions");
}

#[test]
fn no_order_of_events_loses_or_repeats_anything() {
    for seed in seeds() {
        let ended = Simulation::new(seed, Broken::Nothing).run();
        assert_eq!(ended, Ok(()), "seed {seed}");
    }
}

/// Each promise that is broken shows in some order of events.
#[test]
fn every_promise_is_needed() {
    let promises = [
        Broken::Fencing,
        Broken::Generations,
        Broken::HeldPositions,
        Broken::Revocations,
        Broken::KeptPositions,
        Broken::StableEnds,
    ];
    for broken in promises {
        let noticed = seeds().find(|seed| Simulation::new(*seed, broken).run().is_err());
        println!("{broken:?}: noticed with seed {noticed:?}");
        assert!(noticed.is_some(), "{broken:?}");
    }
}

/// What is not mended (ARCHITECTURE.md, "What a killed Kafka can lose"): who takes a partition over goes on behind what
/// is still open of the one before it, and that one writes what is missing behind both.
#[test]
fn who_is_given_up_before_its_transaction_is_complete_may_write_out_of_order() {
    let out_of_order = |seed: &u64| {
        let given_up = Simulation { gives_up_incomplete: true, ..Simulation::new(*seed, Broken::Nothing) };
        given_up.run().is_err_and(|why| why.contains(&format!("in {OUTPUT}, key")))
    };
    let noticed = seeds().find(out_of_order);
    println!("out of order with seed {noticed:?}");
    assert!(noticed.is_some());
}
