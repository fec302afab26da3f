//! Why a workload's capacity is what it is, as of any instant that the log holds: what `prescale explain` says.

use super::{Server, answer, problem};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prescale_bus::Bus;
use prescale_chassis::explain::{ACTIONS_SHOWN, ExplainError, Question, explained};
use prescale_contracts::parse_rfc3339;
use prescale_domain::governor::Fleets;
use prescale_domain::policy::RuleBook;
use prescale_domain::time::EventTime;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Reads the log and explains.
#[derive(Clone)]
pub(crate) struct Explainer {
    bus: Arc<dyn Bus>,
    /// The planner's rules, and the fleets that workloads belong to.
    decided_by: Arc<(RuleBook, Fleets)>,
    back_records: u64,
    stop: CancellationToken,
    /// One explanation is made at a time: each reads much of the log.
    turn: Arc<Mutex<()>>,
}

impl Explainer {
    /// One that reads back so many records of each topic, until `stop`.
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        decided_by: (RuleBook, Fleets),
        back_records: u64,
        stop: &CancellationToken,
    ) -> Self {
        Self { bus, decided_by: Arc::new(decided_by), back_records, stop: stop.clone(), turn: Arc::default() }
    }

    /// The answer to what is asked. Once this is dropped, as when the one who asks goes away, reading ends.
    async fn answer(self, wanted: Wanted) -> Response {
        let stop = self.stop.child_token();
        let _stopped_on_drop = stop.clone().drop_guard();
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let work = move || {
            let _turn = turn;
            self.explain(&wanted, &stop)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(explanation)) => explanation,
            Ok(Err(ExplainError::Unknown(why))) => problem(
                StatusCode::NOT_FOUND,
                format!(
                    "{why}: `prescale bus tail raw-kpis` shows the names in use, [console] history_records reads further"
                ),
            ),
            Ok(Err(ExplainError::Failed(error))) => problem(StatusCode::BAD_GATEWAY, format!("{error:#}")),
            Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the explanation could not be made: see the log"),
        }
    }

    fn explain(&self, wanted: &Wanted, stop: &CancellationToken) -> Result<Response, ExplainError> {
        let Wanted { workload, at, format } = wanted;
        let question = Question { workload, actions_max: ACTIONS_SHOWN, back_records: self.back_records, at: *at };
        let (rules, fleets) = &*self.decided_by;
        let explanation = explained(self.bus.as_ref(), (rules, fleets), &question, stop)?;
        Ok(match format {
            Format::Json => answer(&explanation.json()?),
            Format::Text => plain(explanation.text()),
        })
    }
}

struct Wanted {
    workload: String,
    at: Option<EventTime>,
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// RFC 3339; the newest decision if none.
    at: Option<String>,
    #[serde(default)]
    format: Format,
}

pub(super) async fn explain(
    State(server): State<Server>,
    Path(workload): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Asked { at, format } = match asked {
        Ok(Query(asked)) => asked,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let at = match at.as_deref().map(instant).transpose() {
        Ok(at) => at,
        Err(why) => return problem(StatusCode::BAD_REQUEST, why),
    };
    match server.explainer {
        Some(explainer) => explainer.answer(Wanted { workload, at, format }).await,
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "this console has no bus to read"),
    }
}

fn instant(text: &str) -> Result<EventTime, String> {
    parse_rfc3339(text).ok_or_else(|| format!("at = {text:?}: give an instant such as 2026-03-01T12:00:00Z"))
}

fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}
