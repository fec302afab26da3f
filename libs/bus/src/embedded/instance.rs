//! One instance of a stage: who it is to its group, and which of its threads works on which partition. It must not know
//! what a thread does.

use super::leases::{Member, new_owner};
use super::store::{Store, lock};
use crate::bus::StageOptions;
use crate::error::BusError;
use crate::stage::StageFactory;
use crate::step::StepContext;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Which thread of an instance works on which partition.
pub(super) struct Deal {
    pub(super) threads: usize,
    /// The thread of each partition that one was found for.
    dealt: Mutex<BTreeMap<u32, usize>>,
}

impl Deal {
    fn among(threads: usize) -> Self {
        Self { threads, dealt: Mutex::default() }
    }

    /// Those partitions of the instance's share that are this thread's. A partition stays with the thread that it was
    /// dealt to; the first share is dealt in runs, so that every second partition, as half of two instances has them, is
    /// not one thread's.
    pub(super) fn of(&self, thread: usize, share: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut dealt = lock(&self.dealt);
        let is_first = dealt.is_empty();
        let fresh: Vec<u32> = share.iter().copied().filter(|partition| !dealt.contains_key(partition)).collect();
        for (nth, partition) in fresh.iter().enumerate() {
            let to = if is_first { nth * self.threads / fresh.len() } else { self.least_busy(&dealt, share) };
            dealt.insert(*partition, to);
        }
        share.iter().copied().filter(|partition| dealt.get(partition) == Some(&thread)).collect()
    }

    /// The thread with the fewest partitions of the share.
    fn least_busy(&self, dealt: &BTreeMap<u32, usize>, share: &BTreeSet<u32>) -> usize {
        let partitions =
            |thread: &usize| share.iter().filter(|partition| dealt.get(*partition) == Some(thread)).count();
        (0..self.threads).min_by_key(partitions).unwrap_or(0)
    }
}

/// One instance of a stage.
pub(super) struct Instance<'a> {
    pub(super) store: &'a Store,
    pub(super) factory: &'a dyn StageFactory,
    pub(super) options: &'a StageOptions,
    /// Who it is, to the others of its group.
    pub(super) member: Member,
    pub(super) deal: Deal,
}

impl<'a> Instance<'a> {
    /// One that has joined nothing yet.
    ///
    /// # Errors
    /// When a topic that it reads or writes is missing.
    pub(super) fn of(
        store: &'a Store,
        factory: &'a dyn StageFactory,
        options: &'a StageOptions,
    ) -> Result<Self, BusError> {
        let context = StepContext::new(factory);
        let topic = store.topic(&context.input)?;
        for written in context.topics_written() {
            store.topic(&written)?;
        }
        let member = Member {
            group: options.group.clone(),
            topic_id: topic.id,
            partitions: topic.partitions,
            owner: new_owner(),
            lease: store.options.lease,
        };
        let partitions = usize::try_from(topic.partitions).unwrap_or(usize::MAX);
        let deal = Deal::among(store.options.stage_threads.min(partitions).max(1));
        Ok(Self { store, factory, options, member, deal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(partitions: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        partitions.into_iter().collect()
    }

    #[test]
    fn a_share_is_dealt_evenly_and_what_is_dealt_stays() {
        let deal = Deal::among(2);
        let all = set(0..4);
        assert_eq!([deal.of(0, &all), deal.of(1, &all)], [set([0, 1]), set([2, 3])]);
        let half = set([0, 2]);
        assert_eq!([deal.of(0, &half), deal.of(1, &half)], [set([0]), set([2])], "half of two instances");
        let more = set([0, 4, 5, 6]);
        assert_eq!(deal.of(0, &more).len(), 2);
        assert_eq!(deal.of(1, &more).len(), 2);
        assert_eq!([deal.of(0, &all), deal.of(1, &all)], [set([0, 1]), set([2, 3])], "it comes back to where it was");
        assert_eq!(Deal::among(3).of(2, &set([])), set([]));
    }
}
