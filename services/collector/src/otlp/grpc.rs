//! OTLP over gRPC: one call of one message, framed and answered as gRPC over HTTP/2 does.

use super::message::{self, Form, Sent};
use crate::receiver::{Intake, Refusal, intake};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use std::fmt::Write as _;
use std::future::ready;
use std::sync::Arc;

/// The call.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const CONTENT_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTS: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Before each message: whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;
/// What packing may add to a message.
const PACKING_BYTES_MAX: usize = 1024;

/// Answers one call.
pub(super) async fn export(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Body) -> Response {
    let taken = taken(&intake, &headers, body).await;
    intake.answered(taken.as_ref().map_or_else(|refusal| refusal.status, |_| StatusCode::OK));
    let mut response = match taken {
        Ok(answer) => answered(&answer),
        Err(refusal) => refused(&refusal),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response.headers_mut().insert(ACCEPTS, HeaderValue::from_static("gzip"));
    response
}

async fn taken(intake: &Arc<Intake>, headers: &HeaderMap, body: Body) -> Result<ExportMetricsServiceResponse, Refusal> {
    intake.lets_in(headers)?;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unsupported = |message: String| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let content_type = text(header::CONTENT_TYPE);
    if !matches!(content_type, "application/grpc" | "application/grpc+proto") {
        return Err(unsupported(format!("Content-Type {content_type:?}: application/grpc is read")));
    }
    let encoding = text(ENCODING);
    if !matches!(encoding, "" | "identity" | "gzip") {
        return Err(unsupported(format!("grpc-encoding {encoding:?}: gzip is read, and what is not packed")));
    }
    let may_be_packed = encoding == "gzip";
    let (bytes_max, too_large) = (intake.request_bytes_max(), intake.too_large());
    let body_bytes_max = bytes_max + PREFIX_BYTES + PACKING_BYTES_MAX;
    let read = intake.take(body, body_bytes_max, move |body, mapping, known, now| {
        let (is_packed, bytes) = framed(body, may_be_packed)?;
        let sent = Sent { bytes, form: Form::Protobuf, is_packed };
        message::read(sent, bytes_max, mapping, known, now)?.ok_or(too_large)
    });
    message::answer(intake, read.await?)
}

/// The one message of a body, and whether it is packed.
fn framed(body: &[u8], may_be_packed: bool) -> Result<(bool, &[u8]), Refusal> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Refusal::bad("the call has no message"));
    };
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return Err(Refusal::bad("the call has other than one whole message"));
    }
    match flag {
        0 => Ok((false, message)),
        1 if may_be_packed => Ok((true, message)),
        _ => Err(Refusal::bad("the message is packed and its call does not say how")),
    }
}

fn answered(answer: &ExportMetricsServiceResponse) -> Response {
    let message = answer.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    Response::new(Body::new(Full::new(Bytes::from(body)).with_trailers(ready(Some(Ok(trailers))))))
}

/// An answer that is nothing but its trailers, which then are headers.
fn refused(refusal: &Refusal) -> Response {
    let mut response = Body::empty().into_response();
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(u16::from(message::code_of(refusal.status))));
    if let Ok(message) = HeaderValue::from_str(&escaped(&refusal.message)) {
        headers.insert(MESSAGE, message);
    }
    if intake::can_come_again(refusal.status)
        && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(message::status_of(refusal)))
    {
        headers.insert(DETAILS, details);
    }
    response
}

/// A text as `grpc-message` has it: what is no plain character of ASCII is `%` and its bytes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.trim_end().bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // A string takes all.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_whole_message() {
        assert_eq!(framed(&[0, 0, 0, 0, 2, 7, 8], false).unwrap(), (false, &[7, 8][..]));
        assert_eq!(framed(&[1, 0, 0, 0, 0], true).unwrap(), (true, &[][..]));
        let bad: [&[u8]; 5] = [&[], &[0, 0, 0, 0], &[0, 0, 0, 0, 3, 7, 8], &[0, 0, 0, 0, 1, 7, 8], &[2, 0, 0, 0, 0]];
        for body in bad {
            assert!(framed(body, true).is_err(), "{body:?}");
        }
        assert!(framed(&[1, 0, 0, 0, 0], false).is_err());
    }

    #[test]
    fn texts_become_headers() {
        assert_eq!(escaped("100 % of é\n"), "100 %25 of %C3%A9");
    }
}
