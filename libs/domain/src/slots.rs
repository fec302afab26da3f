//! What is kept of each workload of a partition, in slots: a name is found by its hash, at a cost that does not grow with
//! the number of workloads, and each takes as much memory as it needs. It must not know what is kept.

use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};

/// Fewest places of a table that has any.
const PLACES_MIN: usize = 8;

/// What is kept of each workload. The slots are in the order in which the workloads came, so all that follows from them
/// follows from the records.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Slots<T> {
    slots: Vec<Box<Slot<T>>>,
    /// Where each slot is found: at the place that its hash says, or the next free one behind it (linear probing; Knuth,
    /// "The Art of Computer Programming", 3, 6.4). A power of two, of which a quarter is free at least.
    table: Vec<Place>,
}

#[derive(Clone, Debug, Encode, Decode)]
struct Slot<T> {
    workload: WorkloadId,
    kept: T,
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Place {
    /// Number of the slot; [`Place::FREE`] for none.
    slot: u32,
    /// Hash of its workload.
    hash: u32,
}

impl Place {
    const FREE: u32 = u32::MAX;
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), table: Vec::new() }
    }
}

/// Whatever the order in which the workloads came.
impl<T: PartialEq> PartialEq for Slots<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(workload, kept)| other.get(workload) == Some(kept))
    }
}

impl<T> Slots<T> {
    /// Workloads that something is kept of.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What is kept of a workload.
    pub fn get(&self, workload: &WorkloadId) -> Option<&T> {
        let number = self.find(hash_of(workload), workload)?;
        self.slots.get(number).map(|slot| &slot.kept)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, workload: &WorkloadId) -> Option<&mut T> {
        let number = self.find(hash_of(workload), workload)?;
        self.slots.get_mut(number).map(|slot| &mut slot.kept)
    }

    /// Whether something is kept of a workload.
    pub fn contains(&self, workload: &WorkloadId) -> bool {
        self.find(hash_of(workload), workload).is_some()
    }

    /// What is kept of a workload; of one that is new, what `new` gives.
    pub fn get_or_insert_with(&mut self, workload: &WorkloadId, new: impl FnOnce() -> T) -> &mut T {
        let hash = hash_of(workload);
        let number = match self.find(hash, workload) {
            Some(number) => number,
            None => self.add(hash, Slot { workload: workload.clone(), kept: new() }),
        };
        &mut self.slots[number].kept
    }

    /// Keeps something of a workload, in place of what was kept of it.
    pub fn insert(&mut self, workload: &WorkloadId, kept: T) {
        let hash = hash_of(workload);
        match self.find(hash, workload) {
            Some(number) => self.slots[number].kept = kept,
            None => {
                self.add(hash, Slot { workload: workload.clone(), kept });
            }
        }
    }

    /// Keeps nothing more of the workloads for which `stays` says so. Goes through all of them.
    pub fn retain(&mut self, mut stays: impl FnMut(&WorkloadId, &mut T) -> bool) {
        let before = self.slots.len();
        self.slots.retain_mut(|slot| {
            let Slot { workload, kept } = &mut **slot;
            stays(workload, kept)
        });
        if self.slots.len() < before {
            self.make_table();
        }
    }

    /// The workloads with what is kept of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&WorkloadId, &T)> {
        self.slots.iter().map(|slot| (&slot.workload, &slot.kept))
    }

    /// What is kept, in the order in which the workloads came.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.kept)
    }

    /// What is kept, with whose it is.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&WorkloadId, &mut T)> {
        self.slots.iter_mut().map(|slot| {
            let Slot { workload, kept } = &mut **slot;
            (&*workload, kept)
        })
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|slot| &mut slot.kept)
    }

    /// Bytes that a workload takes, without what its name and what is kept of it have on the heap.
    pub const fn bytes_each() -> usize {
        size_of::<Slot<T>>() + size_of::<Box<Slot<T>>>() + 2 * size_of::<Place>()
    }

    /// Number of a workload's slot.
    fn find(&self, hash: u32, workload: &WorkloadId) -> Option<usize> {
        let places = self.table.len();
        for step in 0..places {
            let place = self.table[(hash as usize + step) & (places - 1)];
            if place.slot == Place::FREE {
                return None;
            }
            let number = place.slot as usize;
            if place.hash == hash && self.slots.get(number).is_some_and(|slot| slot.workload == *workload) {
                return Some(number);
            }
        }
        None
    }

    fn add(&mut self, hash: u32, slot: Slot<T>) -> usize {
        let number = self.slots.len();
        self.slots.push(Box::new(slot));
        if 4 * self.slots.len() > 3 * self.table.len() {
            self.make_table();
        } else {
            put(&mut self.table, Place { slot: number as u32, hash });
        }
        number
    }

    /// Makes the table anew, at most half full.
    fn make_table(&mut self) {
        let places = (2 * self.slots.len()).next_power_of_two().max(PLACES_MIN);
        self.table = vec![Place { slot: Place::FREE, hash: 0 }; places];
        for (number, slot) in (0..).zip(&self.slots) {
            put(&mut self.table, Place { slot: number, hash: hash_of(&slot.workload) });
        }
    }
}

/// Puts a place into a table that has a free one.
fn put(table: &mut [Place], place: Place) {
    let last = table.len() - 1;
    let mut at = place.hash as usize & last;
    while table[at].slot != Place::FREE {
        at = (at + 1) & last;
    }
    table[at] = place;
}

fn hash_of(workload: &WorkloadId) -> u32 {
    (workload.hash64() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(number: u32) -> WorkloadId {
        WorkloadId::new(&format!("vm-{number}")).unwrap()
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u32, u8),
        Add(u32, u8),
        RetainBelow(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400u32, any::<u8>()).prop_map(|(number, kept)| Step::Insert(number, kept)),
            8 => (0..400u32, any::<u8>()).prop_map(|(number, kept)| Step::Add(number, kept)),
            1 => (128..=255u8).prop_map(Step::RetainBelow),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(step(), 0..600)) {
            let (mut slots, mut plain) = (Slots::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(number, kept) => {
                        slots.insert(&id(number), kept);
                        plain.insert(number, kept);
                    }
                    Step::Add(number, kept) => {
                        let held = slots.get_or_insert_with(&id(number), || kept);
                        prop_assert_eq!(*held, *plain.entry(number).or_insert(kept));
                        *held = held.wrapping_add(1);
                        plain.insert(number, *held);
                    }
                    Step::RetainBelow(most) => {
                        slots.retain(|_, kept| *kept < most);
                        plain.retain(|_, kept| *kept < most);
                    }
                }
            }
            prop_assert_eq!(slots.len(), plain.len());
            for number in 0..400 {
                prop_assert_eq!(slots.get(&id(number)), plain.get(&number));
                prop_assert_eq!(slots.contains(&id(number)), plain.contains_key(&number));
            }
            let restored: Slots<u8> = bitcode::decode(&bitcode::encode(&slots)).unwrap();
            prop_assert_eq!(bitcode::encode(&restored), bitcode::encode(&slots));
            let mut backwards = Slots::default();
            plain.iter().rev().for_each(|(number, kept)| backwards.insert(&id(*number), *kept));
            prop_assert!(restored == backwards);
            backwards.values_mut().for_each(|kept| *kept ^= 1);
            prop_assert_eq!(restored == backwards, plain.is_empty());
        }
    }

    #[test]
    fn slots_are_in_the_order_in_which_workloads_came() {
        let mut slots = Slots::default();
        [5, 3, 9, 1].iter().for_each(|number| slots.insert(&id(*number), *number));
        slots.retain(|_, number| *number != 3);
        assert_eq!(slots.values().copied().collect::<Vec<_>>(), [5, 9, 1]);
        assert!(slots.iter().all(|(workload, number)| *workload == id(*number)));
    }

    #[test]
    fn what_a_workload_takes_beside_what_is_kept_is_little() {
        let mut slots = Slots::default();
        (0..10_000).for_each(|number| slots.insert(&id(number), [0u64; 100]));
        assert!(slots.table.len() * size_of::<Place>() <= 22 * slots.len());
        assert!(Slots::<[u64; 100]>::bytes_each() <= 800 + 16 + 8 + 16);
    }
}
