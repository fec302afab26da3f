//! KEDA's calls over gRPC.

use crate::answer;
use crate::message::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, SERVICE, ScaledObjectRef,
};
use crate::server::Server;
use crate::trigger::Trigger;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use prescale_chassis::grpc::{self, Code, Status};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

/// A call's message has to be here within this.
const READ_WITHIN: Duration = Duration::from_secs(30);
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// A stream looks so often whether what it says has become stale.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a stream says as long as nothing changes.
type Said<A> = fn(&Server, &Trigger) -> Result<A, Status>;

/// The calls' routes.
pub(crate) fn router() -> Router<Arc<Server>> {
    let path = |call: &str| format!("{SERVICE}{call}");
    Router::new()
        .route(&path("IsActive"), post(is_active))
        .route(&path("StreamIsActive"), post(stream_is_active))
        .route(&path("GetMetricSpec"), post(metric_spec))
        .route(&path("StreamMetricSpec"), post(stream_metric_spec))
        .route(&path("GetMetrics"), post(metric_values))
}

impl Server {
    fn activity(&self, trigger: &Trigger) -> Result<IsActiveResponse, Status> {
        let result = self.look(|forecasts, now| answer::is_active(trigger, forecasts, now))?;
        Ok(IsActiveResponse { result })
    }

    fn specs(&self, trigger: &Trigger) -> Result<GetMetricSpecResponse, Status> {
        let spec = self.look(|forecasts, now| answer::spec(trigger, forecasts, now))?;
        Ok(GetMetricSpecResponse { metric_specs: vec![spec] })
    }

    fn values(&self, asked: &GetMetricsRequest) -> Result<GetMetricsResponse, Status> {
        let of = asked.scaled_object_ref.as_ref();
        let of = of.ok_or_else(|| Status::new(Code::InvalidArgument, "the call names no ScaledObject"))?;
        let trigger = Trigger::of(of)?;
        let value = self.look(|forecasts, now| answer::value(&trigger, &asked.metric_name, forecasts, now))?;
        Ok(GetMetricsResponse { metric_values: vec![value] })
    }

    /// The message of a call, of those who may call.
    async fn asked<M: Message + Default>(&self, headers: &HeaderMap, body: Body) -> Result<M, Status> {
        if !self.lets_in(headers) {
            let message = "send the token of [scaler] token as `authorization: Bearer TOKEN`";
            return Err(Status::new(Code::Unauthenticated, message));
        }
        let may_be_packed = grpc::may_be_packed(headers, false)?;
        let body = timeout(READ_WITHIN, to_bytes(body, grpc::body_bytes_max(MESSAGE_BYTES_MAX))).await;
        let body = body.map_err(|_| Status::new(Code::Unavailable, "the call's message did not come in time"))?;
        let too_large =
            |_| Status::new(Code::ResourceExhausted, format!("a message may have {MESSAGE_BYTES_MAX} bytes"));
        let body = body.map_err(too_large)?;
        let (_, message) = grpc::unframed(&body, may_be_packed)?;
        M::decode(message).map_err(|error| Status::new(Code::InvalidArgument, error.to_string()))
    }
}

async fn is_active(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    let asked = server.asked::<ScaledObjectRef>(&headers, body).await;
    told("IsActive", asked.and_then(|asked| server.activity(&Trigger::of(&asked)?)))
}

async fn metric_spec(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    let asked = server.asked::<ScaledObjectRef>(&headers, body).await;
    told("GetMetricSpec", asked.and_then(|asked| server.specs(&Trigger::of(&asked)?)))
}

async fn metric_values(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    let asked = server.asked::<GetMetricsRequest>(&headers, body).await;
    told("GetMetrics", asked.and_then(|asked| server.values(&asked)))
}

async fn stream_is_active(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    stream("StreamIsActive", Stream::begin(server, &headers, body, Server::activity).await)
}

async fn stream_metric_spec(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    stream("StreamMetricSpec", Stream::begin(server, &headers, body, Server::specs).await)
}

fn told<A: Message>(call: &'static str, answer: Result<A, Status>) -> Response {
    count(call, answer.as_ref().err());
    match answer {
        Ok(answer) => grpc::answered(&answer.encode_to_vec()),
        Err(status) => grpc::refused(&status),
    }
}

fn stream<A: Message + PartialEq + 'static>(call: &'static str, begun: Result<Stream<A>, Status>) -> Response {
    count(call, begun.as_ref().err());
    match begun {
        Ok(begun) => grpc::streamed(begun, Stream::next),
        Err(status) => grpc::refused(&status),
    }
}

fn count(call: &'static str, failed: Option<&Status>) {
    let code = failed.map_or(Code::Ok, |status| status.code).number().to_string();
    metrics::counter!("prescale_scaler_calls_total", "call" => call, "code" => code).increment(1);
}

/// A stream of what is said to one trigger.
struct Stream<A> {
    server: Arc<Server>,
    trigger: Trigger,
    says: Said<A>,
    changes: watch::Receiver<u64>,
    /// What was said last.
    said: Option<A>,
    _permit: OwnedSemaphorePermit,
}

impl<A: Message + PartialEq + 'static> Stream<A> {
    /// One for which there is something to say.
    async fn begin(server: Arc<Server>, headers: &HeaderMap, body: Body, says: Said<A>) -> Result<Self, Status> {
        let asked: ScaledObjectRef = server.asked(headers, body).await?;
        let trigger = Trigger::of(&asked)?;
        says(&server, &trigger)?;
        let permit = Arc::clone(&server.streams).try_acquire_owned();
        let full = |_| Status::new(Code::ResourceExhausted, "more streams are open than [scaler] streams_max allows");
        let (permit, changes) = (permit.map_err(full)?, server.shared.changes());
        Ok(Self { server, trigger, says, changes, said: None, _permit: permit })
    }

    /// What is to be said now, once that is something else than before.
    async fn next(mut self) -> Result<(Vec<u8>, Self), Status> {
        loop {
            self.changes.mark_unchanged();
            let answer = (self.says)(&self.server, &self.trigger)?;
            if self.said.as_ref() != Some(&answer) {
                let message = answer.encode_to_vec();
                self.said = Some(answer);
                return Ok((message, self));
            }
            let nobody_changes = tokio::select! {
                () = self.server.stop.cancelled() => true,
                changed = timeout(LOOK_EVERY, self.changes.changed()) => matches!(changed, Ok(Err(_))),
            };
            if nobody_changes {
                return Err(Status::new(Code::Unavailable, "the scaler is stopping"));
            }
        }
    }
}
