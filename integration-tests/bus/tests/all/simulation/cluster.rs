//! A model of what Kafka promises: transactions that end in two steps, epochs that fence, a group
//! whose generation guards its positions. Each call takes effect at once; what takes time is a step
//! of its own, which the scheduler takes when it likes.

use prescale_bus::OutputRecord;
use std::collections::{BTreeMap, BTreeSet};

/// Names an instance; also its transactional id.
pub(super) type Name = u32;

/// Why a call did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another producer has the id.
    Fenced,
    /// The group has gone on without this member.
    LeftBehind,
    /// An earlier transaction has not ended yet.
    Busy,
}

/// What of the broker's part is left out, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing.
    Nothing,
    /// A new producer does not fence the old one.
    Fencing,
    /// Positions move whatever the generation.
    Generations,
}

enum Entry {
    Record { by: Name, record: OutputRecord },
    Marker { by: Name, commits: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    With { commits: bool },
}

struct Transaction {
    ending: Ending,
    /// Partitions that still wait for their marker.
    places: BTreeSet<usize>,
    positions: BTreeMap<usize, usize>,
}

#[derive(Default)]
struct Producer {
    epoch: u64,
    transaction: Option<Transaction>,
}

/// The cluster: inputs, outputs, producers, and one group.
pub(super) struct Cluster {
    /// Key and payload, by partition.
    pub(super) inputs: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
    outputs: Vec<Vec<Entry>>,
    producers: BTreeMap<Name, Producer>,
    positions: BTreeMap<usize, usize>,
    generation: u64,
    members: BTreeSet<Name>,
    broken: Broken,
}

impl Cluster {
    pub(super) fn new(inputs: Vec<Vec<(Vec<u8>, Vec<u8>)>>, broken: Broken) -> Self {
        let outputs = inputs.iter().map(|_| Vec::new()).collect();
        let (producers, positions) = (BTreeMap::new(), BTreeMap::new());
        Self { inputs, outputs, producers, positions, generation: 0, members: BTreeSet::new(), broken }
    }

    /// Takes over the transactional id: what is open of it is aborted. `Busy` until that is done.
    pub(super) fn init(&mut self, name: Name) -> Result<u64, Refused> {
        let fences = self.broken != Broken::Fencing;
        let producer = self.producers.entry(name).or_default();
        match &mut producer.transaction {
            None => {
                producer.epoch += u64::from(fences || producer.epoch == 0);
                Ok(producer.epoch)
            }
            Some(transaction) => {
                if transaction.ending == Ending::No {
                    transaction.ending = Ending::With { commits: false };
                    producer.epoch += u64::from(fences);
                }
                Err(Refused::Busy)
            }
        }
    }

    fn open(&mut self, name: Name, epoch: u64) -> Result<&mut Transaction, Refused> {
        let producer = self.producers.entry(name).or_default();
        if producer.epoch != epoch {
            return Err(Refused::Fenced);
        }
        let fresh = || Transaction { ending: Ending::No, places: BTreeSet::new(), positions: BTreeMap::new() };
        let transaction = producer.transaction.get_or_insert_with(fresh);
        if transaction.ending == Ending::No { Ok(transaction) } else { Err(Refused::Busy) }
    }

    pub(super) fn produce(
        &mut self,
        (name, epoch): (Name, u64),
        partition: usize,
        record: OutputRecord,
    ) -> Result<(), Refused> {
        self.open(name, epoch)?.places.insert(partition);
        self.outputs[partition].push(Entry::Record { by: name, record });
        Ok(())
    }

    pub(super) fn move_positions(
        &mut self,
        (name, epoch): (Name, u64),
        generation: u64,
        positions: &BTreeMap<usize, usize>,
    ) -> Result<(), Refused> {
        if generation != self.generation && self.broken != Broken::Generations {
            return Err(Refused::LeftBehind);
        }
        self.open(name, epoch)?.positions.extend(positions);
        Ok(())
    }

    /// Asks for the end; the markers come later.
    pub(super) fn end(&mut self, (name, epoch): (Name, u64), commits: bool) -> Result<(), Refused> {
        self.open(name, epoch)?.ending = Ending::With { commits };
        Ok(())
    }

    /// The broker gives an open transaction up.
    pub(super) fn time_out(&mut self, name: Name) {
        let Some(producer) = self.producers.get_mut(&name) else { return };
        if let Some(transaction) = producer.transaction.as_mut().filter(|t| t.ending == Ending::No) {
            transaction.ending = Ending::With { commits: false };
            producer.epoch += 1;
        }
    }

    /// Writes one marker that is due, or moves the positions; `pick` chooses. Tells whether there
    /// was something to do.
    pub(super) fn go_on(&mut self, name: Name, pick: usize) -> bool {
        let Some(producer) = self.producers.get_mut(&name) else { return false };
        let Some(transaction) = &mut producer.transaction else { return false };
        let Ending::With { commits } = transaction.ending else { return false };
        let due = transaction.places.len() + usize::from(!transaction.positions.is_empty());
        if due == 0 {
            producer.transaction = None;
            return true;
        }
        match transaction.places.iter().nth(pick % due).copied() {
            Some(partition) => {
                transaction.places.remove(&partition);
                self.outputs[partition].push(Entry::Marker { by: name, commits });
            }
            None => {
                let moved = std::mem::take(&mut transaction.positions);
                if commits {
                    self.positions.extend(moved);
                }
            }
        }
        true
    }

    /// Committed records of a partition up to the first that is still open, and whether none is.
    pub(super) fn committed(&self, partition: usize) -> (Vec<&OutputRecord>, bool) {
        let entries = &self.outputs[partition];
        let mut seen = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let Entry::Record { by, record } = entry else { continue };
            let end = entries[at..].iter().find_map(|later| match later {
                Entry::Marker { by: ender, commits } if ender == by => Some(*commits),
                _ => None,
            });
            match end {
                None => return (seen, false),
                Some(true) => seen.push(record),
                Some(false) => {}
            }
        }
        (seen, true)
    }

    /// Whether nothing of this id waits for its end.
    pub(super) fn has_ended(&self, name: Name) -> bool {
        self.producers.get(&name).is_none_or(|p| p.transaction.is_none())
    }

    /// The group's position; `None` while a transaction holds it.
    pub(super) fn stable_position(&self, partition: usize) -> Option<usize> {
        let open = self.producers.values().filter_map(|p| p.transaction.as_ref());
        let is_held = open.into_iter().any(|t| t.positions.contains_key(&partition));
        (!is_held).then(|| self.position(partition))
    }

    /// The group's position, whatever is under way.
    pub(super) fn position(&self, partition: usize) -> usize {
        self.positions.get(&partition).copied().unwrap_or(0)
    }

    pub(super) fn join(&mut self, name: Name) {
        self.members.insert(name);
        self.generation += 1;
    }

    /// A member that was silent for too long is taken out.
    pub(super) fn expel(&mut self, name: Name) {
        if self.members.len() > 1 && self.members.remove(&name) {
            self.generation += 1;
        }
    }

    pub(super) fn is_member(&self, name: Name) -> bool {
        self.members.contains(&name)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The member's partitions in this generation.
    pub(super) fn assigned(&self, name: Name) -> BTreeSet<usize> {
        let Some(rank) = self.members.iter().position(|m| *m == name) else { return BTreeSet::new() };
        (0..self.inputs.len()).filter(|p| (p + self.generation as usize / 3) % self.members.len() == rank).collect()
    }
}
