//! Which of several replicas is taken, where each sends all of the same series: two Prometheus servers with one
//! configuration, say. Their series would count twice.
//!
//! The first that sends is taken as long as it does; when it has been silent for so long, the next that sends takes its
//! place. So within that time nobody but one is taken. Instants are those of arrival, as they are handed in.

use crate::time::EventTime;
use std::collections::HashMap;
use std::sync::Arc;

/// The replicas of many clusters, each by its name.
#[derive(Clone, Debug)]
pub struct Replicas {
    silence_ms: i64,
    clusters_max: usize,
    clusters: HashMap<Arc<str>, Elected>,
}

#[derive(Clone, Debug)]
struct Elected {
    replica: Arc<str>,
    since: EventTime,
    heard_at: EventTime,
}

/// What becomes of what a replica sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is the one that is taken.
    Taken,
    /// It is taken from now on, since another was silent.
    InsteadOf(Arc<str>),
    /// Another one is taken.
    Spare {
        /// Since when.
        since: EventTime,
    },
    /// Nothing: it is of one more cluster than there may be.
    TooMany,
}

impl Replicas {
    /// A replica that is silent for `silence_s` seconds loses its place; of more than `clusters_max` clusters nothing is
    /// taken.
    pub fn new(silence_s: u32, clusters_max: usize) -> Self {
        Self { silence_ms: i64::from(silence_s) * 1000, clusters_max, clusters: HashMap::new() }
    }

    /// What becomes of what a replica of a cluster has sent `now`.
    pub fn choose(&mut self, cluster: &str, replica: &str, now: EventTime) -> Choice {
        let silence_ms = self.silence_ms;
        let is_silent = |heard_at: EventTime| now.as_ms() - heard_at.as_ms() >= silence_ms;
        if let Some(elected) = self.clusters.get_mut(cluster) {
            if *elected.replica == *replica {
                // A clock that is set back does not make it silent.
                elected.heard_at = elected.heard_at.max(now);
                return Choice::Taken;
            }
            if !is_silent(elected.heard_at) {
                return Choice::Spare { since: elected.since };
            }
            let before = std::mem::replace(elected, Elected { replica: replica.into(), since: now, heard_at: now });
            return Choice::InsteadOf(before.replica);
        }
        if self.clusters.len() >= self.clusters_max {
            self.clusters.retain(|_, elected| !is_silent(elected.heard_at));
        }
        if self.clusters.len() >= self.clusters_max {
            return Choice::TooMany;
        }
        self.clusters.insert(cluster.into(), Elected { replica: replica.into(), since: now, heard_at: now });
        Choice::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_is_taken_until_it_is_silent() {
        let mut replicas = Replicas::new(30, 9);
        let mut choose = |replica: &str, at_s: i64| replicas.choose("eu", replica, EventTime::from_s(at_s));
        assert_eq!(choose("a", 100), Choice::Taken);
        assert_eq!(choose("b", 110), Choice::Spare { since: EventTime::from_s(100) });
        assert_eq!(choose("a", 120), Choice::Taken);
        assert_eq!(choose("b", 149), Choice::Spare { since: EventTime::from_s(100) });
        assert_eq!(choose("b", 150), Choice::InsteadOf("a".into()));
        assert_eq!(choose("a", 151), Choice::Spare { since: EventTime::from_s(150) });
        assert_eq!(choose("b", 152), Choice::Taken);
    }

    #[test]
    fn a_clock_that_is_set_back_changes_nothing() {
        let mut replicas = Replicas::new(30, 9);
        let mut choose = |replica: &str, at_s: i64| replicas.choose("eu", replica, EventTime::from_s(at_s));
        assert_eq!((choose("a", 100), choose("a", 50)), (Choice::Taken, Choice::Taken));
        assert_eq!(choose("b", 90), Choice::Spare { since: EventTime::from_s(100) });
    }

    #[test]
    fn clusters_have_nothing_to_do_with_each_other_and_have_a_bound() {
        let mut replicas = Replicas::new(30, 2);
        let mut choose = |cluster: &str, at_s: i64| replicas.choose(cluster, cluster, EventTime::from_s(at_s));
        assert_eq!((choose("a", 0), choose("b", 10)), (Choice::Taken, Choice::Taken));
        assert_eq!((choose("c", 20), choose("b", 20)), (Choice::TooMany, Choice::Taken));
        assert_eq!(choose("c", 30), Choice::Taken, "the first is silent");
        assert_eq!(choose("a", 31), Choice::TooMany);
    }

    proptest! {
        #[test]
        fn within_the_silence_one_is_taken(sent in prop::collection::vec((0..3usize, 0..40_i64), 1..200)) {
            let (mut replicas, mut now_s, mut taken) = (Replicas::new(30, 9), 1000, Vec::<(i64, usize)>::new());
            for (replica, later_s) in sent {
                now_s += later_s;
                let choice = replicas.choose("eu", &replica.to_string(), EventTime::from_s(now_s));
                prop_assert!(choice != Choice::TooMany);
                if matches!(choice, Choice::Taken | Choice::InsteadOf(_)) {
                    for (at_s, other) in &taken {
                        prop_assert!(*other == replica || now_s - at_s >= 30, "{replica} at {now_s}: {taken:?}");
                    }
                    taken.push((now_s, replica));
                }
            }
            prop_assert!(!taken.is_empty());
        }
    }
}
