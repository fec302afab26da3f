//! OTLP over HTTP: which requests are read, and how they are answered.

use super::message::{self, Form, Sent};
use crate::receiver::{Intake, Refusal, intake};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use std::sync::Arc;

/// Where senders write to.
pub(super) const PATH: &str = "/v1/metrics";

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Answers one request.
pub(super) async fn export(State(intake): State<Arc<Intake>>, headers: HeaderMap, body: Body) -> Response {
    let (form, taken) = match form_of(&headers) {
        Ok(form) => (form, taken(&intake, &headers, form, body).await),
        Err(refusal) => {
            intake::pass_over(&headers, body).await;
            (Form::Protobuf, Err(refusal))
        }
    };
    let (status, body) = match taken {
        Ok(answer) => (StatusCode::OK, written(form, &answer)),
        Err(refusal) => (refusal.status, refused(form, &refusal)),
    };
    intake.answered(status);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    intake::explain(status, headers);
    response
}

async fn taken(
    intake: &Arc<Intake>,
    headers: &HeaderMap,
    form: Form,
    body: Body,
) -> Result<ExportMetricsServiceResponse, Refusal> {
    let (is_packed, body) = intake::unless_refused(is_packed(intake, headers), headers, body).await?;
    let (bytes_max, too_large) = (intake.request_bytes_max(), intake.too_large());
    let read = intake.take(body, bytes_max, move |body, mapping, known, now| {
        let sent = Sent { bytes: body, form, is_packed };
        message::read(sent, bytes_max, mapping, known, now)?.ok_or(too_large)
    });
    message::answer(intake, read.await?)
}

/// Whether the body is packed, of a request that is let in.
fn is_packed(intake: &Intake, headers: &HeaderMap) -> Result<bool, Refusal> {
    intake.lets_in(headers)?;
    let encoding = text(headers, header::CONTENT_ENCODING);
    let is_packed = encoding.eq_ignore_ascii_case("gzip");
    if !is_packed && !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        let message = format!("Content-Encoding {encoding:?}: gzip is read, and what is not packed\n");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(is_packed)
}

fn form_of(headers: &HeaderMap) -> Result<Form, Refusal> {
    let content_type = text(headers, header::CONTENT_TYPE);
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let form = [Form::Protobuf, Form::Json].into_iter().find(|form| kind.eq_ignore_ascii_case(form.content_type()));
    form.ok_or_else(|| {
        let message = format!("Content-Type {content_type:?}: application/x-protobuf and application/json are read\n");
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn written(form: Form, answer: &ExportMetricsServiceResponse) -> Vec<u8> {
    match form {
        Form::Protobuf => answer.encode_to_vec(),
        Form::Json => message::json_of(answer).into_bytes(),
    }
}

fn refused(form: Form, refusal: &Refusal) -> Vec<u8> {
    match form {
        Form::Protobuf => message::status_of(refusal),
        Form::Json => {
            let code = message::code_of(refusal.status).number();
            serde_json::json!({ "code": code, "message": refusal.message }).to_string().into_bytes()
        }
    }
}
