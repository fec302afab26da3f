//! The rights on a cluster that each use of the bus needs, and no more. What is here follows from
//! the calls that the other modules make; the tests hold it to them against a real authorizer.
//!
//! `IdempotentWrite` on the cluster is not among them: since Kafka 2.8 the right to write a topic
//! includes it. A right to read or write includes the one to describe.

use super::names::{READERS, SOURCE_POSITIONS, name_prefix};
use super::options::transactional_id_prefix;
use crate::dlq::dlq_topic;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a right is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A producer's transactional id.
    TransactionalId,
}

/// A resource, or all whose name begins so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name on the cluster, or what the name begins with.
    pub name: String,
    /// Whether `name` is what names begin with.
    pub prefixed: bool,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Make it.
    Create,
    /// See that it is there, and where it ends or stands.
    Describe,
    /// Read records; for a group, be a member.
    Read,
    /// Write.
    Write,
}

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// On what.
    pub resource: Resource,
    /// To do what.
    pub operation: Operation,
}

impl Acl {
    pub(super) fn topic(operation: Operation, name: String) -> Self {
        Self { resource: Resource { kind: ResourceKind::Topic, name, prefixed: false }, operation }
    }

    pub(super) fn group(operation: Operation, name: String) -> Self {
        Self { resource: Resource { kind: ResourceKind::Group, name, prefixed: false }, operation }
    }

    /// On all groups whose names begin so.
    fn groups(operation: Operation, prefix: String) -> Self {
        Self { resource: Resource { kind: ResourceKind::Group, name: prefix, prefixed: true }, operation }
    }

    pub(super) fn transactional_id(operation: Operation, name: String, prefixed: bool) -> Self {
        Self { resource: Resource { kind: ResourceKind::TransactionalId, name, prefixed }, operation }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource: Resource { kind, name, .. }, operation } = self;
        let kind = match kind {
            ResourceKind::Topic => "topic",
            ResourceKind::Group => "group",
            ResourceKind::TransactionalId => "transactional id",
        };
        write!(f, "{operation} on {kind} {name:?}")
    }
}

/// A use of the bus. Names are those without the installation's topic prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusUse<'a> {
    /// Runs a stage, as any number of instances.
    Stage {
        /// Topic that it reads.
        input: &'a str,
        /// Topics that it writes, beside the dead letter queue of its input.
        outputs: &'a [&'a str],
        /// Its consumer group.
        group: &'a str,
    },
    /// Writes as a source.
    Source {
        /// Id of the source; `None` for any.
        id: Option<&'a str>,
        /// Topics that it writes.
        topics: &'a [&'a str],
    },
    /// Reads a topic as part of no group.
    Reader {
        /// The topic.
        topic: &'a str,
    },
    /// Looks how far a group is behind.
    Lag {
        /// The group.
        group: &'a str,
        /// The topic that it reads.
        topic: &'a str,
    },
    /// Makes a topic.
    Maker {
        /// The topic.
        topic: &'a str,
    },
}

/// The rights that these uses need, on a cluster where `topic_prefix` is put before all names.
pub fn needed(topic_prefix: &str, uses: &[BusUse<'_>]) -> BTreeSet<Acl> {
    let rights = Rights { topic_prefix };
    let all: BTreeSet<Acl> = uses.iter().flat_map(|one| rights.of(one)).collect();
    let implied = |acl: &Acl| {
        acl.operation == Operation::Describe
            && [Operation::Read, Operation::Write]
                .into_iter()
                .any(|operation| all.contains(&Acl { operation, ..acl.clone() }))
    };
    all.iter().filter(|acl| !implied(acl)).cloned().collect()
}

struct Rights<'a> {
    topic_prefix: &'a str,
}

impl Rights<'_> {
    fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    fn topic(&self, operation: Operation, name: &str) -> Acl {
        Acl::topic(operation, self.prefixed(name))
    }

    fn group(&self, operation: Operation, name: &str) -> Acl {
        Acl::group(operation, self.prefixed(name))
    }

    fn of(&self, one: &BusUse<'_>) -> Vec<Acl> {
        use Operation::{Create, Describe, Read, Write};
        // Every client that asks or reads without being a member says it is of this group.
        let mut acls = vec![self.group(Describe, READERS)];
        match *one {
            BusUse::Stage { input, outputs, group } => {
                let dead_letters = dlq_topic(input);
                acls.push(self.topic(Read, input));
                for written in outputs.iter().copied().chain([dead_letters.as_str()]) {
                    // They are read back where the outcome of a transaction is not known.
                    acls.extend([Write, Read].map(|operation| self.topic(operation, written)));
                }
                acls.push(self.topic(Describe, SOURCE_POSITIONS));
                acls.push(self.group(Read, group));
                acls.push(Acl::groups(Read, self.prefixed(&name_prefix(group))));
                let ids = self.prefixed(&transactional_id_prefix("stage", group));
                acls.push(Acl::transactional_id(Write, ids, true));
            }
            BusUse::Source { id, topics } => {
                for written in topics.iter().copied().chain([SOURCE_POSITIONS]) {
                    acls.extend([Write, Read].map(|operation| self.topic(operation, written)));
                }
                let ids = self.prefixed(&transactional_id_prefix("source", id.unwrap_or_default()));
                acls.push(Acl::transactional_id(Write, ids, id.is_none()));
            }
            BusUse::Reader { topic } => acls.push(self.topic(Read, topic)),
            BusUse::Lag { group, topic } => {
                acls.push(self.group(Describe, group));
                acls.push(self.topic(Describe, topic));
            }
            BusUse::Maker { topic } => {
                for made in [topic, SOURCE_POSITIONS] {
                    acls.extend([Create, Describe].map(|operation| self.topic(operation, made)));
                }
            }
        }
        acls
    }
}

/// How `kafka-acls.sh` reaches the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclTool {
    /// Brokers, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// File with the properties that it logs in with.
    pub command_config: Option<String>,
}

/// Commands of Kafka's own `kafka-acls.sh` that give a principal (`User:NAME`) these rights, one a
/// resource, for a POSIX shell.
pub fn commands(tool: &AclTool, principal: &str, acls: &BTreeSet<Acl>) -> Vec<String> {
    let mut by_resource: BTreeMap<&Resource, Vec<Operation>> = BTreeMap::new();
    for acl in acls {
        by_resource.entry(&acl.resource).or_default().push(acl.operation);
    }
    by_resource
        .into_iter()
        .map(|(Resource { kind, name, prefixed }, operations)| {
            let operations: String = operations.iter().map(|o| format!(" --operation {o}")).collect();
            let kind = match kind {
                ResourceKind::Topic => "--topic",
                ResourceKind::Group => "--group",
                ResourceKind::TransactionalId => "--transactional-id",
            };
            let login = tool.command_config.iter().map(|file| format!(" --command-config {}", quoted(file)));
            let pattern = if *prefixed { " --resource-pattern-type prefixed" } else { "" };
            format!(
                "kafka-acls.sh --bootstrap-server {}{} --add --allow-principal {}{operations} {kind} {}{pattern}",
                quoted(&tool.bootstrap_servers),
                login.collect::<String>(),
                quoted(principal),
                quoted(name),
            )
        })
        .collect()
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/,=@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::KafkaOptions;
    use super::*;

    fn shown(acls: &BTreeSet<Acl>) -> Vec<String> {
        acls.iter().map(Acl::to_string).collect()
    }

    const STAGE: BusUse<'_> = BusUse::Stage { input: "in", outputs: &["out"], group: "g" };

    #[test]
    fn a_stage_may_read_its_input_and_write_its_outputs() {
        let expected = [
            "Read on topic \"eu.in\"",
            "Read on topic \"eu.in.dlq\"",
            "Write on topic \"eu.in.dlq\"",
            "Read on topic \"eu.out\"",
            "Write on topic \"eu.out\"",
            "Describe on topic \"eu.prescale-source-positions\"",
            "Read on group \"eu.g\"",
            "Read on group \"eu.g.name.\"",
            "Describe on group \"eu.readers\"",
            "Write on transactional id \"eu.stage.g.\"",
        ];
        assert_eq!(shown(&needed("eu.", &[STAGE])), expected);
    }

    #[test]
    fn a_right_that_another_includes_is_left_out() {
        let acls = needed("", &[STAGE, BusUse::Lag { group: "g", topic: "in" }]);
        assert_eq!(acls, needed("", &[STAGE]));
    }

    #[test]
    fn transactional_ids_are_those_that_the_clients_use() {
        let options = KafkaOptions { topic_prefix: "eu.".into(), instance_id: "7".into(), ..KafkaOptions::default() };
        let id_of = |one| needed("eu.", &[one]).into_iter().find(|a| a.resource.kind == ResourceKind::TransactionalId);
        let stage = id_of(STAGE).unwrap().resource;
        assert!(stage.prefixed && options.transactional_id("stage", "g").starts_with(&stage.name), "{stage:?}");
        let source = id_of(BusUse::Source { id: Some("host:a"), topics: &[] }).unwrap().resource;
        assert_eq!((source.prefixed, source.name), (false, options.transactional_id("source", "host:a")));
        let any = id_of(BusUse::Source { id: None, topics: &[] }).unwrap().resource;
        assert!(any.prefixed && options.transactional_id("source", "host:a").starts_with(&any.name), "{any:?}");
    }

    #[test]
    fn commands_are_for_a_shell() {
        let acls = needed("", &[BusUse::Source { id: None, topics: &["a"] }]);
        let tool = AclTool { bootstrap_servers: "b:1,c:2".into(), command_config: Some("my admin.properties".into()) };
        let lines = commands(&tool, "User:it's", &acls);
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            r"kafka-acls.sh --bootstrap-server b:1,c:2 --command-config 'my admin.properties' --add --allow-principal 'User:it'\''s' --operation Read --operation Write --topic a"
        );
        assert!(lines[3].ends_with("--operation Write --transactional-id source. --resource-pattern-type prefixed"));
    }
}
