//! Orders of operators: those that stand, and new ones on their way to the governor.

use super::{Server, answer, problem};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use prescale_bus::Bus;
use prescale_chassis::orders::{Wish, order};
use prescale_domain::governor::{Effect, Order, Scope};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where orders go.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) stop: CancellationToken,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EffectName {
    Pause,
    PauseScaleIn,
    Resume,
}

/// An order as JSON has it. Pages elsewhere cannot send that: without the type `application/json` it is refused.
#[derive(Deserialize)]
pub(super) struct Given {
    scope: String,
    effect: EffectName,
    #[serde(default)]
    why: String,
}

pub(super) async fn list(State(server): State<Server>) -> Response {
    let orders: Vec<Value> = server.shared.standing().iter().map(order_json).collect();
    answer(&json!({ "orders": orders }))
}

pub(super) async fn give(State(server): State<Server>, given: Result<Json<Given>, JsonRejection>) -> Response {
    let given = match given {
        Ok(Json(given)) => given,
        Err(rejection) => return problem(rejection.status(), rejection.body_text()),
    };
    let scope = match Scope::parse(&given.scope) {
        Ok(scope) => scope,
        Err(error) => return problem(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Some(Desk { bus, stop }) = server.orders.clone() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "this console has no bus to write to");
    };
    let effect = match given.effect {
        EffectName::Pause => Effect::Pause,
        EffectName::PauseScaleIn => Effect::PauseScaleIn,
        EffectName::Resume => Effect::Resume,
    };
    let wish = Wish { scope, effect, why: given.why, by: "the console".to_owned() };
    match tokio::task::spawn_blocking(move || order(bus.as_ref(), wish, &stop)).await {
        Ok(Ok(done)) => answer(&json!({ "done": done.trim_end() })),
        Ok(Err(error)) => problem(StatusCode::BAD_GATEWAY, format!("{error:#}")),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the order could not be given: see the log"),
    }
}

fn order_json(order: &Order) -> Value {
    let effect = match order.effect {
        Effect::Pause => "pause",
        Effect::PauseScaleIn => "pause-scale-in",
        Effect::Resume => "resume",
    };
    json!({"scope": order.scope.to_string(), "effect": effect, "at_ms": order.at.as_ms(), "why": order.why,
           "by": order.by})
}
