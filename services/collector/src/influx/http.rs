//! Requests as InfluxDB 1 and 2 take them: what is read, and what is said, in their words.

use super::points;
use crate::formats::line_protocol::Precision;
use crate::receiver::mapping::Read;
use crate::receiver::{Intake, Refusal, gzip, intake};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

const INFLUXDB_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
/// The version of InfluxDB whose API this is.
const VERSION: &str = "1.8.10-prescale";

/// The whole application.
pub(super) fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/write", post(write_1))
        .route("/api/v2/write", post(write_2))
        .route("/query", get(query).post(query))
        .route("/ping", get(ping))
        .route("/health", get(health))
        .with_state(intake)
}

/// What a request asks for beside its body. Databases, buckets and the like are not told apart: the section's tenant is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    precision: String,
    /// The password of InfluxDB 1.
    p: String,
    /// A statement.
    q: String,
}

/// Whose words an answer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    InfluxDb1,
    InfluxDb2,
}

impl Words {
    fn said(self, Refusal { status, message }: &Refusal) -> Value {
        let message = message.trim_end();
        match self {
            Self::InfluxDb1 => json!({ "error": message }),
            Self::InfluxDb2 => json!({ "code": code_of(*status), "message": message }),
        }
    }

    /// The answer, by what was taken.
    fn answer(self, intake: &Intake, taken: Result<(), Refusal>) -> Response {
        let (status, mut response) = match taken {
            Ok(()) => (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT.into_response()),
            Err(refusal) => (refusal.status, (refusal.status, Json(self.said(&refusal))).into_response()),
        };
        let headers = response.headers_mut();
        headers.insert(INFLUXDB_VERSION, HeaderValue::from_static(VERSION));
        intake::explain(status, headers);
        intake.answered(status);
        response
    }
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "invalid",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::PAYLOAD_TOO_LARGE => "request too large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported media type",
        StatusCode::TOO_MANY_REQUESTS => "too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "internal error",
    }
}

async fn write_1(
    State(intake): State<Arc<Intake>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    Words::InfluxDb1.answer(&intake, taken(&intake, &asked, &headers, body).await)
}

async fn write_2(
    State(intake): State<Arc<Intake>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    Words::InfluxDb2.answer(&intake, taken(&intake, &asked, &headers, body).await)
}

async fn taken(intake: &Arc<Intake>, asked: &Asked, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    let ((precision, is_packed), body) = intake::unless_refused(found(intake, asked, headers), headers, body).await?;
    let (bytes_max, too_large) = (intake.request_bytes_max(), intake.too_large());
    let read = intake.take(body, bytes_max, move |body, mapping, known, now| {
        let text = if is_packed { unpacked(body, bytes_max)? } else { Some(Cow::Borrowed(&**body)) };
        let Some(text) = text else { return Err(too_large) };
        points::read(mapping, precision, &text, known, now).ok_or(too_large)
    });
    told(intake, read.await?)
}

/// Unit of the timestamps, and whether the body is packed, of a request that is let in.
fn found(intake: &Intake, asked: &Asked, headers: &HeaderMap) -> Result<(Precision, bool), Refusal> {
    intake.admits(given(headers, asked).as_deref(), "Authorization: Token TOKEN")?;
    let precision = Precision::named(&asked.precision).map_err(Refusal::bad)?;
    Ok((precision, is_packed(headers)?))
}

/// What is said of samples that are on the log, and of the others: first of those that can come again.
fn told(intake: &Intake, read: Read) -> Result<(), Refusal> {
    match read.why {
        _ if read.beyond > 0 => Err(intake.too_many_series(read.beyond)),
        Some(why) => Err(Refusal::bad(why)),
        None => Ok(()),
    }
}

/// What a request gives as the token: InfluxDB 2 and 1 have other places for it.
fn given(headers: &HeaderMap, asked: &Asked) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, credentials)) = authorization.and_then(|value| value.split_once(' ')) else {
        return (!asked.p.is_empty()).then(|| asked.p.clone());
    };
    let credentials = credentials.trim();
    match scheme.to_ascii_lowercase().as_str() {
        // Clients of InfluxDB 2 that write to version 1 send user and password as a token.
        "token" => Some(credentials.split_once(':').map_or(credentials, |(_, password)| password).to_owned()),
        "bearer" => Some(credentials.to_owned()),
        "basic" => {
            let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
            decoded.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// Whether the body is packed.
fn is_packed(headers: &HeaderMap) -> Result<bool, Refusal> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        _ => {
            let message = format!("Content-Encoding {encoding:?}: gzip is read, or none");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

/// The text of a packed body; `None` where it is larger than allowed.
fn unpacked(body: &[u8], bytes_max: usize) -> Result<Option<Cow<'static, [u8]>>, Refusal> {
    let text = gzip::unpacked(body, bytes_max);
    let text = text.map_err(|error| Refusal::bad(format!("the body is not packed with gzip: {error}")))?;
    Ok(text.map(Cow::Owned))
}

/// Telegraf asks for its database to be made before it writes; there is nothing to be made.
async fn query(
    State(intake): State<Arc<Intake>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let statement = match axum::body::to_bytes(body, STATEMENT_BYTES_MAX).await {
        Ok(form) if asked.q.is_empty() => {
            let mut pairs = url::form_urlencoded::parse(&form);
            pairs.find(|(key, _)| key == "q").map(|(_, value)| value.into_owned()).unwrap_or_default()
        }
        _ => asked.q.clone(),
    };
    if let Err(refusal) = intake.admits(given(&headers, &asked).as_deref(), "Authorization: Token TOKEN") {
        return Words::InfluxDb1.answer(&intake, Err(refusal));
    }
    if statement.trim_start().to_ascii_uppercase().starts_with("CREATE DATABASE") {
        return Json(json!({ "results": [{ "statement_id": 0 }] })).into_response();
    }
    Words::InfluxDb1.answer(&intake, Err(Refusal::bad("Prescale takes points and answers no queries")))
}

const STATEMENT_BYTES_MAX: usize = 1 << 16;

async fn ping() -> Response {
    (StatusCode::NO_CONTENT, [(INFLUXDB_VERSION, VERSION)]).into_response()
}

async fn health() -> Response {
    let message = "ready for writes";
    Json(json!({ "name": "influxdb", "message": message, "status": "pass", "checks": [], "version": VERSION }))
        .into_response()
}
