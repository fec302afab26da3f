//! Who has a stage instance's name. A producer or a member that the broker calls fenced may be so
//! without anybody else: an open transaction took too long, or the answer to a request to join was
//! lost. So each run of a stage claims its name once, with a number above all before it: the
//! position of a group without members, whose name holds the instance's.

use super::cluster::Cluster;
use super::transaction::{TransactionFailure, Transactional};
use crate::dlq::dlq_topic;
use crate::error::BusError;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the names of the groups begin with that hold the claims to a group's instances' names.
pub(super) fn name_prefix(group: &str) -> String {
    format!("{group}.name.")
}

/// The claims to this instance's name in a group that reads a topic.
pub(super) struct Claims<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
}

impl Claims<'_> {
    fn name(&self) -> String {
        format!("{}{}", name_prefix(self.group), self.cluster.options.instance_id)
    }

    /// The highest claim; 0 when there is none.
    pub(super) fn latest(&self) -> Result<i64, BusError> {
        let at_most = self.cluster.options.request_timeout;
        let positions = self.cluster.stable_positions(&self.name(), &dlq_topic(self.topic), [0], at_most)?;
        Ok(positions.get(&0).map_or(0, |position| position.offset))
    }

    /// Claims the name. The broker forgets positions of groups that nobody is in after a week or
    /// so, hence the clock: a later claim is above one that was forgotten.
    pub(super) fn make(&self, producer: &Transactional) -> Result<i64, BusError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claim = i64::try_from(since.as_millis()).unwrap_or_default().max(self.latest()? + 1);
        let made = producer.commit_position(self.cluster, &self.name(), &dlq_topic(self.topic), claim);
        made.map_err(|failure| match failure {
            TransactionFailure::Refused(error) => error,
            TransactionFailure::Aborted(message)
            | TransactionFailure::Fenced(message, _)
            | TransactionFailure::Unknown(message, _) => {
                let context = format!("cannot claim the name of {}", self.name());
                BusError::Backend { context, message, retryable: true }
            }
        })?;
        Ok(claim)
    }
}
