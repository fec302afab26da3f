//! What the archiver needs of InfluxDB 2, which no distribution has: its API for writing, over TLS, with a token, and
//! with what such a server refuses and when it is away.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bus_tests::kafka_listeners::Ca;
use prescale_chassis::{ListenTlsConfig, listen};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The organisation that it knows.
pub const ORG: &str = "fleet & co";
/// The only bucket.
pub const BUCKET: &str = "prescale";
/// The token that may write there.
pub const TOKEN: &str = "swordfish";
/// A longer body is too large for it.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// It is away for so many requests that it would take.
const AWAY_FOR: u64 = 3;

/// A measurement with its tags and an instant in milliseconds: what makes a point.
pub type Series = (String, i64);
/// Fields by name, as they were written.
pub type Fields = BTreeMap<String, String>;

#[derive(Default)]
struct Kept {
    points: BTreeMap<Series, Fields>,
    /// How often it gave each status.
    answers: BTreeMap<u16, u64>,
}

/// A server of one's own on loopback; it ends when this is dropped.
pub struct Influxdb2 {
    folder: TempDir,
    url: String,
    kept: Arc<Mutex<Kept>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Influxdb2 {
    /// Starts one whose certificate is signed by a CA of its own.
    ///
    /// # Panics
    /// When there is no place for it.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("the folder is writable");
            path
        };
        let ca = Ca::new("the store's CA");
        let server = ca.issue("store", &["127.0.0.1"]);
        put("ca.pem", &ca.certificate);
        let tls = ListenTlsConfig {
            certificate_file: put("store.pem", &server.certificate),
            key_file: put("store-key.pem", &server.key),
            client_ca_file: PathBuf::new(),
        };
        let tls = tls.read("store.tls").expect("the files can be used");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let url = format!("https://{}", listener.local_addr().expect("a bound port"));
        let (kept, stop) = (Arc::<Mutex<Kept>>::default(), CancellationToken::new());
        let app = Router::new().route("/api/v2/write", post(write)).with_state(Arc::clone(&kept));
        let stopped = stop.clone();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(listen::serve(listener, tls, app, &stopped, Duration::ZERO)).expect("it serves");
        };
        Self { folder, url, kept, stop, thread: Some(std::thread::spawn(serve)) }
    }

    /// Where its API begins.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate that its own is checked against.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What it has.
    pub fn points(&self) -> BTreeMap<Series, Fields> {
        locked(&self.kept).points.clone()
    }

    /// How often it gave an answer of this status.
    pub fn answers(&self, status: u16) -> u64 {
        locked(&self.kept).answers.get(&status).copied().unwrap_or(0)
    }
}

impl Drop for Influxdb2 {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It has said so if it panicked.
            let _ = thread.join();
        }
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(
    State(kept): State<Arc<Mutex<Kept>>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut kept = locked(&kept);
    let (status, code, message) = judged(&mut kept, &query, &headers, &body);
    *kept.answers.entry(status.as_u16()).or_default() += 1;
    let words = serde_json::json!({ "code": code, "message": message });
    (status, if status == StatusCode::NO_CONTENT { String::new() } else { words.to_string() })
}

/// Status, code and message, as the documentation of its API has them.
fn judged(
    kept: &mut Kept,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &[u8],
) -> (StatusCode, &'static str, String) {
    let said = |name: &str| query.get(name).map(String::as_str);
    let authorization = headers.get("Authorization").and_then(|value| value.to_str().ok());
    if authorization != Some(format!("Token {TOKEN}").as_str()) {
        return (StatusCode::UNAUTHORIZED, "unauthorized", "unauthorized access".to_owned());
    }
    if (said("org"), said("bucket"), said("precision")) != (Some(ORG), Some(BUCKET), Some("ms")) {
        return (StatusCode::NOT_FOUND, "not found", format!("no bucket as {query:?} has it"));
    }
    if kept.answers.get(&StatusCode::SERVICE_UNAVAILABLE.as_u16()).is_none_or(|times| *times < AWAY_FOR) {
        return (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "it starts".to_owned());
    }
    if body.len() > BODY_BYTES_MAX {
        return (StatusCode::PAYLOAD_TOO_LARGE, "request too large", format!("{} bytes", body.len()));
    }
    let text = String::from_utf8_lossy(body);
    let points: Option<Vec<(Series, Fields)>> = text.lines().map(point).collect();
    match points {
        Some(points) if points.is_empty() => (StatusCode::BAD_REQUEST, "invalid", "writing requires points".to_owned()),
        Some(points) => {
            for (series, fields) in points {
                kept.points.entry(series).or_default().extend(fields);
            }
            (StatusCode::NO_CONTENT, "", String::new())
        }
        None => (StatusCode::BAD_REQUEST, "invalid", format!("unable to parse {text:?}")),
    }
}

/// A line of which no name or text holds what would have to be escaped.
fn point(line: &str) -> Option<(Series, Fields)> {
    let [series, fields, at_ms] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let field = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields: Option<Fields> = fields.split(',').map(field).collect();
    Some(((series.to_owned(), at_ms.parse().ok()?), fields?))
}
