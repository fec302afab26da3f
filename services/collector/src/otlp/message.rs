//! The messages of OTLP as bytes: requests, answers, and what is wrong.

use super::points;
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::{Intake, Refusal, gzip, intake};
use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prescale_chassis::grpc::Code;
use prescale_domain::time::EventTime;
use prost::Message as _;
use prost::encoding::{bytes, int32, int64, string};
use std::borrow::Cow;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) form: Form,
    /// Whether it is packed with gzip.
    pub(super) is_packed: bool,
}

/// What a request that came at `now` comes to; `None` where it is larger than `bytes_max`, after it is unpacked, or has
/// more data points than one request may.
///
/// # Errors
/// When it is no message.
pub(super) fn read(
    sent: Sent<'_>,
    bytes_max: usize,
    mapping: &Mapping,
    known: &mut Known,
    now: EventTime,
) -> Result<Option<Read>, Refusal> {
    let message: Cow<'_, [u8]> = if sent.is_packed {
        let unpacked = gzip::unpacked(sent.bytes, bytes_max);
        match unpacked.map_err(|error| Refusal::bad(format!("the body is no gzip: {error}\n")))? {
            Some(message) => Cow::Owned(message),
            None => return Ok(None),
        }
    } else {
        Cow::Borrowed(sent.bytes)
    };
    if message.len() > bytes_max {
        return Ok(None);
    }
    let request = match sent.form {
        Form::Protobuf => ExportMetricsServiceRequest::decode(&*message).map_err(|error| error.to_string()),
        Form::Json => serde_json::from_slice(&message).map_err(|error| error.to_string()),
    };
    let request: ExportMetricsServiceRequest =
        request.map_err(|error| Refusal::bad(format!("the body is no ExportMetricsServiceRequest: {error}\n")))?;
    drop(message);
    Ok(points::read(mapping, &request, known, now))
}

/// What is said of data points that are on the log, and of the others: a partial success only where some were refused.
///
/// # Errors
/// When there are more series than there may be; all others of the request are on the log.
pub(super) fn answer(intake: &Intake, read: Read) -> Result<ExportMetricsServiceResponse, Refusal> {
    if read.beyond > 0 {
        return Err(intake.too_many_series(read.beyond));
    }
    let partial_success = read.why.map(|error_message| ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(read.refused).unwrap_or(i64::MAX),
        error_message,
    });
    Ok(ExportMetricsServiceResponse { partial_success })
}

/// An answer as JSON, where integers of 64 bits are texts.
pub(super) fn json_of(answer: &ExportMetricsServiceResponse) -> String {
    let Some(partial) = &answer.partial_success else { return "{}".to_owned() };
    let rejected = partial.rejected_data_points.to_string();
    let partial = serde_json::json!({ "rejectedDataPoints": rejected, "errorMessage": partial.error_message });
    serde_json::json!({ "partialSuccess": partial }).to_string()
}

/// The code of gRPC for a status of HTTP. Where there is no room that is `RESOURCE_EXHAUSTED`, as it is for what is too
/// large: senders tell them apart by whether it is said when to try again.
pub(super) fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::OK => Code::Ok,
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Code::ResourceExhausted
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::Unimplemented,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        _ => Code::Internal,
    }
}

/// A `google.rpc.Status`, with a `RetryInfo` where it can come again.
pub(super) fn status_of(refusal: &Refusal) -> Vec<u8> {
    let mut status = Vec::new();
    int32::encode(1, &i32::from(code_of(refusal.status).number()), &mut status);
    string::encode(2, &refusal.message, &mut status);
    if intake::can_come_again(refusal.status) {
        let (mut delay, mut retry, mut any) = (Vec::<u8>::new(), Vec::<u8>::new(), Vec::<u8>::new());
        int64::encode(1, &i64::from(intake::RETRY_AFTER_S), &mut delay);
        bytes::encode(1, &delay, &mut retry);
        string::encode(1, &"type.googleapis.com/google.rpc.RetryInfo".to_owned(), &mut any);
        bytes::encode(2, &retry, &mut any);
        bytes::encode(3, &any, &mut status);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::preset::parsed;
    use prescale_domain::source::SourceName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_from_anywhere_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), is_packed in any::<bool>()) {
            let preset = parsed(
                "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"q\"\n\
                 [[series.memory_bytes]]\nmetric = \"m\"\n",
            );
            let mapping = Mapping::new(preset, SourceName::new("otlp:test").unwrap(), 60);
            for form in [Form::Protobuf, Form::Json] {
                let sent = Sent { bytes: &bytes, form, is_packed };
                let _ = read(sent, 100, &mapping, &mut Known::new(9), EventTime::from_s(0));
            }
        }
    }

    #[test]
    fn a_status_says_when_to_try_again_only_where_that_can_help() {
        let busy = status_of(&Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no"));
        // Code 8, the message, and details that end with a duration of 5 s.
        assert_eq!(busy[..6], [8, 8, 18, 2, b'n', b'o']);
        assert!(busy.windows(9).any(|part| part == b"RetryInfo") && busy.ends_with(&[18, 4, 10, 2, 8, 5]));
        let large = status_of(&Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "no"));
        assert_eq!(large, [8, 8, 18, 2, b'n', b'o']);
    }
}
