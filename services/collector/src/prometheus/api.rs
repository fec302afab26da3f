//! Asking Prometheus, or what answers like it (Thanos, Mimir, VictoriaMetrics), over its HTTP API. Knows neither
//! presets nor samples.

use crate::config::PrometheusConfig;
use anyhow::{Result, ensure};
use prescale_chassis::http_access::Authorization;
use serde::Deserialize;
use std::collections::BTreeMap;
use ureq::Agent;
use ureq::http::HeaderValue;

const SECTION: &str = "collector.prometheus.access";
/// Names the tenant, as Cortex, Mimir and Thanos have it.
const TENANT_HEADER: &str = "X-Scope-OrgID";
/// An answer that is larger is asked for in smaller pieces.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// So much of a server's words is repeated.
const WORDS_MAX: usize = 300;
const REDIRECTS_MAX: u32 = 3;
/// Words by which servers say that a query takes more than they allow: Prometheus and Mimir, Thanos ("limit 5 violated"),
/// VictoriaMetrics ("more than -search.maxSamplesPerQuery", "not enough memory").
const TOO_MUCH: [&str; 8] = [
    "too many",
    "exceed",
    "limit violated",
    "violated (got",
    "more than -search.",
    "not enough memory",
    "timed out",
    "too large",
];
/// Words by which they say that a text is no query, whatever else is in it.
const NO_QUERY: [&str; 4] = ["parse error", "cannot parse", "unknown function", "unsupported function"];
/// Words by which they say that what a query needs could not be fetched: that may be otherwise the next time.
const NOT_FETCHED: [&str; 6] =
    ["expanding series", "rpc error", "cannot fetch", "connection", "unavailable", "context canceled"];

/// Evaluations at regular instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instants {
    /// The first, in milliseconds.
    pub first_ms: i64,
    /// From one to the next, in seconds.
    pub step_s: u32,
    /// How many; at least one.
    pub count: u32,
}

impl Instants {
    /// The last, in milliseconds.
    pub(crate) fn last_ms(&self) -> i64 {
        self.first_ms + i64::from(self.count - 1) * self.step_ms()
    }

    /// From one to the next, in milliseconds.
    pub(crate) fn step_ms(&self) -> i64 {
        i64::from(self.step_s) * 1000
    }
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Instants in milliseconds, ascending, and values; some may be no number.
    pub points: Vec<(i64, f64)>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// The server cannot now, or somebody has to do something first.
    #[error("{0}")]
    Unavailable(String),
    /// It takes more than the server allows.
    #[error("{0}")]
    TooMuch(String),
    /// It cannot be evaluated, however often it is asked.
    #[error("{0}")]
    Refused(String),
}

/// A server's API.
pub(crate) struct Api {
    url: String,
    tenant: Option<HeaderValue>,
    timeout_s: u64,
    agent: Agent,
    authorization: Authorization,
}

impl Api {
    /// Of the server that the section names.
    ///
    /// # Errors
    /// When the access cannot be used, with the key.
    pub(crate) fn new(config: &PrometheusConfig) -> Result<Self> {
        let access = &config.access;
        let agent = access.agent(SECTION, REDIRECTS_MAX)?;
        let authorization = Authorization::new(access, SECTION, "Bearer")?;
        let url = format!("{}/api/v1/query_range", config.url.trim_end_matches('/'));
        Ok(Self { url, tenant: tenant(&config.tenant)?, timeout_s: access.timeout_s, agent, authorization })
    }

    /// The series of a query at these instants.
    ///
    /// # Errors
    /// When there is no answer, or one that is not whole.
    pub(crate) fn range(&self, query: &str, instants: Instants) -> Result<Vec<Series>, QueryError> {
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(instants.first_ms)),
            ("end", seconds(instants.last_ms())),
            ("step", instants.step_s.to_string()),
            // Thanos would leave out what a store does not answer; others do not know it.
            ("partial_response", "false".to_owned()),
        ];
        let mut request = self.agent.post(&self.url);
        if let Some(tenant) = &self.tenant {
            request = request.header(TENANT_HEADER, tenant);
        }
        if let Some(value) = self.authorization.value() {
            request = request.header("Authorization", value.expose());
        }
        let mut response = request.send_form(form).map_err(|error| self.unanswered(&error))?;
        let status = response.status().as_u16();
        self.authorization.heed(status);
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = match body {
            Ok(body) => body,
            Err(ureq::Error::BodyExceedsLimit(bytes)) => {
                return Err(QueryError::TooMuch(format!("{} answered with more than {bytes} bytes", self.url)));
            }
            Err(error) => return Err(self.unanswered(&error)),
        };
        meaning(&self.url, status, &body)
    }

    fn unanswered(&self, error: &ureq::Error) -> QueryError {
        let why = format!("{}: {error}", self.url);
        match error {
            ureq::Error::Timeout(_) => {
                QueryError::TooMuch(format!("{why} ([{SECTION}] timeout_s = {})", self.timeout_s))
            }
            ureq::Error::Io(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                QueryError::Unavailable(format!("{why} (is it running, and can it be reached from here?)"))
            }
            _ => QueryError::Unavailable(why),
        }
    }
}

/// The tenant as the header's value; `None` without one.
fn tenant(tenant: &str) -> Result<Option<HeaderValue>> {
    let value = HeaderValue::from_str(tenant);
    ensure!(
        value.is_ok(),
        "[collector.prometheus] tenant = {tenant:?}: only visible ASCII can be sent as {TENANT_HEADER}"
    );
    Ok(value.ok().filter(|value| !value.is_empty()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    warnings: Vec<String>,
    /// A cluster of VictoriaMetrics says so that a part of its storage did not answer.
    #[serde(default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    /// Seconds, and the value as a text. A series of histograms alone has none.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// What a status and a body mean.
fn meaning(url: &str, status: u16, body: &[u8]) -> Result<Vec<Series>, QueryError> {
    let answer: Result<Answer, _> = serde_json::from_slice(body);
    let words = match &answer {
        Ok(answer) if !answer.error.is_empty() => format!("{}: {}", answer.error_type, answer.error),
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let words: String = words.chars().take(WORDS_MAX).collect();
    let said = |remedy: &str| format!("{url} answered {status}{remedy}: {words}");
    match (status, answer) {
        (200..300, Ok(answer)) => whole(url, answer),
        (200..300, Err(error)) => Err(QueryError::Unavailable(format!(
            "{url} answered {status} with what is no answer of Prometheus (does the url end before /api/v1?): {error}"
        ))),
        (400 | 422, Ok(_)) if says(&NO_QUERY, &words) => Err(QueryError::Refused(said(""))),
        (400 | 413 | 422 | 503, _) if says(&TOO_MUCH, &words) => Err(QueryError::TooMuch(said(""))),
        (503, Ok(answer)) if answer.error_type == "timeout" => Err(QueryError::TooMuch(said(""))),
        (400 | 422, Ok(answer)) if !answer.error.is_empty() && !says(&NOT_FETCHED, &words) => {
            Err(QueryError::Refused(said("")))
        }
        (401 | 403, _) => Err(QueryError::Unavailable(said(" (give it a token, or user and password, that may read)"))),
        (300..400 | 404 | 405, _) => {
            Err(QueryError::Unavailable(said(" (the url is where the API begins, without /api/v1)")))
        }
        _ => Err(QueryError::Unavailable(said(""))),
    }
}

fn says(any: &[&str], words: &str) -> bool {
    let words = words.to_lowercase();
    any.iter().any(|text| words.contains(text))
}

/// The series of an answer. What a server warns of, other than about the query itself, is missing from it.
fn whole(url: &str, answer: Answer) -> Result<Vec<Series>, QueryError> {
    if let Some(warning) = answer.warnings.iter().find(|warning| !warning.starts_with("PromQL")) {
        return Err(QueryError::Unavailable(format!("{url} answered in part: {warning}")));
    }
    if answer.is_partial {
        return Err(QueryError::Unavailable(format!("{url} answered in part: some of its storage does not answer")));
    }
    let Some(data) = answer.data else {
        return Err(QueryError::Unavailable(format!("{url} answered without data: {}", answer.error)));
    };
    if data.result_type != "matrix" {
        let kind = data.result_type;
        return Err(QueryError::Refused(format!("{url} answered with a {kind}: a query must give series of numbers")));
    }
    let series = |row: Row| {
        let point = |(s, value): (f64, String)| ((s * 1000.0).round() as i64, value.parse().unwrap_or(f64::NAN));
        Series { labels: row.metric, points: row.values.into_iter().map(point).collect() }
    };
    Ok(data.result.into_iter().map(series).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Vec<Series>, QueryError> {
        meaning("http://p", status, body.as_bytes())
    }

    #[test]
    fn a_matrix_is_read_with_what_is_no_number() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"instance":"a"},"values":[[60,"1.5"],[120.5,"NaN"],[180,"+Inf"]]},{"metric":{},"histograms":[]}]},
            "warnings":["PromQL warning: it may be no counter"]}"#;
        let series = read(200, body).unwrap();
        assert_eq!((series.len(), series[0].labels["instance"].as_str()), (2, "a"));
        assert_eq!(series[0].points[0], (60_000, 1.5));
        assert!(series[0].points[1].0 == 120_500 && series[0].points[1].1.is_nan());
        assert_eq!(series[0].points[2].1, f64::INFINITY);
    }

    #[test]
    fn what_cannot_be_had_says_whether_asking_again_helps() {
        let error = |error_type: &str, error: &str| format!(r#"{{"errorType":{error_type:?},"error":{error:?}}}"#);
        assert!(
            matches!(read(400, &error("bad_data", "parse error at char 3")), Err(QueryError::Refused(w)) if w.contains("char 3"))
        );
        let refused = [
            (422, error("execution", "found duplicate series for the match group {pod=\"a\"} on the right hand-side")),
            (422, error("execution", "multiple matches for labels: many-to-one matching must be explicit")),
            (400, error("bad_data", "1:7: parse error: unknown function with name \"too_many\"")),
            (422, error("422", "error when executing query: cannot parse \"rate(limit_exceeded\"")),
            (400, error("bad_data", "invalid parameter \"query\": limit is no label")),
        ];
        for (status, body) in refused {
            assert!(matches!(read(status, &body), Err(QueryError::Refused(_))), "{body}");
        }
        let may_be_otherwise = [
            error("execution", "expanding series: proxy Series(): rpc error: code = Aborted desc = a store is away"),
            error("422", "cannot fetch query results from vmstorage nodes"),
        ];
        for body in may_be_otherwise {
            assert!(matches!(read(422, &body), Err(QueryError::Unavailable(_))), "{body}");
        }
        let too_much = [
            (422, error("execution", "expanding series: failed to reserve: series limit violated (got 11)")),
            (422, error("422", "cannot select more than -search.maxSamplesPerQuery=1000 samples")),
            (422, error("execution", "query processing would load too many samples into memory")),
            (503, error("timeout", "query timed out in expression evaluation")),
            (422, "the query time range exceeds the limit".to_owned()),
            (400, error("bad_data", "exceeded maximum resolution of 11,000 points per timeseries")),
        ];
        for (status, body) in too_much {
            assert!(matches!(read(status, &body), Err(QueryError::TooMuch(_))), "{body}");
        }
        let partial = r#"{"data":{"resultType":"matrix","result":[]},"warnings":["no store answered for 10.0.0.1"]}"#;
        let of_a_cluster = r#"{"status":"success","isPartial":true,"data":{"resultType":"matrix","result":[]}}"#;
        let all = [(500, ""), (401, "who?"), (404, "no page"), (200, "<html>"), (200, partial), (200, of_a_cluster)];
        for (status, body) in all {
            assert!(matches!(read(status, body), Err(QueryError::Unavailable(_))), "{status} {body}");
        }
        let scalar = r#"{"data":{"resultType":"vector","result":[]}}"#;
        assert!(matches!(read(200, scalar), Err(QueryError::Refused(_))));
    }

    #[test]
    fn a_tenant_is_what_a_header_can_hold() {
        assert_eq!(tenant("").unwrap(), None);
        assert_eq!(tenant("team-a").unwrap().unwrap(), "team-a");
        assert!(tenant("a\nb").is_err());
    }
}
