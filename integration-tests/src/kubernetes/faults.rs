//! What stands between clients and a cloud's API server and makes mistakes by a script: it refuses, gives another answer to what
//! has taken effect, or none. It must not know who is tested.

use super::Cluster;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode, header};
use prescale_chassis::{ListenTls, ListenTlsConfig, listen};
use serde_json::json;
use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use ureq::Agent;

/// A longer body is a mistake of the client.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Headers of one connection, which do not go on to the next.
const OF_CONNECTION: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: it goes on to the server.
    Passed,
    /// It goes nowhere, and this is the answer.
    Refused {
        /// Status of the answer.
        status: u16,
        /// Its `Retry-After`, in seconds.
        retry_after_s: Option<u32>,
    },
    /// The server answers, and the client is told this instead.
    AnsweredAfter {
        /// Status of the answer.
        status: u16,
    },
    /// It goes nowhere, and nothing is ever answered.
    Silent,
    /// The server answers, and the client never hears of it.
    SilentAfter,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query; empty where there is none.
    pub query: String,
    /// Its body, as text.
    pub body: String,
}

impl Seen {
    /// Whether it is to change something, and not only to be checked.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.query.contains("dryRun=All")
    }
}

type Applies = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct Play {
    scripts: Vec<(Applies, VecDeque<Fault>)>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Upstream {
    play: Arc<Mutex<Play>>,
    agent: Agent,
    url: String,
}

/// A proxy before one API server; it ends when this is dropped.
pub struct Proxy {
    url: String,
    play: Arc<Mutex<Play>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one, under the certificate of the server itself. Without a script everything passes.
    ///
    /// # Panics
    /// When there is no place for it.
    pub fn before(cluster: &Cluster) -> Self {
        let file = |name: &str| cluster.ca_file().with_file_name(name);
        let tls = ListenTlsConfig {
            certificate_file: file("server.pem"),
            key_file: file("server-key.pem"),
            client_ca_file: PathBuf::new(),
        };
        let tls = tls.read("proxy.tls").expect("the files can be used");
        Self::start(tls, "https", cluster.agent(None), cluster.url())
    }

    /// Starts one that speaks plain HTTP before a server that does. Without a script everything passes.
    ///
    /// # Panics
    /// When there is no place for it.
    pub fn before_plain(url: &str) -> Self {
        let agent = Agent::config_builder().proxy(None).http_status_as_error(false).build();
        Self::start(None, "http", agent.into(), url.to_owned())
    }

    fn start(tls: Option<ListenTls>, scheme: &str, agent: Agent, upstream: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("a bound port"));
        let (play, stop) = (Arc::<Mutex<Play>>::default(), CancellationToken::new());
        let upstream = Upstream { play: Arc::clone(&play), agent, url: upstream };
        let app = Router::new().fallback(answer).with_state(upstream);
        let stopped = stop.clone();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(listen::serve(listener, tls, app, &stopped, Duration::ZERO)).expect("it serves");
        };
        Self { url, play, stop, thread: Some(std::thread::spawn(serve)) }
    }

    /// Where clients are to take the API for.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What becomes of the next requests that this applies to, one after the other; those after them pass. Where several
    /// scripts apply, the first that has something left does.
    pub fn script(&self, applies: impl Fn(&Seen) -> bool + Send + 'static, faults: &[Fault]) {
        locked(&self.play).scripts.push((Box::new(applies), faults.iter().copied().collect()));
    }

    /// Whether all that is in the scripts has happened.
    pub fn is_played(&self) -> bool {
        locked(&self.play).scripts.iter().all(|(_, left)| left.is_empty())
    }

    /// All that came.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.play).seen.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It has said so if it panicked.
            let _ = thread.join();
        }
    }
}

fn locked(play: &Mutex<Play>) -> MutexGuard<'_, Play> {
    play.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Play {
    fn next(&mut self, seen: Seen) -> Fault {
        let script = self.scripts.iter_mut().find(|(applies, left)| !left.is_empty() && applies(&seen));
        let fault = script.and_then(|(_, left)| left.pop_front());
        self.seen.push(seen);
        fault.unwrap_or(Fault::Passed)
    }
}

async fn answer(State(upstream): State<Upstream>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE.as_u16(), None);
    };
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let fault = locked(&upstream.play).next(seen);
    match fault {
        Fault::Passed => passed(upstream, parts, body).await,
        Fault::Refused { status, retry_after_s } => refusal(status, retry_after_s),
        Fault::AnsweredAfter { status } => {
            passed(upstream, parts, body).await;
            refusal(status, None)
        }
        Fault::Silent => std::future::pending().await,
        Fault::SilentAfter => {
            passed(upstream, parts, body).await;
            std::future::pending().await
        }
    }
}

/// An answer in the API server's words.
fn refusal(status: u16, retry_after_s: Option<u32>) -> Response<Body> {
    let reason = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    let said = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("{status} by the test's script"),
        "reason": reason,
        "code": status,
    });
    let mut answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after_s {
        answer = answer.header(header::RETRY_AFTER, seconds);
    }
    answer.body(Body::from(said.to_string())).expect("the answer is well formed")
}

/// The server's own answer. A thread reads it, since it may come slowly.
async fn passed(upstream: Upstream, parts: Parts, body: Bytes) -> Response<Body> {
    let (head, heard) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || match asked(&upstream, &parts, &body) {
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            if head.send(parts).is_ok() {
                read(body.into_reader(), &sender);
            }
        }
        Err(error) => eprintln!("{} {}: the proxy hears nothing: {error}", parts.method, parts.uri),
    });
    let Ok(head) = heard.await else { return refusal(StatusCode::BAD_GATEWAY.as_u16(), None) };
    let body = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<std::io::Result<Bytes>>| async move {
        receiver.recv().await.map(|part| (part, receiver))
    });
    let mut answer = Response::builder().status(head.status);
    for (name, value) in head.headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str())) {
        answer = answer.header(name, value);
    }
    answer.body(Body::from_stream(body)).expect("the answer is well formed")
}

fn asked(upstream: &Upstream, parts: &Parts, body: &Bytes) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let place = parts.uri.path_and_query().map_or("/", |place| place.as_str());
    let mut request = Request::builder().method(parts.method.clone()).uri(format!("{}{place}", upstream.url));
    for (name, value) in parts.headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str())) {
        request = request.header(name, value);
    }
    if body.is_empty() {
        upstream.agent.run(request.body(())?)
    } else {
        upstream.agent.run(request.body(body.to_vec())?)
    }
}

/// Hands on what is read until nobody wants it any more.
fn read(mut from: impl Read, to: &mpsc::Sender<std::io::Result<Bytes>>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let part = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
            Err(error) => Err(error),
        };
        let has_broken_off = part.is_err();
        if to.blocking_send(part).is_err() || has_broken_off {
            return;
        }
    }
}
