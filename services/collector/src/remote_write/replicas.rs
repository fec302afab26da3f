//! Replicas of one Prometheus: which is taken, by the labels that tell them apart, and where they differ.

use crate::config::ReplicasConfig;
use crate::receiver::series::SeriesOf;
use prescale_domain::stream::replicas::{Choice, Replicas};
use prescale_domain::time::EventTime;

/// Of more clusters nothing is taken.
const CLUSTERS_MAX: usize = 10_000;
/// A replica has sent all of its series once it is taken for so long, in milliseconds.
const COMPLETE_AFTER_MS: i64 = 300_000;
/// Differences are told once in so long, in milliseconds.
const TOLD_EVERY_MS: i64 = 600_000;

/// Chooses between replicas.
pub(super) struct Chooser {
    labels: ReplicasConfig,
    replicas: Replicas,
    told_at: Option<EventTime>,
}

/// What becomes of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is taken.
    Taken,
    /// One of another replica is.
    Spare {
        /// Whether that one should have it by now.
        is_compared: bool,
    },
    /// It is of more clusters than there may be.
    TooMany,
}

impl Chooser {
    /// By the labels that tell replicas apart.
    pub(super) fn new(labels: ReplicasConfig) -> Self {
        let replicas = Replicas::new(labels.silence_s, CLUSTERS_MAX);
        Self { labels, replicas, told_at: None }
    }

    /// What becomes of a series that came `now`. The label that names the replica is gone then: it is the same series
    /// whoever sends it.
    pub(super) fn standing(&mut self, series: &mut SeriesOf<'_>, now: EventTime) -> Standing {
        let Self { labels, replicas, .. } = self;
        let value = |name: &str| series.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value);
        if labels.replica_label.is_empty() {
            return Standing::Taken;
        }
        let Some(replica) = value(&labels.replica_label) else { return Standing::Taken };
        let cluster = value(&labels.cluster_label).unwrap_or_default();
        let choice = replicas.choose(cluster, replica, now);
        if let Choice::InsteadOf(before) = &choice {
            metrics::counter!("prescale_collector_remote_write_replica_switches_total").increment(1);
            tracing::warn!(cluster, "replica {before} is silent: replica {replica} is taken instead");
        }
        series.labels.retain(|(label, _)| *label != labels.replica_label);
        match choice {
            Choice::Taken | Choice::InsteadOf(_) => Standing::Taken,
            Choice::Spare { since } => {
                Standing::Spare { is_compared: now.as_ms() - since.as_ms() >= COMPLETE_AFTER_MS }
            }
            Choice::TooMany => Standing::TooMany,
        }
    }

    /// Tells of so many series that only a replica has which is not taken.
    pub(super) fn tell(&mut self, differing: u64, now: EventTime) {
        if differing == 0 {
            return;
        }
        metrics::counter!("prescale_collector_remote_write_replica_differences_total").increment(differing);
        if self.told_at.is_none_or(|told_at| now.as_ms() - told_at.as_ms() >= TOLD_EVERY_MS) {
            self.told_at = Some(now);
            tracing::warn!("replicas differ: one that is not taken sends {differing} series that the other does not");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::series::FloatSample;

    fn chooser() -> Chooser {
        Chooser::new(ReplicasConfig::default())
    }

    fn series<'a>(labels: &[(&'a str, &'a str)]) -> SeriesOf<'a> {
        SeriesOf { labels: labels.to_vec(), samples: vec![FloatSample::new(1000, 1.0)] }
    }

    #[test]
    fn the_replica_is_chosen_by_its_label_which_is_dropped() {
        let mut chooser = chooser();
        let mut standing = |replica: &str, at_s: i64| {
            let mut series = series(&[("__name__", "up"), ("cluster", "eu"), ("__replica__", replica)]);
            let standing = chooser.standing(&mut series, EventTime::from_s(at_s));
            assert_eq!(series.labels, [("__name__", "up"), ("cluster", "eu")]);
            standing
        };
        assert_eq!(standing("a", 0), Standing::Taken);
        assert_eq!(standing("b", 29), Standing::Spare { is_compared: false });
        assert_eq!(standing("b", 30), Standing::Taken);
        assert_eq!(standing("b", 320), Standing::Taken);
        assert_eq!(standing("a", 330), Standing::Spare { is_compared: true });
    }

    #[test]
    fn series_without_the_label_are_taken_and_so_are_all_where_it_is_not_asked_for() {
        let mut bare = series(&[("__name__", "up"), ("cluster", "eu")]);
        assert_eq!(chooser().standing(&mut bare, EventTime::from_s(0)), Standing::Taken);
        let off = ReplicasConfig { replica_label: String::new(), ..ReplicasConfig::default() };
        let mut chooser = Chooser::new(off);
        for replica in ["a", "b"] {
            let mut series = series(&[("__replica__", replica)]);
            assert_eq!(chooser.standing(&mut series, EventTime::from_s(0)), Standing::Taken);
            assert_eq!(series.labels, [("__replica__", replica)]);
        }
    }
}
