//! Who has a stage instance's name. A producer or a member that the broker calls fenced may be so
//! without anybody else: an open transaction took too long, or the answer to a request to join was
//! lost. So each run of a stage claims its name once, with a number above all before it: the
//! position of a group without members, whose name holds the instance's.

use super::port::{GroupInput, Kafka};
use super::transaction::Transactional;
use crate::dlq::dlq_topic;
use crate::error::BusError;
use crate::kafka::names::name_prefix;

/// The claims to this instance's name in a group that reads a topic.
pub(crate) struct Claims<'a, K> {
    pub(crate) kafka: &'a K,
    pub(crate) group: &'a str,
    pub(crate) topic: &'a str,
}

impl<K: Kafka> Claims<'_, K> {
    fn name(&self) -> String {
        format!("{}{}", name_prefix(self.group), self.kafka.options().instance_id)
    }

    /// The group without members whose position is the latest claim.
    pub(crate) fn held_by(&self) -> GroupInput {
        GroupInput { group: self.name(), topic: self.topic.to_owned() }
    }

    /// The highest claim; 0 when there is none.
    pub(crate) fn latest(&self) -> Result<i64, BusError> {
        let at_most = self.kafka.options().request_timeout;
        let positions = self.kafka.stable_positions(&self.name(), &dlq_topic(self.topic), &[0], at_most)?;
        Ok(positions.get(&0).map_or(0, |position| position.offset))
    }

    /// Claims the name, and sees that it has. The broker forgets positions of groups that nobody is in after a week or
    /// so, hence the clock: a later claim is above one that was forgotten.
    pub(crate) fn make(&self, producer: &Transactional<K>) -> Result<i64, BusError> {
        let claim = self.kafka.unix_ms().max(self.latest()? + 1);
        let made = producer.commit_position(self.kafka, &self.name(), &dlq_topic(self.topic), claim);
        let context = || format!("cannot claim the name of {}", self.name());
        made.map_err(|failure| failure.into_error(context()))?;
        if self.latest()? < claim {
            let message = "the broker said that it is made, and it is not".to_owned();
            return Err(BusError::Backend { context: context(), message, retryable: true });
        }
        Ok(claim)
    }
}
