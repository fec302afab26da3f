//! OTLP over gRPC: one call of one message.

use super::message::{self, Form, Sent};
use crate::receiver::{Intake, Refusal, intake};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prescale_chassis::grpc::{self, Code, Status};
use prost::Message as _;
use std::sync::Arc;

/// The call.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const ACCEPTS: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Answers one call.
pub(super) async fn export(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Body) -> Response {
    let taken = taken(&intake, &headers, body).await;
    intake.answered(taken.as_ref().map_or_else(|refusal| refusal.status, |_| StatusCode::OK));
    let mut response = match taken {
        Ok(answer) => grpc::answered(&answer.encode_to_vec()),
        Err(refusal) => grpc::refused(&status_of(&refusal)),
    };
    response.headers_mut().insert(ACCEPTS, HeaderValue::from_static("gzip"));
    response
}

async fn taken(intake: &Arc<Intake>, headers: &HeaderMap, body: Body) -> Result<ExportMetricsServiceResponse, Refusal> {
    let found = intake.lets_in(headers).and_then(|()| grpc::may_be_packed(headers, true).map_err(refusal));
    let (may_be_packed, body) = intake::unless_refused(found, headers, body).await?;
    let (bytes_max, too_large) = (intake.request_bytes_max(), intake.too_large());
    let read = intake.take(body, grpc::body_bytes_max(bytes_max), move |body, mapping, known, now| {
        let (is_packed, bytes) = grpc::unframed(body, may_be_packed).map_err(refusal)?;
        let sent = Sent { bytes, form: Form::Protobuf, is_packed };
        message::read(sent, bytes_max, mapping, known, now)?.ok_or(too_large)
    });
    message::answer(intake, read.await?)
}

/// A call that is none that is read, as all refusals are counted: by the status of HTTP.
fn refusal(status: Status) -> Refusal {
    let of_http = match status.code {
        Code::Unimplemented => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(of_http, status.message)
}

/// With when to try again where that can help.
fn status_of(refusal: &Refusal) -> Status {
    let details = if intake::can_come_again(refusal.status) { message::status_of(refusal) } else { Vec::new() };
    Status { details, ..Status::new(message::code_of(refusal.status), refusal.message.as_str()) }
}
