//! Requests of remote write over HTTP: who may write, what is taken, and what is said to it.

use super::known::Known;
use super::points::{Mapping, Read, Unusable};
use super::wire::{Malformed, Version};
use crate::clock;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prescale_bus::OutputRecord;
use prescale_chassis::{Secret, output_record};
use prescale_contracts::{Contract, ContractError, Envelope, topics};
use prescale_domain::point::Point;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Where senders write to.
pub(super) const PATH: &str = "/api/v1/write";
/// Requests that are in memory at a time; others wait with their bodies unread.
const AT_ONCE_MAX: usize = 4;
/// A body has to be here within this.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// When to try again, in seconds, where there was no room.
const RETRY_AFTER_S: &str = "5";

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// Records on their way to the log.
pub(super) struct Job {
    /// The records.
    pub(super) records: Vec<OutputRecord>,
    /// Hears whether they are there, or why not.
    pub(super) done: oneshot::Sender<Result<(), String>>,
}

/// What requests are answered with.
pub(super) struct Receiver {
    pub(super) mapping: Mapping,
    pub(super) known: Mutex<Known>,
    /// Name of the source of the records.
    pub(super) source: Arc<str>,
    /// Empty for none.
    pub(super) token: Secret,
    pub(super) request_bytes_max: usize,
    pub(super) jobs: mpsc::Sender<Job>,
}

/// The whole application.
pub(super) fn router(receiver: Receiver) -> Router {
    let shared = Shared { receiver: Arc::new(receiver), permits: Arc::new(Semaphore::new(AT_ONCE_MAX)) };
    Router::new().route(PATH, post(write)).with_state(shared)
}

#[derive(Clone)]
struct Shared {
    receiver: Arc<Receiver>,
    permits: Arc<Semaphore>,
}

/// What is said to a request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    samples_written: u64,
    message: String,
}

impl Answer {
    /// That nothing was written, and why.
    fn refusal(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, samples_written: 0, message: message.into() }
    }

    fn busy(message: impl Into<String>) -> Self {
        Self::refusal(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        let headers = response.headers_mut();
        headers.insert(SAMPLES_WRITTEN, HeaderValue::from(self.samples_written));
        for name in [HISTOGRAMS_WRITTEN, EXEMPLARS_WRITTEN] {
            headers.insert(name, HeaderValue::from_static("0"));
        }
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"prescale\""));
            }
            _ => {}
        }
        response
    }
}

async fn write(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let answer = taken(&shared, &headers, body).await.unwrap_or_else(|refusal| refusal);
    metrics::counter!("prescale_collector_remote_write_requests_total", "status" => answer.status.as_str().to_owned())
        .increment(1);
    answer.into_response()
}

async fn taken(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Answer, Answer> {
    let receiver = &shared.receiver;
    lets_in(&receiver.token, headers)?;
    let version = version_of(headers)?;
    let _permit = shared.permits.acquire().await.map_err(|_| Answer::busy("the receiver is stopping"))?;
    let body_bytes_max = snap::raw::max_compress_len(receiver.request_bytes_max);
    let too_large = |_| Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, receiver.too_large());
    let body = timeout(READ_WITHIN, to_bytes(body, body_bytes_max)).await;
    let body = body.map_err(|_| Answer::refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come"))?;
    let body = body.map_err(too_large)?;
    let reader = Arc::clone(receiver);
    let read = tokio::task::spawn_blocking(move || reader.read(version, &body)).await;
    let (read, records) =
        read.map_err(|_| Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "it could not be read: see the log"))??;
    if !records.is_empty() {
        let (done, written) = oneshot::channel();
        let sent = receiver.jobs.try_send(Job { records, done });
        sent.map_err(|_| Answer::busy("too many requests wait for the log"))?;
        let written = written.await.map_err(|_| Answer::busy("the receiver is stopping"))?;
        written.map_err(Answer::busy)?;
    }
    Ok(told(read))
}

/// What is said of samples that are on the log, and of the others.
fn told(read: Read) -> Answer {
    let Read { samples, left_out, refused, beyond, .. } = read;
    let counted = [("written", samples), ("left_out", left_out), ("refused", refused), ("beyond", beyond)];
    for (what, samples) in counted {
        metrics::counter!("prescale_collector_remote_write_samples_total", "what" => what).increment(samples);
    }
    let (status, message) = match read.why {
        Some(why) => (StatusCode::BAD_REQUEST, format!("{refused} samples were refused: {why}\n")),
        None if beyond > 0 => {
            let message =
                format!("{beyond} samples are of more series than [collector.remote_write] series_max allows\n");
            (StatusCode::TOO_MANY_REQUESTS, message)
        }
        None => (StatusCode::NO_CONTENT, String::new()),
    };
    Answer { status, samples_written: samples, message }
}

fn lets_in(token: &Secret, headers: &HeaderMap) -> Result<(), Answer> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = authorization.and_then(|value| value.strip_prefix("Bearer "));
    if token.expose().is_empty() || given.is_some_and(|given| token.is(given)) {
        return Ok(());
    }
    let message = "send the token of [collector.remote_write] token as `Authorization: Bearer TOKEN`";
    Err(Answer::refusal(StatusCode::UNAUTHORIZED, message))
}

/// Which message a request says to be: that of 1.0 where it does not say.
fn version_of(headers: &HeaderMap) -> Result<Version, Answer> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unsupported = |message: String| Answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
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

impl Receiver {
    fn too_large(&self) -> String {
        let most = self.request_bytes_max;
        format!("a request may have {most} bytes after decompression: see [collector.remote_write] request_bytes_max\n")
    }

    /// What a body comes to, and its points as records. Nothing is decompressed that is larger than allowed.
    fn read(&self, version: Version, body: &Bytes) -> Result<(Read, Vec<OutputRecord>), Answer> {
        let bad = |message: String| Answer::refusal(StatusCode::BAD_REQUEST, message);
        let too_large = || Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, self.too_large());
        let no_snappy = |error: snap::Error| match error {
            snap::Error::TooBig { .. } => too_large(),
            error => bad(format!("the body is no block of snappy: {error}\n")),
        };
        if snap::raw::decompress_len(body).map_err(no_snappy)? > self.request_bytes_max {
            return Err(too_large());
        }
        let message = snap::raw::Decoder::new().decompress_vec(body).map_err(no_snappy)?;
        let read = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            self.mapping.read(version, &message, &mut known, clock::now())
        };
        let mut read = read.map_err(|unusable| match unusable {
            Unusable::Malformed(Malformed(why)) => bad(format!("the body is no message of its version: {why}\n")),
            Unusable::TooMany => too_large(),
        })?;
        let mut points = std::mem::take(&mut read.points);
        // A request may have minutes of one series before the next one: those of that would come too late.
        points.sort_by_key(|point| point.at);
        let records = points.iter().map(|point| self.record(point)).collect::<Result<Vec<_>, _>>();
        records.map(|records| (read, records)).map_err(|error| bad(error.to_string()))
    }

    /// A point that comes again is the same record.
    fn record(&self, point: &Point) -> Result<OutputRecord, ContractError> {
        let place = format!("{}/{}", point.measured.name(), point.series);
        let envelope = Envelope::root(&self.source, Point::EVENT_TYPE, &point.workload, point.at, &place);
        output_record(&envelope, topics::RAW_POINTS, point)
    }
}
