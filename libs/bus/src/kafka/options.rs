//! Settings of the Kafka backend, and what they make of a client's configuration.

use super::security::{Security, is_secret};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a Kafka bus.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// Names this instance for good: two that run at once need two names, a restarted one keeps
    /// its own. It is the static group membership and part of the transactional ids.
    pub instance_id: String,
    /// Put before the names of topics, groups and transactional ids.
    pub topic_prefix: String,
    /// Folder for snapshots of stages' states.
    pub state_dir: PathBuf,
    /// A transaction open for longer is aborted by the broker. Keep it below the session timeout:
    /// then no transaction outlives its instance's membership.
    pub transaction_timeout_ms: u32,
    /// After this long without a heartbeat an instance's partitions go to the others.
    pub session_timeout_ms: u32,
    /// Bound on one request to the cluster (metadata, offsets, topic creation).
    pub request_timeout: Duration,
    /// A stage whose input grows but that gets no record for this long is connected anew.
    pub stall_after: Duration,
    /// How long a stage tries to reconnect without any progress before it ends with the error.
    pub retry_for: Duration,
    /// How the connections are secured.
    pub security: Security,
    /// Further librdkafka properties. What correctness rests on cannot be overridden, and
    /// [`Self::security`] wins.
    pub extra: BTreeMap<String, String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            instance_id: "1".to_owned(),
            topic_prefix: String::new(),
            state_dir: PathBuf::from("state"),
            transaction_timeout_ms: 15_000,
            session_timeout_ms: 30_000,
            request_timeout: Duration::from_secs(10),
            stall_after: Duration::from_secs(60),
            retry_for: Duration::from_secs(300),
            security: Security::default(),
            extra: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra: BTreeMap<&str, &str> = self
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), if is_secret(name) { "***" } else { value.as_str() }))
            .collect();
        f.debug_struct("KafkaOptions")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("instance_id", &self.instance_id)
            .field("topic_prefix", &self.topic_prefix)
            .field("state_dir", &self.state_dir)
            .field("transaction_timeout_ms", &self.transaction_timeout_ms)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .field("request_timeout", &self.request_timeout)
            .field("stall_after", &self.stall_after)
            .field("retry_for", &self.retry_for)
            .field("security", &self.security)
            .field("extra", &extra)
            .finish()
    }
}

/// What the transactional ids of a stage (with its group as `name`) or a source begin with. A
/// source's id is no longer than this, a stage's goes on with the instance.
pub(super) fn transactional_id_prefix(kind: &str, name: &str) -> String {
    match kind {
        "stage" => format!("stage.{name}."),
        _ => format!("{kind}.{name}"),
    }
}

/// What a consumer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConsumerUse {
    /// A member of a group, under this instance's name.
    Member,
    /// Reads committed records of partitions that it is given.
    Committed,
    /// Asks for metadata, ends of logs and positions of groups.
    Inspection,
}

impl KafkaOptions {
    /// A name as the cluster knows it.
    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// The transactional id of a stage or source.
    pub(super) fn transactional_id(&self, kind: &str, name: &str) -> String {
        let instance = if kind == "stage" { self.instance_id.as_str() } else { "" };
        self.prefixed(&format!("{}{instance}", transactional_id_prefix(kind, name)))
    }

    fn client(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (key, value) in defaults {
            config.set(*key, *value);
        }
        for (key, value) in &self.extra {
            config.set(key, value);
        }
        for (key, value) in self.security.properties() {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config
    }

    /// Configuration of a consumer.
    pub(super) fn consumer(&self, group: &str, used_for: ConsumerUse) -> ClientConfig {
        let fetch_wait_max_ms = if used_for == ConsumerUse::Member { "100" } else { "20" };
        let mut config = self.client(&[
            ("fetch.wait.max.ms", fetch_wait_max_ms),
            ("max.poll.interval.ms", "1800000"),
            ("queued.min.messages", "20000"),
        ]);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "true")
            // Off by default; TCP's own checksum is too weak to rest on.
            .set("check.crcs", "true")
            .set("session.timeout.ms", self.session_timeout_ms.to_string());
        let committed = used_for != ConsumerUse::Inspection;
        config.set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" });
        if used_for == ConsumerUse::Member {
            config
                .set("group.protocol", "classic")
                .set("group.instance.id", &self.instance_id)
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("heartbeat.interval.ms", (self.session_timeout_ms / 10).clamp(100, 3000).to_string());
        }
        config
    }

    /// Configuration of a transactional producer.
    pub(super) fn producer(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.client(&[("compression.type", "lz4"), ("linger.ms", "5")]);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", self.transaction_timeout_ms.to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all");
        config
    }

    /// Configuration of an admin client.
    pub(super) fn admin(&self) -> ClientConfig {
        self.client(&[])
    }

    /// A group gives a member up of which it has not heard for so long.
    pub(super) fn session_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.session_timeout_ms))
    }

    /// Bound on one transactional call. After the broker's own bound the transaction is lost.
    pub(super) fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.transaction_timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::super::security::Login;
    use super::*;

    #[test]
    fn extra_properties_tune_but_do_not_undo_what_correctness_rests_on() {
        let mut options = KafkaOptions::default();
        for (key, value) in [
            ("linger.ms", "50"),
            ("isolation.level", "read_uncommitted"),
            ("enable.idempotence", "false"),
            ("check.crcs", "false"),
        ] {
            options.extra.insert(key.to_owned(), value.to_owned());
        }
        let producer = options.producer("t");
        assert_eq!(producer.get("linger.ms"), Some("50"));
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        let member = options.consumer("g", ConsumerUse::Member);
        assert_eq!(member.get("isolation.level"), Some("read_committed"));
        assert_eq!(member.get("auto.offset.reset"), Some("error"));
        assert_eq!(member.get("check.crcs"), Some("true"));
    }

    #[test]
    fn producers_compress_what_they_send_unless_told_otherwise() {
        let mut options = KafkaOptions::default();
        assert_eq!(options.producer("t").get("compression.type"), Some("lz4"));
        options.extra.insert("compression.type".to_owned(), "none".to_owned());
        assert_eq!(options.producer("t").get("compression.type"), Some("none"));
    }

    #[test]
    fn secrets_among_the_extra_properties_are_not_shown() {
        let mut options = KafkaOptions::default();
        for name in ["sasl.password", "ssl.key.pem", "linger.ms"] {
            options.extra.insert(name.to_owned(), format!("swordfish of {name}"));
        }
        let shown = format!("{options:?}");
        assert!(shown.contains("swordfish of linger.ms") && shown.matches("swordfish").count() == 1, "{shown}");
    }

    #[test]
    fn security_reaches_every_client_and_goes_over_the_extra_properties() {
        let mut options = KafkaOptions::default();
        options.extra.insert("security.protocol".to_owned(), "plaintext".to_owned());
        options.security.login = Login::TokenFile("token".into());
        let clients = [options.admin(), options.producer("t"), options.consumer("g", ConsumerUse::Inspection)];
        for client in clients {
            assert_eq!(client.get("security.protocol"), Some("sasl_plaintext"));
            assert_eq!(client.get("sasl.mechanism"), Some("OAUTHBEARER"));
        }
    }

    #[test]
    fn names_carry_the_prefix() {
        let options = KafkaOptions { topic_prefix: "eu.".into(), instance_id: "b".into(), ..KafkaOptions::default() };
        assert_eq!(options.prefixed("actions"), "eu.actions");
        assert_eq!(options.transactional_id("stage", "planner"), "eu.stage.planner.b");
        assert_eq!(options.transactional_id("source", "meter"), "eu.source.meter");
    }
}
