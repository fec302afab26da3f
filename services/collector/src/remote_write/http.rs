//! Requests of remote write over HTTP: what is taken, and what is said to it.

use super::points::{self, Unusable};
use super::replicas::Chooser;
use super::wire::{Malformed, Version};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::{Intake, Refusal, intake};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prescale_domain::time::EventTime;
use std::sync::{Arc, Mutex, PoisonError};

/// Where senders write to.
pub(super) const PATH: &str = "/api/v1/write";

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The whole application.
pub(super) fn router(intake: Arc<Intake>, chooser: Chooser) -> Router {
    let shared = Shared { intake, chooser: Arc::new(Mutex::new(chooser)) };
    Router::new().route(PATH, post(write)).with_state(shared)
}

#[derive(Clone)]
struct Shared {
    intake: Arc<Intake>,
    chooser: Arc<Mutex<Chooser>>,
}

/// What is said to a request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    /// `None` where the version of the request knows no such thing.
    samples_written: Option<u64>,
    message: String,
}

impl From<Refusal> for Answer {
    fn from(Refusal { status, message }: Refusal) -> Self {
        Self { status, samples_written: Some(0), message }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        let headers = response.headers_mut();
        if let Some(samples_written) = self.samples_written {
            headers.insert(SAMPLES_WRITTEN, HeaderValue::from(samples_written));
            for name in [HISTOGRAMS_WRITTEN, EXEMPLARS_WRITTEN] {
                headers.insert(name, HeaderValue::from_static("0"));
            }
        }
        intake::explain(self.status, headers);
        response
    }
}

async fn write(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let answer = taken(&shared, &headers, body).await.unwrap_or_else(Answer::from);
    shared.intake.answered(answer.status);
    answer.into_response()
}

async fn taken(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Answer, Refusal> {
    let intake = &shared.intake;
    let found = intake.lets_in(headers).and_then(|()| version_of(headers));
    let (version, body) = intake::unless_refused(found, headers, body).await?;
    let message_bytes_max = intake.request_bytes_max();
    let (body_bytes_max, too_large) = (snap::raw::max_compress_len(message_bytes_max), intake.too_large());
    let chooser = Arc::clone(&shared.chooser);
    let read = intake.take(body, body_bytes_max, move |body, mapping, known, now| {
        let Some(message) = unpacked(body, message_bytes_max)? else { return Err(too_large) };
        let mut chooser = chooser.lock().unwrap_or_else(PoisonError::into_inner);
        points_of(version, &message, mapping, known, &mut chooser, now)?.ok_or(too_large)
    });
    Ok(told(intake, version, read.await?))
}

/// What is said of samples that are on the log, and of the others: first of those that can come again.
fn told(intake: &Intake, version: Version, read: Read) -> Answer {
    let (status, message) = match read.why {
        _ if read.beyond > 0 => {
            let Refusal { status, message } = intake.too_many_series(read.beyond);
            (status, message)
        }
        Some(why) => (StatusCode::BAD_REQUEST, format!("{} samples were refused: {why}\n", read.refused)),
        // Nothing is wrong, and nothing was written.
        None if read.spare > 0 && read.samples == 0 => {
            (StatusCode::ACCEPTED, "another replica of the same cluster is taken\n".to_owned())
        }
        None => (StatusCode::NO_CONTENT, String::new()),
    };
    Answer { status, samples_written: (version == Version::Two).then_some(read.samples), message }
}

/// The message in a body; `None` where it is larger than allowed, and nothing of it is decompressed then.
fn unpacked(body: &[u8], bytes_max: usize) -> Result<Option<Vec<u8>>, Refusal> {
    let unpacked = match snap::raw::decompress_len(body) {
        Ok(length) if length > bytes_max => return Ok(None),
        Ok(_) => snap::raw::Decoder::new().decompress_vec(body),
        Err(error) => Err(error),
    };
    match unpacked {
        Ok(message) => Ok(Some(message)),
        Err(snap::Error::TooBig { .. }) => Ok(None),
        Err(error) => Err(Refusal::bad(format!("the body is no block of snappy: {error}\n"))),
    }
}

/// The points of a message; `None` where it has more than one request may.
fn points_of(
    version: Version,
    message: &[u8],
    mapping: &Mapping,
    known: &mut Known,
    chooser: &mut Chooser,
    now: EventTime,
) -> Result<Option<Read>, Refusal> {
    match points::read(mapping, version, message, known, chooser, now) {
        Ok(read) => Ok(Some(read)),
        Err(Unusable::TooMany) => Ok(None),
        Err(Unusable::Malformed(Malformed(why))) => {
            Err(Refusal::bad(format!("the body is no message of its version: {why}\n")))
        }
    }
}

/// Which message a request says to be: that of 1.0 where it does not say.
fn version_of(headers: &HeaderMap) -> Result<Version, Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unsupported = |message: String| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let encoding = text(header::CONTENT_ENCODING);
    if !encoding.eq_ignore_ascii_case("snappy") {
        return Err(unsupported(format!("Content-Encoding {encoding:?}: snappy is read")));
    }
    let content_type = text(header::CONTENT_TYPE);
    let mut parts = content_type.split(';').map(str::trim);
    let is_protobuf = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf"));
    let message = parts.find_map(|part| part.strip_prefix("proto="));
    match message.unwrap_or("prometheus.WriteRequest") {
        "prometheus.WriteRequest" if is_protobuf => Ok(Version::One),
        "io.prometheus.write.v2.Request" if is_protobuf => Ok(Version::Two),
        _ => Err(unsupported(format!(
            "Content-Type {content_type:?}: application/x-protobuf is read, with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
        ))),
    }
}
