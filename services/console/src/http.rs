//! The JSON and the page over HTTP, with what keeps others out.

mod assets;
mod explanation;
mod guard;
mod orders;

pub(crate) use explanation::Explainer;
pub(crate) use guard::Door;

use crate::follow::Shared;
use crate::view::json;
use crate::view::status::status;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use prescale_bus::Bus;
use prescale_chassis::HealthRegistry;
use prescale_chassis::telemetry::Metrics;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const ACTIONS_LIMIT: usize = 100;
const ACTIONS_LIMIT_MAX: usize = 2_000;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    door: Arc<Door>,
    /// Names this run, so that revisions of an earlier one are not taken for its own.
    run: Arc<str>,
    orders: Option<orders::Desk>,
    explainer: Option<Explainer>,
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>, door: Door) -> Self {
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}", began.as_millis()).into();
        Self { shared, door: Arc::new(door), run, orders: None, explainer: None }
    }

    /// One that passes orders on to the bus.
    pub(crate) fn with_bus(self, bus: Arc<dyn Bus>, stop: &CancellationToken) -> Self {
        Self { orders: Some(orders::Desk { bus, stop: stop.clone() }), ..self }
    }

    /// One that explains decisions.
    pub(crate) fn with_explainer(self, explainer: Explainer) -> Self {
        Self { explainer: Some(explainer), ..self }
    }

    fn version(&self, revision: u64) -> String {
        format!("{}.{revision}", self.run)
    }

    fn revision_of(&self, version: &str) -> Option<u64> {
        version.strip_prefix(&*self.run)?.strip_prefix('.')?.parse().ok()
    }
}

/// The whole application.
pub(crate) fn router(server: Server, health: HealthRegistry, metrics: Option<Metrics>) -> Router {
    let api = Router::new()
        .route("/fleet", get(fleet))
        .route("/groups", get(groups))
        .route("/groups/{id}", get(group))
        .route("/workloads/{id}", get(workload))
        .route("/workloads/{id}/explanation", get(explanation::explain))
        .route("/actions", get(actions))
        .route("/pipeline", get(pipeline))
        .route("/orders", get(orders::list).post(orders::give))
        .fallback(|| async {
            problem(
                StatusCode::NOT_FOUND,
                "no such path; there are fleet, workloads/NAME, workloads/NAME/explanation, groups, groups/NAME, actions, \
                 pipeline and orders",
            )
        })
        .with_state(server.clone());
    let mut app = Router::new().nest("/api", api).merge(assets::router());
    if let Some(metrics) = metrics {
        app = app.merge(prescale_chassis::http::router(health, metrics));
    }
    let door = server.door.clone();
    app.layer(middleware::from_fn(move |request, next| guard::guard(door.clone(), request, next)))
}

/// An error as JSON.
fn problem(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(json!({ "error": message.into() }))).into_response()
}

fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], value.to_string())
        .into_response()
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: String,
}

async fn fleet(State(server): State<Server>, Query(query): Query<Since>) -> Response {
    let since = server.revision_of(&query.since);
    let fleet = {
        let view = server.shared.view();
        json::fleet(&view, since, &server.version(view.revision()))
    };
    fleet.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |fleet| answer(&fleet))
}

async fn workload(State(server): State<Server>, Path(id): Path<String>, Query(query): Query<Since>) -> Response {
    let found = {
        let view = server.shared.view();
        view.workload(&id).map(|workload| {
            let (status, _) = status(workload, view.stream_at(&workload.source));
            let version = format!("{}.{status:?}", server.version(workload.revision));
            (version != query.since).then(|| json::workload(&view, workload, &version))
        })
    };
    match found {
        Some(Some(workload)) => answer(&workload),
        Some(None) => StatusCode::NO_CONTENT.into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            format!("no record of workload {id:?} has come by: check the name, or see `prescale bus tail raw-kpis`"),
        ),
    }
}

async fn groups(State(server): State<Server>) -> Response {
    let groups = json::groups(&server.shared.view());
    answer(&groups)
}

async fn group(State(server): State<Server>, Path(id): Path<String>, Query(query): Query<Since>) -> Response {
    let found = {
        let view = server.shared.view();
        view.groups().get(&id).map(|group| {
            let version = server.version(group.revision);
            (version != query.since).then(|| json::group(group, &version))
        })
    };
    match found {
        Some(Some(group)) => answer(&group),
        Some(None) => StatusCode::NO_CONTENT.into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            format!("no forecast of group {id:?} has come by: a new group has its first after half an hour"),
        ),
    }
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn actions(State(server): State<Server>, Query(query): Query<Limit>) -> Response {
    let limit = query.limit.unwrap_or(ACTIONS_LIMIT).min(ACTIONS_LIMIT_MAX);
    let actions = json::actions(&server.shared.view(), limit);
    answer(&actions)
}

async fn pipeline(State(server): State<Server>) -> Response {
    let kept = json::kept(&server.shared.view());
    let pipeline = server.shared.pipeline().json(kept);
    answer(&pipeline)
}

#[cfg(test)]
mod tests;
