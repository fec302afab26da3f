//! A model of what Kafka promises: logs with transactions that end in two steps, epochs that fence, groups whose
//! generation guards their positions. Each call takes effect at once; what takes time is a step of its own, which
//! the scheduler takes when it likes.

use crate::kafka::protocol::port::Place;
use crate::kafka::protocol::provenance::Position;
use crate::record::{ConsumedRecord, Header};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A transactional id.
pub(super) type Id = Rc<str>;

/// What of Kafka's promises, or of what the client library tells, is left out, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    /// A new producer does not fence the old one.
    Fencing,
    /// Positions move whatever the member's generation.
    Generations,
    /// Positions that an open transaction holds are told as if it did not.
    HeldPositions,
    /// A member is not told of partitions that it has lost.
    Revocations,
    /// A member that the group had given up is not told where the group stands on what it keeps.
    KeptPositions,
    /// Everything counts as settled, so a transaction whose markers are lost passes for ended.
    StableEnds,
}

/// Why a call did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another producer has the id.
    Fenced,
    /// The group has gone on without this member.
    LeftBehind,
    /// Another member has this one's name.
    NameTaken,
    /// An earlier transaction has not ended yet.
    Busy,
    /// A transaction that is committed already cannot be aborted.
    Committed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
    Marker,
}

/// What is written of a record.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

/// One partition's log.
#[derive(Default)]
struct Log {
    entries: Vec<(Fate, Option<Content>)>,
    open: BTreeMap<Id, BTreeSet<usize>>,
    /// Until this moment its leader serves nothing from this offset on, for it has just taken over.
    late: Option<(u64, usize)>,
}

impl Log {
    fn stable_end(&self) -> usize {
        self.open.values().filter_map(BTreeSet::first).min().copied().unwrap_or(self.entries.len())
    }

    fn mark(&mut self, by: &Id, commits: bool) {
        for at in self.open.remove(by).unwrap_or_default() {
            self.entries[at].0 = if commits { Fate::Committed } else { Fate::Aborted };
        }
        self.entries.push((Fate::Marker, None));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Log(Place),
    Group(Rc<str>),
}

#[derive(Default)]
struct Transaction {
    epoch: u64,
    since_ms: u64,
    /// Whether it commits, once its end was asked for.
    ending: Option<bool>,
    /// Where its marker is not written yet.
    targets: BTreeSet<Target>,
}

#[derive(Default)]
struct ProducerState {
    epoch: u64,
    transaction: Option<Transaction>,
}

struct MemberState {
    id: u64,
    owned: BTreeSet<u32>,
    /// It is to be told that its name is taken, which it is not.
    is_falsely_fenced: bool,
}

#[derive(Default)]
struct Group {
    generation: u64,
    joined: u64,
    members: BTreeMap<Rc<str>, MemberState>,
    positions: BTreeMap<Place, Position>,
    pending: BTreeMap<Id, BTreeMap<Place, Position>>,
}

impl Group {
    /// The partitions that a member should have.
    fn target(&self, name: &str, partitions: u32) -> BTreeSet<u32> {
        let Some(rank) = self.members.keys().position(|member| &**member == name) else { return BTreeSet::new() };
        let (shift, members) = (self.generation as usize / 3, self.members.len());
        (0..partitions).filter(|p| (*p as usize + shift) % members == rank).collect()
    }
}

/// The right of a member to move its group's positions; none of a client that is no member.
#[derive(Clone)]
pub(super) struct Membership {
    pub(super) group: Rc<str>,
    pub(super) member: Option<(Rc<str>, u64, u64)>,
}

/// How a member stands with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Member {
        generation: u64,
    },
    /// The group has given it up.
    Unknown,
    NameTaken,
}

/// The cluster, the clock and the disks.
pub(super) struct World {
    epoch: Instant,
    pub(super) now_ms: u64,
    pub(super) random: fastrand::Rng,
    /// Once in so many calls the answer is lost, or the call itself; never when it is 0.
    pub(super) losses: u32,
    pub(super) broken: Broken,
    /// Whether events are printed.
    pub(super) is_told: bool,
    topics: BTreeMap<String, u32>,
    logs: BTreeMap<Place, Log>,
    producers: BTreeMap<Id, ProducerState>,
    groups: BTreeMap<String, Group>,
    /// Snapshots by instance and partition: offset and state.
    pub(super) disks: BTreeMap<(String, u32), (i64, Vec<u8>)>,
}

impl World {
    pub(super) fn new(random: fastrand::Rng, broken: Broken, topics: &[(&str, u32)]) -> Self {
        Self {
            epoch: Instant::now(),
            now_ms: 0,
            random,
            losses: 0,
            broken,
            is_told: false,
            topics: topics.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect(),
            logs: BTreeMap::new(),
            producers: BTreeMap::new(),
            groups: BTreeMap::new(),
            disks: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now_ms)
    }

    pub(super) fn tell(&self, event: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>6} ms  {}", self.now_ms, event());
        }
    }

    /// Whether something goes wrong with this call.
    pub(super) fn loses(&mut self) -> bool {
        self.losses > 0 && self.random.u32(0..self.losses) == 0
    }

    pub(super) fn set_partitions(&mut self, topic: &str, partitions: u32) {
        self.topics.insert(topic.to_owned(), partitions);
    }

    pub(super) fn partitions(&self, topic: &str) -> Option<u32> {
        self.topics.get(topic).copied()
    }

    fn log(&self, place: &Place) -> Option<&Log> {
        self.logs.get(place)
    }

    pub(super) fn end(&self, place: &Place) -> usize {
        self.log(place).map_or(0, |log| log.entries.len())
    }

    pub(super) fn stable_end(&self, place: &Place) -> usize {
        match self.broken {
            Broken::StableEnds => self.end(place),
            _ => self.log(place).map_or(0, Log::stable_end),
        }
    }

    /// The next committed record from `position` on, which is moved behind what was passed.
    pub(super) fn next_record(&self, place: &Place, position: &mut usize) -> Option<ConsumedRecord> {
        let log = self.log(place)?;
        let served = log.late.filter(|(until, _)| *until > self.now_ms).map_or(usize::MAX, |(_, upto)| upto);
        while *position < log.stable_end().min(served) {
            let at = *position;
            *position += 1;
            if let (Fate::Committed, Some(content)) = &log.entries[at] {
                let Content { key, value, headers } = content.clone();
                return Some(ConsumedRecord {
                    topic: Arc::clone(&place.topic),
                    partition: place.partition,
                    offset: i64::try_from(at).unwrap_or_default(),
                    appended_at_ms: 0,
                    key,
                    value,
                    headers,
                });
            }
        }
        None
    }

    /// Committed contents of a partition, and whether nothing in it is open.
    pub(super) fn committed(&self, place: &Place) -> (Vec<&Content>, bool) {
        let Some(log) = self.log(place) else { return (Vec::new(), true) };
        let upto = log.stable_end();
        let committed = log.entries[..upto].iter().filter(|(fate, _)| *fate == Fate::Committed);
        (committed.filter_map(|(_, content)| content.as_ref()).collect(), upto == log.entries.len())
    }

    /// For so long the partition's leader serves only what lies before an offset in its log.
    pub(super) fn take_over_leadership(&mut self, place: &Place, for_ms: u64) {
        let until = self.now_ms + for_ms;
        let end = self.end(place);
        let upto = self.random.usize(0..=end);
        self.logs.entry(place.clone()).or_default().late = Some((until, upto));
    }

    /// Takes over a transactional id: what is open of it is aborted. `Busy` until that is done.
    pub(super) fn init(&mut self, id: &Id) -> Result<u64, Refused> {
        let fences = self.broken != Broken::Fencing;
        let producer = self.producers.entry(Rc::clone(id)).or_default();
        match &mut producer.transaction {
            None => {
                producer.epoch += u64::from(fences || producer.epoch == 0);
                let epoch = producer.epoch;
                self.tell(|| format!("{id} has epoch {epoch}"));
                Ok(epoch)
            }
            Some(transaction) => {
                if transaction.ending.is_none() {
                    transaction.ending = Some(false);
                    producer.epoch += u64::from(fences);
                }
                Err(Refused::Busy)
            }
        }
    }

    fn open(&mut self, id: &Id, epoch: u64) -> Result<&mut Transaction, Refused> {
        let since_ms = self.now_ms;
        let producer = self.producers.entry(Rc::clone(id)).or_default();
        if producer.epoch != epoch {
            return Err(Refused::Fenced);
        }
        let fresh = || Transaction { epoch, since_ms, ..Transaction::default() };
        let transaction = producer.transaction.get_or_insert_with(fresh);
        if transaction.ending.is_none() { Ok(transaction) } else { Err(Refused::Busy) }
    }

    /// Writes a record of the open transaction; tells its offset.
    pub(super) fn produce(&mut self, id: &Id, epoch: u64, place: &Place, content: Content) -> Result<usize, Refused> {
        self.open(id, epoch)?.targets.insert(Target::Log(place.clone()));
        let log = self.logs.entry(place.clone()).or_default();
        let at = log.entries.len();
        log.entries.push((Fate::Open, Some(content)));
        log.open.entry(Rc::clone(id)).or_default().insert(at);
        self.tell(|| format!("{id}/{epoch} writes {}/{} at {at}", place.topic, place.partition));
        Ok(at)
    }

    pub(super) fn move_positions(
        &mut self,
        id: &Id,
        epoch: u64,
        membership: &Membership,
        positions: BTreeMap<Place, Position>,
    ) -> Result<(), Refused> {
        let group = self.groups.entry(membership.group.to_string()).or_default();
        if let Some((name, member, generation)) = &membership.member
            && self.broken != Broken::Generations
        {
            match group.members.get(name) {
                Some(current) if current.id != *member => return Err(Refused::NameTaken),
                Some(_) if group.generation == *generation => {}
                _ => return Err(Refused::LeftBehind),
            }
        }
        self.open(id, epoch)?.targets.insert(Target::Group(Rc::clone(&membership.group)));
        self.tell(|| {
            let to: Vec<_> = positions.iter().map(|(at, p)| (&*at.topic, at.partition, p.offset)).collect();
            format!("{id}/{epoch} moves {} to {to:?}", membership.group)
        });
        let group = self.group(&membership.group);
        group.pending.entry(Rc::clone(id)).or_default().extend(positions);
        Ok(())
    }

    /// Asks for the end of the open transaction; the markers come later.
    pub(super) fn end_transaction(&mut self, id: &Id, epoch: u64, commits: bool) -> Result<(), Refused> {
        let producer = self.producers.entry(Rc::clone(id)).or_default();
        if producer.epoch != epoch {
            return Err(Refused::Fenced);
        }
        match producer.transaction.as_mut().map(|transaction| &mut transaction.ending) {
            None => Ok(()),
            Some(Some(asked)) if *asked == commits => Ok(()),
            Some(Some(_)) => Err(Refused::Committed),
            Some(ending) => {
                *ending = Some(commits);
                self.tell(|| format!("{id}/{epoch} ends, commits: {commits}"));
                Ok(())
            }
        }
    }

    /// The broker gives an open transaction up.
    pub(super) fn time_out(&mut self, id: &str) {
        let Some(producer) = self.producers.get_mut(id) else { return };
        if let Some(transaction) = producer.transaction.as_mut().filter(|t| t.ending.is_none()) {
            transaction.ending = Some(false);
            producer.epoch += 1;
            self.tell(|| format!("{id} is given up"));
        }
    }

    /// Gives up what is open for longer than this.
    pub(super) fn time_out_after(&mut self, ms: u64) {
        let is_old = |t: &Transaction| t.since_ms + ms < self.now_ms;
        let old = self.producers.iter().filter(|(_, p)| p.transaction.as_ref().is_some_and(is_old));
        let old: Vec<Id> = old.map(|(id, _)| Rc::clone(id)).collect();
        old.iter().for_each(|id| self.time_out(id));
    }

    /// Writes one marker that is due, or moves a group's positions. Tells whether there was something to do.
    pub(super) fn write_marker(&mut self) -> bool {
        let ending = |p: &ProducerState| p.transaction.as_ref().is_some_and(|t| t.ending.is_some());
        let due: Vec<Id> = self.producers.iter().filter(|(_, p)| ending(p)).map(|(id, _)| Rc::clone(id)).collect();
        if due.is_empty() {
            return false;
        }
        let id = &due[self.random.usize(0..due.len())];
        let Some(producer) = self.producers.get_mut(id) else { return false };
        let Some(Transaction { ending: Some(commits), targets, .. }) = &mut producer.transaction else { return false };
        let commits = *commits;
        if targets.is_empty() {
            producer.transaction = None;
            return true;
        }
        let pick = self.random.usize(0..targets.len());
        let Some(target) = targets.iter().nth(pick).cloned() else { return false };
        targets.remove(&target);
        self.mark(id, &target, commits);
        true
    }

    fn mark(&mut self, id: &Id, target: &Target, commits: bool) {
        self.tell(|| format!("{id} is marked in {target:?}, commits: {commits}"));
        match target {
            Target::Log(place) => self.logs.entry(place.clone()).or_default().mark(id, commits),
            Target::Group(name) => {
                let group = self.groups.entry(name.to_string()).or_default();
                let moved = group.pending.remove(id).unwrap_or_default();
                if commits {
                    group.positions.extend(moved);
                }
            }
        }
    }

    /// Counts the producers that had an id.
    pub(super) fn epoch(&self, id: &str) -> u64 {
        self.producers.get(id).map_or(0, |producer| producer.epoch)
    }

    /// Declares an ending transaction of a later producer than that of `epoch` ended, though its markers are not all
    /// written (KAFKA-20734). Tells whether there was one.
    pub(super) fn lose_markers(&mut self, id: &str, epoch: u64) -> bool {
        let Some(producer) = self.producers.get_mut(id) else { return false };
        let can_lose = |t: &mut Transaction| t.epoch > epoch && t.ending.is_some() && !t.targets.is_empty();
        let lost = producer.transaction.take_if(can_lose);
        if let Some(Transaction { targets, ending, .. }) = &lost {
            self.tell(|| format!("{id} loses markers in {targets:?}, commits: {ending:?}"));
        }
        lost.is_some()
    }

    /// Whether a transaction of this id has not ended everywhere.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producer| producer.transaction.is_some())
            || self.logs.values().any(|log| log.open.contains_key(id))
            || self.groups.values().any(|group| group.pending.contains_key(id))
    }

    /// What has not ended, and where.
    pub(super) fn open_everywhere(&self) -> Vec<String> {
        let logs = self.logs.iter().flat_map(|(Place { topic, partition }, log)| {
            log.open.keys().map(move |id| format!("{id} in {topic}/{partition}"))
        });
        let groups = self
            .groups
            .iter()
            .flat_map(|(name, group)| group.pending.keys().map(move |id| format!("{id} in group {name}")));
        logs.chain(groups).collect()
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// The group's position on a place; `Err` while a transaction holds it.
    pub(super) fn stable_position(&self, group: &str, place: &Place) -> Result<Option<Position>, Refused> {
        let Some(group) = self.groups.get(group) else { return Ok(None) };
        let is_held = group.pending.values().any(|held| held.contains_key(place));
        if is_held && self.broken != Broken::HeldPositions {
            return Err(Refused::Busy);
        }
        Ok(group.positions.get(place).cloned())
    }

    /// The group's position on a place, whatever is under way.
    pub(super) fn moved_to(&self, group: &str, place: &Place) -> Option<Position> {
        self.groups.get(group).and_then(|g| g.positions.get(place)).cloned()
    }

    /// A new member under a name. Who comes back under it goes on with what it had, without a new generation;
    /// `forgets` one of its partitions, which nobody has then, when that happens in the middle of a rebalance.
    pub(super) fn join(&mut self, group: &str, name: &Rc<str>, forgets: bool) -> u64 {
        let group = self.group(group);
        group.joined += 1;
        let id = group.joined;
        let owned = match group.members.remove(name) {
            Some(mut before) => {
                if forgets {
                    before.owned.pop_first();
                }
                before.owned
            }
            None => {
                group.generation += 1;
                BTreeSet::new()
            }
        };
        group.members.insert(Rc::clone(name), MemberState { id, owned, is_falsely_fenced: false });
        id
    }

    /// A member that was given up joins again.
    pub(super) fn rejoin(&mut self, group: &str, name: &Rc<str>, id: u64) {
        let group = self.group(group);
        group.generation += 1;
        let member = MemberState { id, owned: BTreeSet::new(), is_falsely_fenced: false };
        group.members.entry(Rc::clone(name)).or_insert(member);
    }

    pub(super) fn standing(&mut self, group: &str, name: &str, id: u64) -> Standing {
        let group = self.group(group);
        let generation = group.generation;
        match group.members.get_mut(name) {
            None => Standing::Unknown,
            Some(member) => {
                let is_falsely_fenced = std::mem::take(&mut member.is_falsely_fenced);
                if member.id != id || is_falsely_fenced { Standing::NameTaken } else { Standing::Member { generation } }
            }
        }
    }

    /// Gives a member its partitions of this generation: those of its target that it has, or that nobody has.
    pub(super) fn assign(&mut self, group: &str, name: &str, partitions: u32) -> BTreeSet<u32> {
        let group = self.group(group);
        let target = group.target(name, partitions);
        let taken: BTreeSet<u32> =
            group.members.iter().filter(|(n, _)| &***n != name).flat_map(|(_, m)| m.owned.iter().copied()).collect();
        let owned: BTreeSet<u32> = target.difference(&taken).copied().collect();
        let generation = group.generation;
        if let Some(member) = group.members.get_mut(name) {
            member.owned.clone_from(&owned);
        }
        self.tell(|| format!("{name} has {owned:?} in generation {generation}"));
        owned
    }

    /// The group shares its partitions out anew.
    pub(super) fn rebalance(&mut self, group: &str) {
        self.group(group).generation += 1;
    }

    /// A member that was silent for too long is taken out.
    pub(super) fn expel(&mut self, group: &str, name: &str) {
        let group = self.group(group);
        if group.members.len() > 1 && group.members.remove(name).is_some() {
            group.generation += 1;
            self.tell(|| format!("{name} is given up by the group"));
        }
    }

    pub(super) fn is_member(&self, group: &str, name: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.members.contains_key(name))
    }

    /// The member is to be told that another has its name: it has itself joined twice.
    pub(super) fn fence_falsely(&mut self, group: &str, name: &str) {
        if let Some(member) = self.group(group).members.get_mut(name) {
            member.is_falsely_fenced = true;
        }
    }
}
