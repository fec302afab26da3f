//! The scaler over real HTTP/2, asked as KEDA asks it.

use crate::exposition::Shown;
use crate::forecasts::{Forecast, Forecasts, Terms};
use crate::http;
use crate::message::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, SERVICE, ScaledObjectRef,
};
use crate::server::{Server, Shared};
use crate::testing::{at, forecast, id, parsed, scaled_object};
use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use h2::RecvStream;
use h2::client::SendRequest;
use prescale_chassis::{Secret, listen};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::selector::Selector;
use prost::Message;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const WEB: &str = "shop/Deployment/web";
const METRIC: &str = "prescale-cpu_cores_used";
const WITHIN: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_millis(200);
const NOT_FOUND: u16 = 5;
const UNAVAILABLE: u16 = 14;

/// A scaler that is told what there is, and which minute it is.
struct Scaler {
    address: SocketAddr,
    shared: Arc<Shared>,
    minute: Arc<AtomicI64>,
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Scaler {
    fn start(token: &str, streams_max: usize) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), token, streams_max)
    }

    fn start_at(address: SocketAddr, token: &str, streams_max: usize) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let forecasts = Forecasts::new(Terms { workloads_max: 9, stale_after_s: 900 });
        let shared = Arc::new(Shared::new(forecasts));
        shared.change(Forecasts::mark_whole);
        let (minute, stop) = (Arc::new(AtomicI64::new(0)), CancellationToken::new());
        let of_clock = Arc::clone(&minute);
        let selector = Selector::new(&[], &[]).unwrap();
        let server = Server {
            shared: Arc::clone(&shared),
            clock: Arc::new(move || at(of_clock.load(Ordering::SeqCst))),
            token: Secret::new(token),
            shown: Shown { platforms: vec![Platform::KUBERNETES], selector, quantiles: vec![0.9], series_max: 99 },
            streams: Arc::new(Semaphore::new(streams_max)),
            stop: stop.clone(),
        };
        let on_a_connection = streams_max as u32 + 9;
        let (app, until) = (http::router(Arc::new(server)), stop.clone());
        let serving = async move { listen::serve_streams(listener, None, app, on_a_connection, &until, DRAIN).await };
        Self { address, shared, minute, stop, serving: tokio::spawn(serving) }
    }

    fn know(&self, forecast: Forecast) {
        self.shared.change(|forecasts| forecasts.take(id(WEB), forecast, at(0)));
    }

    /// It is this minute, and whoever waits looks at the clock.
    fn is_minute(&self, minute: i64) {
        self.minute.store(minute, Ordering::SeqCst);
        self.shared.change(|_| ());
    }

    async fn client(&self) -> Client {
        let connection = TcpStream::connect(self.address).await.unwrap();
        let (requests, connection) = h2::client::handshake(connection).await.unwrap();
        tokio::spawn(connection);
        Client(requests)
    }

    async fn end(self) -> SocketAddr {
        self.stop.cancel();
        timeout(WITHIN, self.serving).await.unwrap().unwrap().unwrap();
        self.address
    }
}

/// A connection, as a ScaledObject has one.
struct Client(SendRequest<Bytes>);

impl Client {
    async fn request(&self, request: Request<()>, body: Bytes) -> Answers {
        let mut requests = timeout(WITHIN, self.0.clone().ready()).await.unwrap().unwrap();
        let (response, mut sending) = requests.send_request(request, false).unwrap();
        sending.send_data(body, true).unwrap();
        let (head, body) = timeout(WITHIN, response).await.unwrap().unwrap().into_parts();
        Answers { status: head.status.as_u16(), headers: head.headers, body, read: Vec::new() }
    }

    async fn open(&self, call: &str, headers: &[(&str, &str)], message: &impl Message) -> Answers {
        let mut framed = vec![0];
        framed.extend((message.encoded_len() as u32).to_be_bytes());
        framed.extend(message.encode_to_vec());
        let mut request = Request::post(format!("http://scaler{SERVICE}{call}"));
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let answers = self.request(request.body(()).unwrap(), framed.into()).await;
        assert_eq!((answers.status, answers.headers["content-type"].to_str().unwrap()), (200, "application/grpc"));
        answers
    }

    async fn call<A: Message + Default>(&self, call: &str, message: &impl Message) -> Result<A, u16> {
        let mut answers = self.open(call, &[], message).await;
        let answer = answers.next().await?;
        assert_eq!(answers.next::<A>().await.err(), Some(0), "it is one, and ends well");
        Ok(answer)
    }

    async fn stream(&self, call: &str, metadata: &[(&str, &str)]) -> Answers {
        self.open(call, &[], &scaled_object(metadata)).await
    }
}

/// What comes as an answer.
struct Answers {
    status: u16,
    headers: HeaderMap,
    body: RecvStream,
    read: Vec<u8>,
}

impl Answers {
    /// More of the body; `None` at its end, and where the connection is cut.
    async fn more(&mut self) -> Option<()> {
        let data = timeout(WITHIN, self.body.data()).await.unwrap()?.ok()?;
        self.body.flow_control().release_capacity(data.len()).unwrap();
        self.read.extend(data);
        Some(())
    }

    /// The next message, or the status of gRPC that it ended with; as for clients in general, that is
    /// [`UNAVAILABLE`] where the connection is cut.
    async fn next<A: Message + Default>(&mut self) -> Result<A, u16> {
        // Where nothing else comes the trailers are headers.
        let of_trailers =
            |headers: &HeaderMap| Some(headers.get("grpc-status")?.to_str().ok()?.parse::<u16>().unwrap());
        if let Some(status) = of_trailers(&self.headers) {
            return Err(status);
        }
        loop {
            if let Some((&[0, a, b, c, d], rest)) = self.read.split_first_chunk::<5>() {
                let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
                if let Some(message) = rest.get(..bytes) {
                    let message = A::decode(message).unwrap();
                    self.read.drain(..5 + bytes);
                    return Ok(message);
                }
            }
            if self.more().await.is_none() {
                let trailers = timeout(WITHIN, self.body.trailers()).await.unwrap();
                return Err(trailers.ok().flatten().and_then(|trailers| of_trailers(&trailers)).unwrap_or(UNAVAILABLE));
            }
        }
    }

    /// The next spec's metric and target.
    async fn next_spec(&mut self) -> Result<(String, f64), u16> {
        self.next::<GetMetricSpecResponse>().await.map(|specs| {
            let [spec] = &specs.metric_specs[..] else { panic!("{specs:?}") };
            (spec.metric_name.clone(), spec.target_size_float)
        })
    }

    async fn next_activity(&mut self) -> Result<bool, u16> {
        self.next::<IsActiveResponse>().await.map(|answer| answer.result)
    }
}

fn of_web(minute: i64, cores: f64) -> Forecast {
    forecast(WEB, at(minute), cores).1
}

/// With two replicas of so many cores.
fn with_replicas_of(cores_per_replica: f64, forecast: Forecast) -> Forecast {
    let capacity =
        forecast.capacity.clone().map(|capacity| Capacity { cpu_cores_per_replica: cores_per_replica, ..capacity });
    Forecast { capacity, ..forecast }
}

fn value_of(asked: &ScaledObjectRef, metric: &str) -> GetMetricsRequest {
    GetMetricsRequest { scaled_object_ref: Some(asked.clone()), metric_name: metric.to_owned() }
}

#[tokio::test]
async fn each_call_is_answered() {
    let scaler = Scaler::start("", 9);
    let client = scaler.client().await;
    let asked = scaled_object(&[("target", "0.7"), ("quantile", "0.95"), ("horizon", "15m")]);
    assert_eq!(client.call::<IsActiveResponse>("IsActive", &asked).await, Err(NOT_FOUND));
    assert_eq!(client.stream("StreamIsActive", &[("target", "1")]).await.next_activity().await, Err(NOT_FOUND));
    let forecast = of_web(0, 3.0);
    let wanted = forecast.demands[0].horizons[1].maximum.at(0.95);
    scaler.know(forecast);
    assert_eq!(client.call::<IsActiveResponse>("IsActive", &asked).await, Ok(IsActiveResponse { result: true }));
    let specs: GetMetricSpecResponse = client.call("GetMetricSpec", &asked).await.unwrap();
    let [spec] = &specs.metric_specs[..] else { panic!("{specs:?}") };
    assert_eq!((spec.metric_name.as_str(), spec.target_size_float, spec.target_size), (METRIC, 0.7, 1));
    let values: GetMetricsResponse = client.call("GetMetrics", &value_of(&asked, METRIC)).await.unwrap();
    let [value] = &values.metric_values[..] else { panic!("{values:?}") };
    assert_eq!((value.metric_name.as_str(), value.metric_value_float), (METRIC, wanted));
    assert_eq!(value.metric_value, wanted.ceil() as i64);
    let planned = scaled_object(&[("target", "plan")]);
    let values: GetMetricsResponse =
        client.call("GetMetrics", &value_of(&planned, "prescale-planned-replicas")).await.unwrap();
    assert_eq!(values.metric_values[0].metric_value_float, 2.0);
    scaler.end().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_with_why() {
    let scaler = Scaler::start("", 9);
    scaler.know(of_web(0, 3.0));
    let client = scaler.client().await;
    let good = scaled_object(&[("target", "1")]);
    let refused = |answer: Result<GetMetricsResponse, u16>| answer.unwrap_err();
    assert_eq!(refused(client.call("GetMetrics", &value_of(&good, "other")).await), NOT_FOUND);
    assert_eq!(refused(client.call("GetMetrics", &value_of(&scaled_object(&[]), METRIC)).await), 3);
    assert_eq!(refused(client.call("GetMetrics", &GetMetricsRequest::default()).await), 3);
    assert_eq!(refused(client.call("GetMetric", &good).await), 12);
    let packed = client.open("IsActive", &[("grpc-encoding", "gzip")], &good).await.next_activity().await;
    assert_eq!(packed, Err(12));
    let long = "1".repeat(1 << 17);
    let large = scaled_object(&[("target", long.as_str())]);
    assert_eq!(client.call::<IsActiveResponse>("IsActive", &large).await, Err(8));
    scaler.is_minute(16);
    assert_eq!(refused(client.call("GetMetrics", &value_of(&good, METRIC)).await), UNAVAILABLE);
    scaler.end().await;
}

#[tokio::test]
async fn streams_say_what_is_at_once_and_then_what_changes() {
    let scaler = Scaler::start("", 9);
    scaler.know(of_web(0, 3.0));
    let client = scaler.client().await;
    let metadata = [("target", "50%"), ("activationThreshold", "0.5")];
    let mut activity = client.stream("StreamIsActive", &metadata).await;
    let mut specs = client.stream("StreamMetricSpec", &metadata).await;
    assert_eq!(activity.next_activity().await, Ok(true));
    assert_eq!(specs.next_spec().await, Ok((METRIC.to_owned(), 1.0)));
    // The demand changes twice, and with the second what a replica has.
    scaler.know(of_web(5, 2.0));
    scaler.know(with_replicas_of(4.0, of_web(10, 2.0)));
    let spec = (METRIC.to_owned(), 2.0);
    assert_eq!(specs.next_spec().await, Ok(spec.clone()));
    let mut asked = client.stream("GetMetricSpec", &metadata).await;
    assert_eq!(asked.next_spec().await, Ok(spec), "who asks hears what the stream has said");
    scaler.know(with_replicas_of(4.0, of_web(11, 0.01)));
    assert_eq!(activity.next_activity().await, Ok(false));
    scaler.is_minute(30);
    assert_eq!(activity.next_activity().await, Err(UNAVAILABLE));
    assert_eq!(specs.next_spec().await, Err(UNAVAILABLE), "and nothing was said between");
    scaler.end().await;
}

#[tokio::test]
async fn one_connection_has_the_streams_of_many() {
    let scaler = Scaler::start("", 250);
    scaler.know(of_web(0, 3.0));
    let client = scaler.client().await;
    let mut open = Vec::new();
    for _ in 0..250 {
        let mut activity = client.stream("StreamIsActive", &[("target", "1")]).await;
        assert_eq!(activity.next_activity().await, Ok(true));
        open.push(activity);
    }
    let asked = scaled_object(&[("target", "1")]);
    assert_eq!(client.call::<IsActiveResponse>("IsActive", &asked).await, Ok(IsActiveResponse { result: true }));
    scaler.end().await;
    for mut activity in open {
        assert_eq!(activity.next_activity().await, Err(UNAVAILABLE));
    }
}

#[tokio::test]
async fn a_stream_that_is_left_makes_room_for_another() {
    let scaler = Scaler::start("", 1);
    scaler.know(of_web(0, 3.0));
    let (first, second) = (scaler.client().await, scaler.client().await);
    let metadata = [("target", "1")];
    let mut open = first.stream("StreamMetricSpec", &metadata).await;
    open.next_spec().await.unwrap();
    assert_eq!(second.stream("StreamMetricSpec", &metadata).await.next_spec().await, Err(8));
    drop((open, first));
    let again = async {
        while let Err(status) = second.stream("StreamMetricSpec", &metadata).await.next_spec().await {
            assert_eq!(status, 8);
        }
    };
    timeout(WITHIN, again).await.unwrap();
    scaler.end().await;
}

#[tokio::test]
async fn who_comes_again_after_the_scaler_was_gone_hears_what_is() {
    let scaler = Scaler::start("", 9);
    scaler.know(of_web(0, 3.0));
    let client = scaler.client().await;
    let metadata = [("target", "50%")];
    let mut specs = client.stream("StreamMetricSpec", &metadata).await;
    assert_eq!(specs.next_spec().await, Ok((METRIC.to_owned(), 1.0)));
    let address = scaler.end().await;
    assert_eq!(specs.next_spec().await, Err(UNAVAILABLE));
    let scaler = Scaler::start_at(address, "", 9);
    scaler.know(with_replicas_of(4.0, of_web(5, 3.0)));
    let mut specs = scaler.client().await.stream("StreamMetricSpec", &metadata).await;
    assert_eq!(specs.next_spec().await, Ok((METRIC.to_owned(), 2.0)));
    scaler.end().await;
}

#[tokio::test]
async fn only_those_with_the_token_are_answered_and_metrics_are_shown() {
    let scaler = Scaler::start("swordfish", 9);
    scaler.know(of_web(0, 3.0));
    let client = scaler.client().await;
    let asked = scaled_object(&[("target", "1")]);
    let get = |token: &str| {
        let request = Request::get("http://scaler/predictions").header("authorization", format!("Bearer {token}"));
        request.body(()).unwrap()
    };
    assert_eq!(client.call::<IsActiveResponse>("IsActive", &asked).await, Err(16));
    assert_eq!(client.request(get("marlin"), Bytes::new()).await.status, 401);
    let mut let_in = client.open("IsActive", &[("authorization", "Bearer swordfish")], &asked).await;
    assert_eq!(let_in.next_activity().await, Ok(true));
    let mut shown = client.request(get("swordfish"), Bytes::new()).await;
    while shown.more().await.is_some() {}
    let series = parsed(std::str::from_utf8(&shown.read).unwrap());
    assert_eq!((shown.status, series["prescale_prediction"].len()), (200, 6));
    scaler.end().await;
}
