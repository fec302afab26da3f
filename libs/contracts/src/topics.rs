//! The topic table: names, subjects and clean-up of every topic of Prescale.

/// Values of series as they were pushed, of which samples are made.
pub const RAW_POINTS: &str = "raw-points";
/// KPIs of one workload at one instant.
pub const RAW_KPIS: &str = "raw-kpis";
/// Feature vectors over the short and the long window.
pub const FINGERPRINTS: &str = "fingerprints";
/// Forecasts of demand.
pub const PREDICTIONS: &str = "predictions";
/// The newest forecast of each workload.
pub const PREDICTIONS_LATEST: &str = "predictions-latest";
/// What the members of a group in one partition add up to; the key is the group's name.
pub const GROUP_PARTS: &str = "group-parts";
/// Forecasts of groups of workloads; the key is the group's name.
pub const GROUP_PREDICTIONS: &str = "group-predictions";
/// What planners would do and see, what operators order, and what the governor held; the key is the fleet.
pub const PROPOSALS: &str = "proposals";
/// The orders of operators that stand; the key is their scope.
pub const CONTROL: &str = "control";
/// Capacity that workloads should have, and why.
pub const ACTIONS: &str = "actions";
/// What the cloud said to the actions.
pub const ACTION_RESULTS: &str = "action-results";
/// What hours of workloads came to: the capacity as it was, the plan and the reactive rule on the demand that came.
pub const OUTCOMES: &str = "outcomes";
/// How the forecasts of hours of workloads did, against what came.
pub const FORECAST_SCORES: &str = "forecast-scores";
/// Workloads that ask for a trained family to be trained anew; the key is the family.
pub const RETRAINING: &str = "retraining";
/// What versions on trial lose beside those in use; the key is the family.
pub const TRIALS: &str = "trials";
/// What became of trials; the key is the family.
pub const MODEL_DECISIONS: &str = "model-decisions";
/// Stretches of unusual behaviour.
pub const ANOMALIES: &str = "anomalies";
/// The same, told to the fleet; the key is the fleet.
pub const ALARMS: &str = "alarms";
/// Anomalies that are one event; the key is the fleet.
pub const INCIDENTS: &str = "incidents";

const DAY_MS: i64 = 86_400_000;
const DLQ_SUFFIX: &str = ".dlq";

/// How long a topic keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Records older than this are deleted.
    Delete {
        /// Age, in milliseconds.
        retention_ms: i64,
    },
    /// The newest record of each key is kept.
    Compact,
}

/// One topic; every key is the workload id, or the name of the group, the fleet, the scope or the family that records are
/// about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicContract {
    /// Name.
    pub name: String,
    /// Subject of its schema by TopicNameStrategy; `None` for a dead letter queue, whose records
    /// are the bytes that came.
    pub subject: Option<String>,
    /// How long records are kept.
    pub retention: Retention,
    /// What one record says.
    pub says: &'static str,
}

/// Name of a topic's dead letter queue.
pub fn dlq_of(topic: &str) -> String {
    format!("{topic}{DLQ_SUFFIX}")
}

/// The topic whose dead letter queue this is; the topic itself when it is none.
pub(crate) fn topic_of_dlq(topic: &str) -> &str {
    topic.strip_suffix(DLQ_SUFFIX).unwrap_or(topic)
}

/// Whether a topic also takes records of producers that set no CloudEvents headers. Everywhere else a record without
/// them cannot be used.
pub fn takes_foreign(topic: &str) -> bool {
    topic == RAW_KPIS
}

/// Subject of a topic's values by TopicNameStrategy.
pub fn subject_of(topic: &str) -> String {
    format!("{topic}-value")
}

/// Every topic, each followed by its dead letter queue.
pub fn table() -> Vec<TopicContract> {
    let days = |n: i64| Retention::Delete { retention_ms: n * DAY_MS };
    [
        (RAW_POINTS, days(1), "the value of one series of a workload at an instant, or that the series has ended"),
        (RAW_KPIS, days(7), "the KPIs of one workload at one instant"),
        (
            FINGERPRINTS,
            days(7),
            "when a bin closes, the feature vector of the short and the long window; between, the newest values alone",
        ),
        (PREDICTIONS, days(7), "per resource and horizon: quantiles, interval, model, its trailing coverage"),
        (PREDICTIONS_LATEST, Retention::Compact, "the newest prediction of each workload"),
        (GROUP_PARTS, days(7), "what the members of a group that lie in one partition add up to, as of one bin"),
        (
            GROUP_PREDICTIONS,
            days(7),
            "per resource and horizon of a group: quantiles, interval, members, trailing coverage",
        ),
        (
            PROPOSALS,
            days(7),
            "what a planner would do or sees of a fleet, what an operator orders, what the governor held",
        ),
        (CONTROL, Retention::Compact, "the newest order of operators for a scope"),
        (ACTIONS, days(30), "the desired capacity, why, by which policy, from which prediction, valid until when"),
        (ACTION_RESULTS, days(30), "what the cloud said and when it took effect"),
        (OUTCOMES, days(30), "what an hour's capacity, plan and reactive rule were worth on the demand that came"),
        (FORECAST_SCORES, days(30), "how an hour's forecasts did: pinball loss, coverage, drift, rivals' losses"),
        (
            RETRAINING,
            days(30),
            "that a workload's forecasts by a trained family got worse for good, since when, by how much",
        ),
        (TRIALS, days(30), "what a version on trial lost in an hour of a workload beside the one in use"),
        (MODEL_DECISIONS, days(30), "what became of a trial, with the numbers that led to it"),
        (ANOMALIES, days(30), "p-value, severity, KPIs to blame, start, end"),
        (ALARMS, days(30), "an anomaly of one of its workloads"),
        (INCIDENTS, days(30), "anomalies that are one event, its beginning and its end"),
    ]
    .into_iter()
    .flat_map(|(name, retention, says)| {
        let topic = TopicContract { name: name.to_owned(), subject: Some(subject_of(name)), retention, says };
        let dlq = TopicContract {
            name: dlq_of(name),
            subject: None,
            retention: days(30),
            says: "the bytes that could not be used, with __connect.errors.* headers",
        };
        [topic, dlq]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_topic_has_a_dead_letter_queue_and_appears_once() {
        let table = table();
        let names: BTreeSet<&str> = table.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names.len(), table.len());
        assert_eq!(table.len(), 38);
        for topic in table.iter().filter(|t| t.subject.is_some()) {
            assert!(names.contains(dlq_of(&topic.name).as_str()), "{}", topic.name);
            assert_eq!(topic.subject.as_deref(), Some(subject_of(&topic.name).as_str()));
        }
        assert_eq!(table.iter().filter(|t| t.retention == Retention::Compact).count(), 2);
    }

    #[test]
    fn only_samples_are_taken_without_headers() {
        let open: Vec<String> =
            table().into_iter().map(|topic| topic.name).filter(|name| takes_foreign(name)).collect();
        assert_eq!(open, [RAW_KPIS]);
    }

    #[test]
    fn a_dead_letter_queue_leads_back_to_its_topic() {
        assert_eq!(topic_of_dlq(&dlq_of(ACTIONS)), ACTIONS);
        assert_eq!(topic_of_dlq(ACTIONS), ACTIONS);
    }
}
