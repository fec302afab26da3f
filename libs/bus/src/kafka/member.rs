//! Membership in a consumer group: which partitions this instance has, and where it starts on them.
//!
//! Rebalances are answered within the poll that brings them, on the stage's own thread. No
//! transaction is open then, because a step runs from its begin to its end without polling.

use super::access::Access;
use super::acls::{Acl, Operation};
use super::cluster::Cluster;
use super::failure::{backend, backend_needing, is_denied};
use super::messages::{consumed, passes_by_itself, report};
use super::options::ConsumerUse;
use super::protocol::port::{self, Member};
use super::protocol::provenance::{Position, Provenance};
use crate::error::BusError;
use crate::wait::answered_within;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type MemberEvent = port::MemberEvent<Arc<ConsumerGroupMetadata>>;

struct Rebalances {
    events: Mutex<VecDeque<MemberEvent>>,
    /// Partitions were revoked, and what is assigned after that was not told yet. That comes at once, even if it is
    /// nothing, and then the client joins again by itself.
    rejoins: AtomicBool,
    request_timeout: Duration,
    access: Arc<Access>,
}

impl ClientContext for Rebalances {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        self.access.heard(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.access.token()
    }
}

/// Where partitions begin, by topic and number.
type Starts = Vec<(String, i32, Position)>;

impl Rebalances {
    fn new(cluster: &Cluster) -> Self {
        let request_timeout = cluster.options.request_timeout;
        let (events, rejoins) = (Mutex::default(), AtomicBool::default());
        Self { events, rejoins, request_timeout, access: Arc::clone(&cluster.access) }
    }

    fn push(&self, event: MemberEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    fn pop(&self) -> Option<MemberEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Where the group stands on partitions: at its position, never silently at the end. A
    /// position that waits for an open transaction is waited for.
    fn starts(&self, consumer: &BaseConsumer<Self>, new: &TopicPartitionList) -> KafkaResult<Starts> {
        if new.count() == 0 {
            return Ok(Vec::new());
        }
        let committed = consumer.committed_offsets(new.clone(), self.request_timeout * 3)?;
        let mut starts = Vec::new();
        for element in committed.elements() {
            element.error()?;
            let (topic, partition) = (element.topic(), element.partition());
            let (oldest, end) = consumer.fetch_watermarks(topic, partition, self.request_timeout)?;
            let start = match element.offset() {
                Offset::Offset(position) if position < oldest => {
                    tracing::warn!(
                        topic,
                        partition,
                        from = position,
                        first = oldest,
                        "these offsets are no longer kept (retention); the stage goes on at the oldest one"
                    );
                    oldest
                }
                Offset::Offset(position) => position,
                _ => oldest,
            };
            if start > end {
                tracing::error!(
                    topic,
                    partition,
                    start,
                    end,
                    "the group's position lies beyond the end of the topic: was the topic made anew? reset the group's offsets"
                );
                return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetOutOfRange));
            }
            let provenance = Provenance::decode(element.metadata());
            starts.push((topic.to_owned(), partition, Position { offset: start, provenance }));
        }
        Ok(starts)
    }

    /// What there is to know of an assignment. It is asked for before the assignment is answered: until then the
    /// group cannot go on, so it is all of one generation.
    fn told_of(
        &self,
        consumer: &BaseConsumer<Self>,
        new: &TopicPartitionList,
    ) -> KafkaResult<(Starts, Starts, Option<ConsumerGroupMetadata>)> {
        let membership = consumer.group_metadata();
        let kept = consumer.assignment()?;
        Ok((self.starts(consumer, new)?, self.starts(consumer, &kept)?, membership))
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, new: &TopicPartitionList) -> KafkaResult<()> {
        let rejoins = self.rejoins.swap(false, Ordering::Relaxed);
        let (starts, kept, membership) = match self.told_of(consumer, new) {
            Ok(told) => told,
            Err(error) => {
                // The assignment must be answered all the same, or the client cannot be closed.
                consumer.incremental_assign(new)?;
                return Err(error);
            }
        };
        let mut from = TopicPartitionList::new();
        for (topic, partition, position) in &starts {
            from.add_partition_offset(topic, *partition, Offset::Offset(position.offset))?;
        }
        consumer.incremental_assign(&from)?;
        let partition = |partition| u32::try_from(partition).unwrap_or_default();
        for (_, kept, position) in kept {
            self.push(MemberEvent::Kept { partition: partition(kept), position: position.offset, rejoins });
        }
        for (_, new, position) in starts {
            self.push(MemberEvent::Assigned(partition(new), position));
        }
        if let Some(membership) = membership {
            self.push(MemberEvent::Joined(Arc::new(membership)));
        }
        Ok(())
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let answered = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.rejoins.store(true, Ordering::Relaxed);
                for element in partitions.elements() {
                    if let Ok(partition) = u32::try_from(element.partition()) {
                        self.push(MemberEvent::Revoked(partition));
                    }
                }
                consumer.incremental_unassign(partitions)
            }
            other => consumer.unassign().and(Err(KafkaError::Rebalance(other.into()))),
        };
        if let Err(error) = answered {
            self.push(MemberEvent::Broken(format!("cannot take part in the group: {error}")));
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(100).into()
    }
}

/// A client that has joined a group.
///
/// librdkafka can be so long in closing one, or for ever, that the instance would be lost with it. So that is done
/// on a thread of its own, which is left behind then, and the member with it: the group gives it up.
struct GroupClient {
    /// Only the drop takes it.
    consumer: Option<BaseConsumer<Rebalances>>,
    group: String,
    /// After this the group has given up a member of which it has not heard.
    session_timeout: Duration,
}

impl GroupClient {
    fn join(
        cluster: &Cluster,
        config: &ClientConfig,
        group: &str,
        topic: &str,
        context: &str,
    ) -> Result<Self, BusError> {
        let consumer: BaseConsumer<Rebalances> =
            config.create_with_context(Rebalances::new(cluster)).map_err(|e| backend(context, &e))?;
        let options = &cluster.options;
        consumer.subscribe(&[&options.prefixed(topic)]).map_err(|e| backend(context, &e))?;
        Ok(Self { consumer: Some(consumer), group: group.to_owned(), session_timeout: options.session_timeout() })
    }

    fn poll(&self, wait: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.as_ref()?.poll(wait)
    }

    fn told(&self) -> Option<MemberEvent> {
        self.consumer.as_ref()?.context().pop()
    }

    /// Whether the broker told that another instance has this one's name.
    fn is_fenced(&self) -> bool {
        let fatal = self.consumer.as_ref().and_then(|consumer| consumer.client().fatal_error());
        fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
    }
}

impl Drop for GroupClient {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        if answered_within(self.session_timeout, "bus-leaving", move || drop(consumer)).is_none() {
            tracing::warn!(group = self.group, "the client does not close, and is left behind");
        }
    }
}

/// Makes the group share its partitions out again, by joining it for a moment without a name.
pub(super) fn share_out_again(cluster: &Cluster, group: &str, topic: &str) -> Result<(), BusError> {
    let options = &cluster.options;
    let context = format!("cannot make group {group} share its partitions out again");
    let mut config = options.consumer(&options.prefixed(group), ConsumerUse::Member);
    config.remove("group.instance.id");
    let guest = GroupClient::join(cluster, &config, group, topic, &context)?;
    let deadline = Instant::now() + options.request_timeout;
    while Instant::now() < deadline && guest.told().is_none() {
        drop(guest.poll(Duration::from_millis(100)));
    }
    Ok(())
}

/// A member of a stage's group, by a client of its own.
pub(super) struct ClientMember {
    client: GroupClient,
    topic: Arc<str>,
    needed: [Acl; 2],
}

impl ClientMember {
    pub(super) fn join(cluster: &Cluster, group: &str, topic: &str) -> Result<Self, BusError> {
        let options = &cluster.options;
        let config = options.consumer(&options.prefixed(group), ConsumerUse::Member);
        let client = GroupClient::join(cluster, &config, group, topic, &format!("cannot join group {group}"))?;
        let needed = [
            Acl::group(Operation::Read, options.prefixed(group)),
            Acl::topic(Operation::Read, options.prefixed(topic)),
        ];
        Ok(Self { client, topic: Arc::from(topic), needed })
    }
}

impl Member for ClientMember {
    type Membership = Arc<ConsumerGroupMetadata>;

    fn poll(&self, wait: Duration) -> Option<MemberEvent> {
        if let Some(event) = self.told() {
            return Some(event);
        }
        match self.client.poll(wait) {
            None => self.told(),
            Some(Ok(message)) => Some(MemberEvent::Record(consumed(&self.topic, &message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                Some(MemberEvent::End(u32::try_from(partition).unwrap_or_default()))
            }
            Some(Err(_)) if self.client.is_fenced() => Some(MemberEvent::Fenced),
            Some(Err(error)) if passes_by_itself(&error) => {
                tracing::debug!(%error, topic = %self.topic, "Kafka; the client reconnects by itself");
                None
            }
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_denied) => {
                let context = format!("cannot read topic {:?} as a member of the group", self.topic);
                Some(MemberEvent::Denied(backend_needing(context, &error, &self.needed)))
            }
            Some(Err(error)) => Some(MemberEvent::Broken(error.to_string())),
        }
    }

    fn told(&self) -> Option<MemberEvent> {
        self.client.told()
    }
}
