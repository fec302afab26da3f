//! What the cluster has: topics and partitions, ends of logs, positions of groups.

use super::access::Access;
use super::acls::{Acl, Operation};
use super::failure::{backend, backend_needing};
use super::messages::Reporting;
use super::names::{READERS, SOURCE_POSITIONS};
use super::options::{ConsumerUse, KafkaOptions};
use crate::error::BusError;
use crate::topic::{Cleanup, TopicSpec};
use crate::wait::{asked_again, block_on};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a client that is not in use waits for what it is to be told.
const EVENTS_WAIT: Duration = Duration::from_millis(100);

/// A partition number as librdkafka has it.
pub(super) fn raw(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// A client that asks and reads nothing.
pub(super) type Inspector = BaseConsumer<Reporting>;

/// The cluster, seen by clients that are part of no group.
pub(super) struct Cluster {
    pub(super) options: KafkaOptions,
    pub(super) access: Arc<Access>,
    /// By group, and by whether they see only what is committed.
    inspectors: Mutex<BTreeMap<(String, bool), Arc<Inspector>>>,
    partitions: Mutex<BTreeMap<String, u32>>,
}

impl Cluster {
    /// Connects, so that a wrong address is found here and not later.
    pub(super) fn connect(options: KafkaOptions) -> Result<Self, BusError> {
        let access = Arc::new(Access::new(&options.security));
        let cluster = Self { options, access, inspectors: Mutex::default(), partitions: Mutex::default() };
        cluster.topics().map_err(|error| cluster.access.explain_first(error))?;
        Ok(cluster)
    }

    /// A client for asking about a group; it never joins it.
    pub(super) fn inspector(&self, group: &str) -> Result<Arc<Inspector>, BusError> {
        self.inspector_for(group, ConsumerUse::Inspection)
    }

    /// As [`Self::inspector`], but seeing only what is committed.
    pub(super) fn committed_inspector(&self, group: &str) -> Result<Arc<Inspector>, BusError> {
        self.inspector_for(group, ConsumerUse::Committed)
    }

    fn inspector_for(&self, group: &str, used_for: ConsumerUse) -> Result<Arc<Inspector>, BusError> {
        let key = (group.to_owned(), used_for == ConsumerUse::Committed);
        let mut inspectors = self.inspectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inspector) = inspectors.get(&key) {
            return Ok(Arc::clone(inspector));
        }
        let config = self.options.consumer(&self.options.prefixed(group), used_for);
        let inspector: Inspector = config
            .create_with_context(Reporting::new(&self.access))
            .map_err(|e| backend("cannot make a Kafka client", &e))?;
        let inspector = Arc::new(inspector);
        attend(&inspector)?;
        inspectors.insert(key, Arc::clone(&inspector));
        Ok(inspector)
    }

    fn metadata<T>(&self, topic: Option<&str>, read: impl FnOnce(&[MetadataTopic]) -> T) -> Result<T, BusError> {
        let inspector = self.inspector(READERS)?;
        let metadata = inspector
            .fetch_metadata(topic, self.options.request_timeout)
            .map_err(|e| backend(format!("cannot reach Kafka at {}", self.options.bootstrap_servers), &e))?;
        Ok(read(metadata.topics()))
    }

    /// Identifies the cluster; empty when it does not say.
    pub(super) fn cluster_id(&self) -> Result<String, BusError> {
        Ok(self.inspector(READERS)?.client().fetch_cluster_id(self.options.request_timeout).unwrap_or_default())
    }

    /// Logical names and partition counts of the topics under the prefix, by name.
    pub(super) fn topics(&self) -> Result<Vec<(String, u32)>, BusError> {
        self.metadata(None, |topics| {
            let mut found: Vec<(String, u32)> = topics
                .iter()
                .filter(|t| t.error().is_none() && !t.name().starts_with("__"))
                .filter_map(|t| Some((t.name().strip_prefix(&self.options.topic_prefix)?.to_owned(), count(t))))
                .collect();
            found.sort();
            found
        })
    }

    /// Number of partitions of a topic, as it was learned once.
    pub(super) fn known_partitions(&self, topic: &str) -> Result<u32, BusError> {
        let known =
            |cluster: &Self| cluster.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some(partitions) = known(self) {
            return Ok(partitions);
        }
        self.look_up_partitions(topic)
    }

    /// A broker that has just started may not know a topic's leaders yet; that does not make the topic unknown.
    pub(super) fn look_up_partitions(&self, topic: &str) -> Result<u32, BusError> {
        let found = self.metadata(Some(&self.options.prefixed(topic)), |topics| {
            match topics.first().map(|t| (t.error().map(RDKafkaErrorCode::from), count(t))) {
                None | Some((Some(RDKafkaErrorCode::UnknownTopicOrPartition), _) | (None, 0)) => Ok(None),
                Some((None, partitions)) => Ok(Some(partitions)),
                Some((Some(error), _)) => Err(KafkaError::MetadataFetch(error)),
            }
        })?;
        let needed = [Acl::topic(Operation::Describe, self.options.prefixed(topic))];
        let found = found.map_err(|e| backend_needing(format!("cannot look up topic {topic:?}"), &e, &needed))?;
        let mut known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(partitions) => {
                known.insert(topic.to_owned(), partitions);
                Ok(partitions)
            }
            None => {
                known.remove(topic);
                Err(BusError::UnknownTopic { topic: topic.to_owned() })
            }
        }
    }

    /// Oldest and next offset of a partition, records of open transactions included.
    pub(super) fn bounds(&self, topic: &str, partition: u32) -> Result<(i64, i64), BusError> {
        let inspector = self.inspector(READERS)?;
        let (name, timeout) = (self.options.prefixed(topic), self.options.request_timeout);
        asked_again(timeout, || {
            inspector
                .fetch_watermarks(&name, raw(partition), timeout)
                .map_err(|e| backend(format!("cannot read the ends of {topic}/{partition}"), &e))
                .inspect_err(|_| self.look_up(&inspector, [topic].into_iter()))
        })
    }

    /// Why a group's positions on a topic cannot be read.
    pub(super) fn positions_error(&self, group: &str, topic: &str, error: &KafkaError) -> BusError {
        let needed = [
            Acl::group(Operation::Describe, self.options.prefixed(group)),
            Acl::topic(Operation::Describe, self.options.prefixed(topic)),
        ];
        backend_needing(format!("cannot read the positions of group {group}"), error, &needed)
    }

    /// Makes the topics that are missing, and the one for positions of sources.
    pub(super) fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BusError> {
        let replication = topics.iter().map(|t| t.replication).max().unwrap_or(1);
        let positions =
            TopicSpec { name: SOURCE_POSITIONS.to_owned(), partitions: 1, replication, cleanup: Cleanup::Compact };
        let found: BTreeMap<String, u32> = self.topics()?.into_iter().collect();
        let mut missing = Vec::new();
        for spec in topics.iter().chain([&positions]) {
            match found.get(&spec.name) {
                None => missing.push(spec),
                Some(found) if *found != spec.partitions => {
                    let (topic, found, wanted) = (spec.name.clone(), *found, spec.partitions);
                    return Err(BusError::PartitionMismatch { topic, found, wanted });
                }
                Some(_) => {}
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.create(&missing)?;
        self.await_leaders(&missing)
    }

    fn create(&self, missing: &[&TopicSpec]) -> Result<(), BusError> {
        let admin: AdminClient<Reporting> = self
            .options
            .admin()
            .create_with_context(Reporting::new(&self.access))
            .map_err(|e| backend("cannot make a Kafka client", &e))?;
        if self.access.has_token() {
            hand_token(&admin, &self.access)?;
        }
        let names: Vec<String> = missing.iter().map(|t| self.options.prefixed(&t.name)).collect();
        let settings: Vec<Vec<(&str, String)>> = missing.iter().map(|t| cleanup_settings(t.cleanup)).collect();
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(names.iter().zip(&settings))
            .map(|(spec, (name, settings))| {
                let replication = TopicReplication::Fixed(i32::from(spec.replication));
                let topic = NewTopic::new(name, raw(spec.partitions), replication);
                settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(self.options.request_timeout))
            .operation_timeout(Some(self.options.request_timeout));
        let results = block_on(admin.create_topics(&new, &options)).map_err(|e| backend("cannot make topics", &e))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    let needed = [Acl::topic(Operation::Create, topic.clone())];
                    let error = KafkaError::AdminOp(code);
                    return Err(backend_needing(format!("cannot make topic {topic:?}"), &error, &needed));
                }
            }
        }
        Ok(())
    }

    /// A topic that was just made is not known to every broker at once.
    fn await_leaders(&self, made: &[&TopicSpec]) -> Result<(), BusError> {
        let deadline = Instant::now() + self.options.request_timeout;
        for spec in made {
            let name = self.options.prefixed(&spec.name);
            loop {
                let ready = self.metadata(Some(&name), |topics| {
                    topics.iter().any(|t| {
                        t.error().is_none()
                            && count(t) == spec.partitions
                            && t.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none())
                    })
                })?;
                if ready {
                    break;
                }
                if Instant::now() > deadline {
                    let context = format!("topic {:?} was made but has no leader", spec.name);
                    let message = format!("waited {:?}", self.options.request_timeout);
                    return Err(BusError::Backend { context, message, retryable: true });
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

/// Polls a client for as long as it is there, so that it gets its token and says what is wrong.
fn attend(inspector: &Arc<Inspector>) -> Result<(), BusError> {
    let client = Arc::downgrade(inspector);
    let attending = std::thread::Builder::new().name("kafka-events".to_owned()).spawn(move || {
        while let Some(client) = client.upgrade() {
            if let Some(Err(error)) = client.poll(EVENTS_WAIT) {
                client.context().polled(&error);
            }
        }
    });
    attending.map(drop).map_err(|e| BusError::Backend {
        context: "cannot start a thread".to_owned(),
        message: e.to_string(),
        retryable: true,
    })
}

/// Gives an admin client its token, which rdkafka's never ask for.
#[allow(unsafe_code)]
fn hand_token(admin: &AdminClient<Reporting>, access: &Access) -> Result<(), BusError> {
    let failed = |message: String| BusError::Backend {
        context: "the admin client has no token".to_owned(),
        message,
        retryable: true,
    };
    let token = access.token().map_err(|e| failed(e.to_string()))?;
    let (text, principal) = CString::new(token.token)
        .and_then(|text| Ok((text, CString::new(token.principal_name)?)))
        .map_err(|_| failed("it holds a zero byte".to_owned()))?;
    let mut why = [0; 256];
    // SAFETY: the client lives for the whole call, both texts end in zero and are copied, there are
    // no extensions, and the buffer is as long as it is said to be.
    let code = unsafe {
        rdkafka::bindings::rd_kafka_oauthbearer_set_token(
            admin.inner().native_ptr(),
            text.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            why.as_mut_ptr(),
            why.len(),
        )
    };
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        refused => Err(failed(refused.to_string())),
    }
}

fn count(topic: &MetadataTopic) -> u32 {
    u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX)
}

fn cleanup_settings(cleanup: Cleanup) -> Vec<(&'static str, String)> {
    match cleanup {
        Cleanup::Delete { retention_ms } => {
            vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", retention_ms.to_string())]
        }
        Cleanup::Compact => vec![("cleanup.policy", "compact".to_owned())],
    }
}
