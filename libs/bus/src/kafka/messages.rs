//! Messages and errors of the client library, as the bus has them, and the context of clients that need no
//! callbacks of their own.

use super::access::Access;
use super::failure::is_denied;
use crate::record::{ConsumedRecord, Header};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A message as the bus has it, under the topic's logical name.
pub(super) fn consumed(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> ConsumedRecord {
    let headers = message.headers().map(|headers| {
        let header = |h: rdkafka::message::Header<'_, &[u8]>| Header {
            name: Arc::<str>::from(h.key).into(),
            value: Arc::<[u8]>::from(h.value.unwrap_or_default()).into(),
        };
        headers.iter().map(header).collect()
    });
    ConsumedRecord {
        topic: Arc::clone(topic),
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        appended_at_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

/// Whether the connection mends such an error by itself.
pub(super) fn passes_by_itself(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::RequestTimedOut
        )
    )
}

/// Logs an error of a client, as loudly as it deserves.
pub(super) fn report(error: &KafkaError, reason: &str) {
    if passes_by_itself(error) || error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        tracing::debug!(%error, reason, "Kafka client");
    } else {
        tracing::warn!(%error, reason, "Kafka client");
    }
}

/// Context of the clients that need no callbacks of their own.
pub(super) struct Reporting {
    pub(super) access: Arc<Access>,
    pub(super) asked_for_token: AtomicBool,
    /// What was refused for want of a right since it was last asked for.
    denied: Mutex<Option<RDKafkaErrorCode>>,
}

impl Reporting {
    pub(super) fn new(access: &Arc<Access>) -> Self {
        Self { access: Arc::clone(access), asked_for_token: AtomicBool::new(false), denied: Mutex::default() }
    }

    /// Takes in what the client said when it was polled. It says only once that it has no right to know
    /// a coordinator, and goes on asking, so the call that needs it only runs out of time.
    pub(super) fn polled(&self, error: &KafkaError) {
        if let Some(code) = error.rdkafka_error_code().filter(|code| is_denied(*code)) {
            *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        }
    }

    /// The refusal that it heard of since it was last asked, if any.
    pub(super) fn take_denied(&self) -> Option<RDKafkaErrorCode> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why a call of the client failed: a refusal that it heard of since, or the call's own error.
    pub(super) fn cause(&self, error: KafkaError) -> KafkaError {
        self.take_denied().map_or(error, KafkaError::OffsetFetch)
    }
}

impl ClientContext for Reporting {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        self.access.heard(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.asked_for_token.store(true, Ordering::Relaxed);
        self.access.token()
    }
}

impl ConsumerContext for Reporting {}

impl ProducerContext for Reporting {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
