//! All that is served on the port: KEDA's calls, and the forecasts as metrics of Prometheus.

use crate::calls;
use crate::exposition;
use crate::server::Server;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prescale_chassis::grpc::{self, Code, Status};
use std::sync::Arc;

/// Where the metrics are.
const PREDICTIONS: &str = "/predictions";
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole application.
pub(crate) fn router(server: Arc<Server>) -> Router {
    calls::router().route(PREDICTIONS, get(predictions)).fallback(unknown).with_state(server)
}

async fn predictions(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if !server.lets_in(&headers) {
        let message = "send the token of [scaler] token as `Authorization: Bearer TOKEN`\n";
        let mut response = (StatusCode::UNAUTHORIZED, message).into_response();
        let way = HeaderValue::from_static("Bearer realm=\"prescale\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, way);
        return response;
    }
    let text = server.look(|forecasts, now| exposition::text(forecasts, &server.shown, now));
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response()
}

/// A call that there is not, or no call.
async fn unknown(headers: HeaderMap) -> Response {
    match grpc::may_be_packed(&headers, true) {
        Ok(_) => grpc::refused(&Status::new(Code::Unimplemented, "the scaler has no such call")),
        Err(_) => (StatusCode::NOT_FOUND, "no such path; there is /predictions\n").into_response(),
    }
}
