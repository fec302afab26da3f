//! What a request goes through, whichever protocol it came by: who may write, how much, and the way to the log.

use super::known::Known;
use super::mapping::{Mapping, POINTS_MAX, Read};
use super::writer::Job;
use crate::clock;
use crate::config::ReceiverKeys;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use prescale_bus::OutputRecord;
use prescale_chassis::listen_access::bearer;
use prescale_chassis::{Secret, output_record};
use prescale_contracts::{Contract, ContractError, Envelope, topics};
use prescale_domain::point::Point;
use prescale_domain::time::EventTime;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Requests that are in memory at a time; others wait with their bodies unread.
const AT_ONCE_MAX: usize = 4;
/// A body has to be here within this.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// So much of a body that is refused is read all the same.
const PASSED_OVER_MAX: usize = 64 << 20;
/// When to try again, in seconds, where there was no room.
pub(crate) const RETRY_AFTER_S: u8 = 5;

/// Why a request was not taken.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    /// The status of HTTP that says so.
    pub(crate) status: StatusCode,
    /// For people.
    pub(crate) message: String,
}

impl Refusal {
    /// With this status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// It cannot be read.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no room now.
    fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

/// Whether a request with this answer can be sent again, later.
pub(crate) fn can_come_again(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// Adds what goes with a status: when to try again, or how to get in.
pub(crate) fn explain(status: StatusCode, headers: &mut HeaderMap) {
    if can_come_again(status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(u16::from(RETRY_AFTER_S)));
    } else if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"prescale\""));
    }
}

/// What was found of a request before its body is read, with the body. Where that is a refusal, the body is passed over first.
///
/// # Errors
/// With the refusal.
pub(crate) async fn unless_refused<T>(
    found: Result<T, Refusal>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Body), Refusal> {
    match found {
        Ok(found) => Ok((found, body)),
        Err(refusal) => {
            pass_over(headers, body).await;
            Err(refusal)
        }
    }
}

/// Reads a body that is refused, and keeps nothing of it: who is still sending when the connection ends does not hear why it
/// was. Who waits to be told to send it is not told to.
pub(crate) async fn pass_over(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        // What comes no more needs no answer.
        let _ = timeout(READ_WITHIN, thrown_away(body)).await;
    }
}

async fn thrown_away(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > PASSED_OVER_MAX {
            break;
        }
    }
}

/// A body; `None` where it is longer than allowed, and then the rest of it is passed over.
async fn collected(mut body: Body, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if collected.len() + data.len() > bytes_max {
            drop(collected);
            thrown_away(body).await;
            return Ok(None);
        }
        collected.extend_from_slice(&data);
    }
    Ok(Some(collected.into()))
}

/// What requests are taken with.
pub(crate) struct Intake {
    section: &'static str,
    kind: &'static str,
    /// Empty for none.
    token: Secret,
    request_bytes_max: usize,
    mapping: Mapping,
    known: Mutex<Known>,
    /// Name of the source of the records.
    source: Arc<str>,
    jobs: mpsc::Sender<Job>,
    permits: Semaphore,
}

impl Intake {
    /// By a section, with records going to `jobs`.
    pub(super) fn new(keys: &ReceiverKeys<'_>, mapping: Mapping, source: Arc<str>, jobs: mpsc::Sender<Job>) -> Self {
        Self {
            section: keys.section,
            kind: keys.kind,
            token: keys.token.clone(),
            request_bytes_max: keys.request_bytes_max,
            mapping,
            known: Mutex::new(Known::new(keys.series_max)),
            source,
            jobs,
            permits: Semaphore::new(AT_ONCE_MAX),
        }
    }

    /// Largest request, in bytes, after decompression.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.request_bytes_max
    }

    /// That a request is larger.
    pub(crate) fn too_large(&self) -> Refusal {
        let (most, section) = (self.request_bytes_max, self.section);
        let message = format!(
            "a request may have {most} bytes after decompression ([{section}] request_bytes_max), and {POINTS_MAX} points\n"
        );
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// That samples are of more series than there may be.
    pub(crate) fn too_many_series(&self, samples: u64) -> Refusal {
        let message = format!("{samples} samples are of more series than [{}] series_max allows\n", self.section);
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// Lets those in who have the token, where there is one.
    ///
    /// # Errors
    /// When the request does not have it.
    pub(crate) fn lets_in(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.admits(bearer(headers), "Authorization: Bearer TOKEN")
    }

    /// Lets those in who have given the token, where there is one; others are told the `way` to give it.
    ///
    /// # Errors
    /// When it is not what was given.
    pub(crate) fn admits(&self, given: Option<&str>, way: &str) -> Result<(), Refusal> {
        if self.token.expose().is_empty() || given.is_some_and(|given| self.token.is(given)) {
            return Ok(());
        }
        let message = format!("send the token of [{}] token as `{way}`\n", self.section);
        Err(Refusal::new(StatusCode::UNAUTHORIZED, message))
    }

    /// Takes a body of at most so many bytes, has `read` make points of it, and is back when those are on the log.
    /// `read` runs where it may take its time, one at a time, and is given the instant that it is.
    ///
    /// # Errors
    /// When nothing is on the log, and why.
    pub(crate) async fn take<F>(self: &Arc<Self>, body: Body, body_bytes_max: usize, read: F) -> Result<Read, Refusal>
    where
        F: FnOnce(&Bytes, &Mapping, &mut Known, EventTime) -> Result<Read, Refusal> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.map_err(|_| Refusal::busy("the receiver is stopping\n"))?;
        let body = timeout(READ_WITHIN, collected(body, body_bytes_max)).await;
        // Whoever sends takes any status of its own fault for the last word, also that of a request that took too long.
        let body = body.map_err(|_| Refusal::busy("the body did not come in time\n"))?;
        let body = body.map_err(|error| Refusal::bad(format!("the body broke off: {error}\n")))?;
        let body = body.ok_or_else(|| self.too_large())?;
        let intake = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || intake.made(&body, read)).await;
        let (read, records) = made.map_err(|_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "it could not be read: see the log of Prescale\n")
        })??;
        if !records.is_empty() {
            let (done, written) = oneshot::channel();
            let sent = self.jobs.try_send(Job { records, done });
            sent.map_err(|_| Refusal::busy("too many requests wait for the log\n"))?;
            let written = written.await.map_err(|_| Refusal::busy("the receiver is stopping\n"))?;
            written.map_err(Refusal::busy)?;
        }
        self.count(&read);
        Ok(read)
    }

    /// What `read` makes of a body, and its points as records.
    fn made<F>(&self, body: &Bytes, read: F) -> Result<(Read, Vec<OutputRecord>), Refusal>
    where
        F: FnOnce(&Bytes, &Mapping, &mut Known, EventTime) -> Result<Read, Refusal>,
    {
        let mut read = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            read(body, &self.mapping, &mut known, clock::now())?
        };
        let mut points = std::mem::take(&mut read.points);
        // A request may have minutes of one series before the next one: those of that would come too late.
        points.sort_by_key(|point| point.at);
        let records = points.iter().map(|point| point_record(&self.source, point)).collect::<Result<Vec<_>, _>>();
        records.map(|records| (read, records)).map_err(|error| Refusal::bad(format!("{error}\n")))
    }

    /// Counts what samples that are on the log, and the others, came to, and names metrics that are left out.
    fn count(&self, read: &Read) {
        if !read.left_out_metrics.is_empty() {
            let metrics = read.left_out_metrics.join(", ");
            tracing::info!(source = &*self.source, "left out, since no rule of the preset names them: {metrics}");
        }
        let Read { samples, left_out, refused, beyond, spare, .. } = *read;
        let counted = [
            ("written", samples),
            ("left_out", left_out),
            ("refused", refused),
            ("beyond", beyond),
            ("spare_replica", spare),
        ];
        for (what, samples) in counted {
            metrics::counter!("prescale_collector_received_samples_total", "by" => self.kind, "what" => what)
                .increment(samples);
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        let status = status.as_str().to_owned();
        metrics::counter!("prescale_collector_received_requests_total", "by" => self.kind, "status" => status)
            .increment(1);
    }
}

/// A point of a source as a record. One that comes again is the same.
///
/// # Errors
/// When it breaks its contract.
pub(crate) fn point_record(source: &str, point: &Point) -> Result<OutputRecord, ContractError> {
    let place = format!("{}/{}", point.measured.name(), point.series);
    let envelope = Envelope::root(source, Point::EVENT_TYPE, &point.workload, point.at, &place);
    output_record(&envelope, topics::RAW_POINTS, point)
}
