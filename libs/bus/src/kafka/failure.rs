//! Failures of Kafka, in the bus's words.

use super::acls::{Acl, ResourceKind};
use super::security::is_secret;
use crate::error::BusError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A failure of Kafka, in the bus's words.
pub(super) fn backend(context: impl Into<String>, error: &KafkaError) -> BusError {
    let retryable = !matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
                | RDKafkaErrorCode::MessageSizeTooLarge
        )
    ) && !matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_));
    let message = match error {
        KafkaError::ClientConfig(_, why, property, _) if is_secret(property) => {
            format!(
                "Kafka's client does not take the value of {property}: {}",
                why.split('"').next().unwrap_or_default()
            )
        }
        other => other.to_string(),
    };
    BusError::Backend { context: context.into(), message, retryable }
}

/// Whether the broker refused for want of a right.
pub(super) fn is_denied(code: RDKafkaErrorCode) -> bool {
    denied_kind(code).is_some() || code == RDKafkaErrorCode::ClusterAuthorizationFailed
}

fn denied_kind(code: RDKafkaErrorCode) -> Option<ResourceKind> {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => Some(ResourceKind::Topic),
        RDKafkaErrorCode::GroupAuthorizationFailed => Some(ResourceKind::Group),
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => Some(ResourceKind::TransactionalId),
        _ => None,
    }
}

/// As [`backend`], for a call that needs these rights: says which of them is missing.
pub(super) fn backend_needing(context: impl Into<String>, error: &KafkaError, needed: &[Acl]) -> BusError {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    let Some(code) = code.filter(|code| is_denied(*code)) else { return backend(context, error) };
    let kind = denied_kind(code);
    let missing: Vec<String> =
        needed.iter().filter(|a| kind.is_none_or(|k| k == a.resource.kind)).map(Acl::to_string).collect();
    BusError::Backend {
        context: context.into(),
        message: format!(
            "{error}: the principal lacks {}; `prescale topics acls` prints what each service needs",
            missing.join(" or ")
        ),
        retryable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::acls::Operation;
    use super::*;

    #[test]
    fn the_missing_right_is_named() {
        let needed =
            [Acl::topic(Operation::Read, "eu.in".into()), Acl::group(Operation::Describe, "eu.readers".into())];
        let of = |code| backend_needing("cannot read", &KafkaError::MessageConsumption(code), &needed).to_string();
        assert!(of(RDKafkaErrorCode::TopicAuthorizationFailed).contains("lacks Read on topic \"eu.in\";"));
        assert!(of(RDKafkaErrorCode::GroupAuthorizationFailed).contains("lacks Describe on group \"eu.readers\";"));
        assert!(!of(RDKafkaErrorCode::OperationTimedOut).contains("lacks"));
    }
}
