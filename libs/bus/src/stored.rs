//! What lies stored of a stage's states, looked at from outside: nothing is opened, made or moved that a stage has. And
//! what is to be said of a state that the log's records have made again.

use crate::record::ConsumedRecord;
use crate::stage::{Reach, Stage, StageFactory};
use crate::state_schema::StateSchema;

/// What is stored of a group's state of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The partition.
    pub partition: u32,
    /// What its snapshot was made by; the reason where that cannot be read, `None` where there is no snapshot.
    pub schema: Option<Result<StateSchema, String>>,
    /// What the log has to make it again from; `None` where that cannot be seen from here.
    pub log: Option<KeptLog>,
}

/// What the log has of a partition, and how far a group is with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLog {
    /// The oldest offset kept.
    pub oldest: i64,
    /// When the oldest record kept was appended, in milliseconds since the Unix epoch; `None` without one.
    pub oldest_appended_at_ms: Option<i64>,
    /// When the newest record was.
    pub newest_appended_at_ms: Option<i64>,
    /// Next offset that the group will read.
    pub position: i64,
}

impl KeptLog {
    /// How many records a state is made again from.
    pub fn records(&self) -> u64 {
        u64::try_from(self.position - self.oldest).unwrap_or(0)
    }

    /// The time that what is kept spans, in seconds.
    pub fn span_s(&self) -> u64 {
        let span_ms =
            self.newest_appended_at_ms.zip(self.oldest_appended_at_ms).map(|(newest, oldest)| newest - oldest);
        u64::try_from(span_ms.unwrap_or(0) / 1000).unwrap_or(0)
    }

    /// Whether records are gone that the state followed from.
    pub fn has_lost_some(&self) -> bool {
        self.oldest > 0
    }

    /// What of these cannot be made again whole: it reaches further back than what is kept, and some is gone.
    pub fn cannot_give(&self, reach: &[Reach]) -> Vec<Reach> {
        let further = |reach: &&Reach| self.has_lost_some() && reach.records_s > self.span_s();
        reach.iter().filter(further).copied().collect()
    }
}

/// Under which settings the newest records of a partition were applied the first time, of those that lead to a state
/// without shaping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// [`StateSchema::terms_checksum`].
    pub(crate) checksum: u32,
    /// All records from this offset on were applied under them.
    pub(crate) since: i64,
}

/// Records that are applied a second time to restore a state.
pub(crate) struct Repetition {
    /// Whether there was no snapshot to begin with, so that the whole state is made again.
    is_whole: bool,
    /// What the snapshot was made by, also one that cannot be used, as far as that can be read.
    before: Option<StateSchema>,
    /// What is known of the first time, whoever that was.
    first: Option<Terms>,
    /// The records that were applied.
    log: Option<KeptLog>,
}

impl Repetition {
    pub(crate) fn new(is_whole: bool, before: Option<StateSchema>) -> Self {
        Self { is_whole, before, first: None, log: None }
    }

    /// With what the group's position tells of the first time. Where instances keep snapshots of their own, the snapshot
    /// does not tell of what others applied after it.
    pub(crate) fn of_first(self, first: Option<Terms>) -> Self {
        Self { first, ..self }
    }

    /// Takes note of records that are applied, in their order.
    pub(crate) fn hear(&mut self, batch: &[ConsumedRecord]) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        let log = self.log.get_or_insert(KeptLog {
            oldest: first.offset,
            oldest_appended_at_ms: Some(first.appended_at_ms),
            newest_appended_at_ms: None,
            position: first.offset,
        });
        (log.newest_appended_at_ms, log.position) = (Some(last.appended_at_ms), last.offset + 1);
    }

    /// Tells of a state that was made again and what it may lack; and the stage, where it decided on the way under
    /// other terms than those of then. Whether the state is now one of other terms than the snapshot, so that it is to
    /// be stored before anything new is applied: a later restart must not take new records for old ones.
    #[must_use]
    pub(crate) fn end(self, factory: &dyn StageFactory, partition: u32, stage: &mut dyn Stage) -> bool {
        let now = StateSchema::from(factory.state_schema().as_str());
        let other = self.before.map(|before| before.changes_of_terms(&now)).unwrap_or_default();
        let Some(log) = self.log else { return !other.is_empty() };
        let is_other = |first: Terms| first.checksum != now.terms_checksum() || first.since > log.oldest;
        let is_other_elsewhere = self.first.is_some_and(is_other);
        if self.is_whole {
            let lacks: Vec<&str> = log.cannot_give(&factory.reach()).iter().map(|reach| reach.what).collect();
            tracing::warn!(
                stage = factory.name(),
                partition,
                records = log.records(),
                log_s = log.span_s(),
                lacks = lacks.join(", "),
                "the state was made again from the log; what it lacks reaches further back than the log"
            );
        }
        if other.is_empty() && !is_other_elsewhere {
            return false;
        }
        let mut other: Vec<String> = other.iter().map(ToString::to_string).collect();
        if other.is_empty() {
            other.push("another instance had others".to_owned());
        }
        tracing::warn!(
            stage = factory.name(),
            partition,
            other = other.join("; "),
            "records were applied again under other settings than the first time"
        );
        stage.repeated_under_other_terms();
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stage::{Outcome, StageFailure};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Under rules of a name.
    pub(crate) struct Ruled(pub(crate) &'static str);

    #[derive(Default)]
    struct Hearing(Arc<AtomicBool>);

    impl StageFactory for Ruled {
        fn name(&self) -> &'static str {
            "ruled"
        }

        fn input_topic(&self) -> Arc<str> {
            "topic".into()
        }

        fn output_topics(&self) -> Vec<Arc<str>> {
            Vec::new()
        }

        fn state_schema(&self) -> String {
            StateSchema::of("ruled", 1).made_under("rules", self.0).to_string()
        }

        fn create(&self, _partition: u32) -> Box<dyn Stage> {
            Box::new(Hearing::default())
        }

        fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
            Ok(self.create(partition))
        }
    }

    impl Stage for Hearing {
        fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
            Ok(batch.iter().map(|_| Outcome::Drop("heard")).collect())
        }

        fn snapshot(&self) -> Vec<u8> {
            Vec::new()
        }

        fn repeated_under_other_terms(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn record(offset: i64, appended_at_ms: i64) -> ConsumedRecord {
        ConsumedRecord {
            topic: "topic".into(),
            partition: 0,
            offset,
            appended_at_ms,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_stage_hears_of_records_applied_again_under_other_terms() {
        let before = |rules| Some(StateSchema::from(Ruled(rules).state_schema().as_str()));
        let heard = |is_whole, before, batch: &[ConsumedRecord]| {
            let mut stage = Hearing::default();
            let mut repetition = Repetition::new(is_whole, before);
            repetition.hear(batch);
            let is_to_be_stored = repetition.end(&Ruled("now"), 0, &mut stage);
            (stage.0.load(Ordering::Relaxed), is_to_be_stored)
        };
        let batch = [record(7, 1000), record(8, 3000)];
        assert_eq!([heard(true, before("then"), &batch), heard(false, before("then"), &batch)], [(true, true); 2]);
        assert_eq!(heard(true, before("now"), &batch), (false, false), "they are the same");
        assert_eq!(heard(true, None, &batch), (false, false), "they are not known");
        assert_eq!(heard(false, before("then"), &[]), (false, true), "nothing was applied again");
    }

    #[test]
    fn a_stage_hears_of_records_that_another_instance_applied_under_other_terms() {
        let schema = |rules| StateSchema::from(Ruled(rules).state_schema().as_str());
        let under = |rules, since| Some(Terms { checksum: schema(rules).terms_checksum(), since });
        let heard = |first: Option<Terms>, batch: &[ConsumedRecord]| {
            let mut stage = Hearing::default();
            let mut repetition = Repetition::new(false, Some(schema("now"))).of_first(first);
            repetition.hear(batch);
            let is_to_be_stored = repetition.end(&Ruled("now"), 0, &mut stage);
            (stage.0.load(Ordering::Relaxed), is_to_be_stored)
        };
        let batch = [record(7, 1000), record(8, 3000)];
        assert_eq!([heard(under("now", 3), &batch), heard(under("now", 7), &batch)], [(false, false); 2]);
        assert_eq!(heard(under("now", 8), &batch), (true, true), "the first of them was applied under others");
        assert_eq!(heard(under("then", 3), &batch), (true, true));
        assert_eq!(heard(None, &batch), (false, false), "they are not known");
        assert_eq!(heard(under("then", 3), &[]), (false, false), "nothing was applied again");
    }

    #[test]
    fn what_reaches_further_back_than_what_is_kept_is_lacking_only_where_some_is_gone() {
        let reach = [Reach { what: "a minute", records_s: 60 }, Reach { what: "an hour", records_s: 3600 }];
        let lacking = |first: i64| -> Vec<&str> {
            let mut repetition = Repetition::new(true, None);
            repetition.hear(&[record(first, 0), record(first + 1, 100_000)]);
            repetition.hear(&[record(first + 2, 600_000)]);
            let log = repetition.log.expect("it heard some");
            assert_eq!((log.records(), log.span_s()), (3, 600));
            log.cannot_give(&reach).iter().map(|reach| reach.what).collect()
        };
        assert_eq!(lacking(0), [""; 0]);
        assert_eq!(lacking(5), ["an hour"]);
    }
}
