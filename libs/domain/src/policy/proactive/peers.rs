//! Peers that rise first: which series' onsets came before a series' own, within a quarter of an hour.
//!
//! Of all pairs only those are counted that occur: an onset credits the peers that rose in the bins before it, and each
//! series keeps the few that were credited most (after the counters of Misra and Gries, "Finding Repeated Elements",
//! 1982). It sees the peers of one source whose partition is the same.

use super::onset::Onsets;
use crate::slots::Slots;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// An onset is a peer's doing within so many bins.
const WITHIN_BINS: i64 = 3;

/// Peers that one series keeps.
const LEADERS_MAX: usize = 8;

/// Recent onsets that one onset credits: when a whole fleet rises at once, no one leads.
const CREDITED_MAX: usize = 64;

/// A peer leads from so many onsets that followed its own.
const FOLLOWED_MIN: u32 = 3;

/// And from this share of its own on.
const FOLLOWED_SHARE_MIN: f64 = 0.3;

/// And where that share is so many times what chance would give.
const LIFT_MIN: f64 = 3.0;

/// Onsets of a peer after which older ones count half.
const HALVED_AT: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Risen {
    times: u32,
    newest_bin: i64,
}

/// The onsets of one source's series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Peers {
    risen: Slots<Risen>,
    /// Of the last bins, in the order in which they were heard of.
    recent: VecDeque<(i64, WorkloadId)>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Leader {
    peer: WorkloadId,
    /// The peer's onsets when it was first credited.
    from_times: u32,
    followed: u32,
}

/// The peers whose onsets came before those of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Leaders(Vec<Leader>);

/// A peer that has just risen, and what followed when it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    /// The peer.
    pub peer: WorkloadId,
    /// So many of its onsets were followed by the series' own.
    pub followed: u32,
    /// Of so many.
    pub of: u32,
}

impl Peers {
    /// An onset of a series, by a few bins earlier than the newest at most; credits those that led to it.
    pub fn rise(&mut self, workload: &WorkloadId, bin: i64, leaders: &mut Leaders) {
        while self.recent.front().is_some_and(|(earlier, _)| *earlier < bin - WITHIN_BINS) {
            self.recent.pop_front();
        }
        let has_led = |earlier: i64| (bin - WITHIN_BINS..bin).contains(&earlier);
        let before = self.recent.iter().filter(|(earlier, peer)| has_led(*earlier) && peer != workload);
        for (_, peer) in before.take(CREDITED_MAX) {
            if let Some(risen) = self.risen.get(peer) {
                leaders.credit(peer, risen.times);
            }
        }
        let risen = self.risen.get_or_insert_with(workload, || Risen { times: 0, newest_bin: bin });
        *risen = Risen { times: risen.times.saturating_add(1), newest_bin: bin };
        self.recent.push_back((bin, workload.clone()));
    }

    /// Forgets the series that are not there any more.
    pub fn keep(&mut self, is_there: impl Fn(&WorkloadId) -> bool) {
        self.risen.retain(|workload, _| is_there(workload));
        self.recent.retain(|(_, workload)| is_there(workload));
    }
}

impl Leaders {
    fn credit(&mut self, peer: &WorkloadId, times: u32) {
        if let Some(leader) = self.0.iter_mut().find(|leader| leader.peer == *peer) {
            leader.followed += 1;
            if times.saturating_sub(leader.from_times) >= HALVED_AT {
                leader.followed = leader.followed.div_ceil(2);
                leader.from_times = times - HALVED_AT / 2;
            }
            return;
        }
        if self.0.len() == LEADERS_MAX {
            self.0.iter_mut().for_each(|leader| leader.followed -= 1);
            self.0.retain(|leader| leader.followed > 0);
        } else {
            self.0.push(Leader { peer: peer.clone(), from_times: times - 1, followed: 1 });
        }
    }

    /// A peer that rose within the last bins and has led to this series' onsets before. `onsets` are the series' own.
    pub fn led(&self, peers: &Peers, onsets: &Onsets, bin: i64) -> Option<Led> {
        let by_chance = onsets.per_bin() * WITHIN_BINS as f64;
        let leads = |leader: &&Leader| leader.followed >= FOLLOWED_MIN;
        let led = |leader: &Leader| {
            let risen = peers.risen.get(&leader.peer)?;
            let of = risen.times.saturating_sub(leader.from_times);
            let has_just_risen = (bin - WITHIN_BINS..=bin).contains(&risen.newest_bin)
                && onsets.newest().is_none_or(|own| own < risen.newest_bin);
            let share = f64::from(leader.followed) / f64::from(of.max(1));
            let is_no_chance = share >= FOLLOWED_SHARE_MIN.max(LIFT_MIN * by_chance);
            let is_led = has_just_risen && is_no_chance;
            is_led.then(|| (share, Led { peer: leader.peer.clone(), followed: leader.followed, of }))
        };
        let all = self.0.iter().filter(leads).filter_map(led);
        all.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, led)| led)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Leader>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::demand::DemandRing;
    use super::*;

    fn workload(name: &str) -> WorkloadId {
        WorkloadId::new(name).unwrap()
    }

    #[derive(Default)]
    struct Series {
        ring: DemandRing,
        onsets: Onsets,
        leaders: Leaders,
    }

    impl Series {
        fn take_in(&mut self, peers: &mut Peers, name: &str, bin: i64, demand: f32) -> Option<Led> {
            if self.onsets.observe(&self.ring, bin, demand, 1.0) {
                peers.rise(&workload(name), bin, &mut self.leaders);
            }
            self.ring.close(bin, Some(demand));
            self.leaders.led(peers, &self.onsets, bin)
        }
    }

    /// `front` rises at the bins, `back` two bins later wherever `follows` says so.
    fn run(bins: &[i64], follows: impl Fn(usize) -> bool) -> Vec<i64> {
        let (mut peers, mut front, mut back) = (Peers::default(), Series::default(), Series::default());
        let mut led = Vec::new();
        for bin in 0..bins.last().unwrap() + 10 {
            let high = |delay: i64, i: usize| (bins[i] + delay..bins[i] + delay + 2).contains(&bin);
            let of_front = (0..bins.len()).any(|i| high(0, i));
            let of_back = (0..bins.len()).any(|i| high(2, i) && follows(i));
            let demand = |is_high: bool| if is_high { 1.0 } else { 0.2 };
            front.take_in(&mut peers, "front", bin, demand(of_front));
            if back.take_in(&mut peers, "back", bin, demand(of_back)).is_some() {
                led.push(bin);
            }
        }
        led
    }

    const AT: [i64; 6] = [50, 131, 300, 420, 700, 1000];

    #[test]
    fn the_fourth_onset_of_a_peer_that_leads_is_known_ahead() {
        assert_eq!(run(&AT, |_| true), [420, 421, 700, 701, 1000, 1001]);
    }

    #[test]
    fn a_peer_that_is_followed_now_and_then_does_not_lead() {
        let often: Vec<i64> = (1..40).map(|n| n * 37).collect();
        assert_eq!(run(&often, |i| i % 5 == 0), Vec::<i64>::new());
    }

    #[test]
    fn series_that_are_gone_are_forgotten() {
        let mut peers = Peers::default();
        peers.rise(&workload("a"), 5, &mut Leaders::default());
        peers.keep(|_| false);
        assert_eq!(peers, Peers::default());
    }
}
