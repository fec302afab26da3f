//! `schemas/actions.avsc` and `schemas/action-results.avsc`.

use super::capacity::{Capacity, Platform};
use super::check::{self, Within};
use crate::mirror::{Fault, Wire};
use prescale_domain::action as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Verdict {
    Unknown,
    ScaleOut,
    ScaleIn,
    Reshape,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mechanism {
    Unknown,
    Replicas,
    Limits,
    InstanceType,
}

#[derive(Serialize, Deserialize)]
struct Evidence {
    resource: String,
    horizon_s: i64,
    predicted: f64,
    lower: f64,
    upper: f64,
    /// `None` on the wire is infinity in the domain: the width relative to a prediction of zero.
    relative_width: Option<f64>,
    capacity: f64,
    model: String,
}

impl Evidence {
    fn of(evidence: &domain::Evidence) -> Self {
        Self {
            resource: evidence.resource.as_ref().to_owned(),
            horizon_s: evidence.horizon_s.into(),
            predicted: evidence.predicted,
            lower: evidence.lower,
            upper: evidence.upper,
            relative_width: (evidence.relative_width != f64::INFINITY).then_some(evidence.relative_width),
            capacity: evidence.capacity,
            model: evidence.model.as_ref().to_owned(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("resource", &self.resource)?;
        check::positive("horizon_s", self.horizon_s)?;
        check::finite("predicted", self.predicted)?;
        check::finite("lower", self.lower)?;
        check::finite("upper", self.upper)?;
        check::finite_if_any("relative_width", self.relative_width)?;
        check::finite("capacity", self.capacity)
    }

    fn into_domain(self) -> Result<domain::Evidence, Fault> {
        Ok(domain::Evidence {
            resource: self.resource.into(),
            horizon_s: check::positive("horizon_s", self.horizon_s)?,
            predicted: self.predicted,
            lower: self.lower,
            upper: self.upper,
            relative_width: self.relative_width.unwrap_or(f64::INFINITY),
            capacity: self.capacity,
            model: self.model.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Reason {
    rule: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Action {
    workload: String,
    decided_at: i64,
    valid_until: i64,
    prediction_id: String,
    policy: String,
    verdict: Verdict,
    current: Capacity,
    desired: Capacity,
    mechanism: Mechanism,
    dry_run: bool,
    evidence: Vec<Evidence>,
    reasons: Vec<Reason>,
    platform: Platform,
}

impl Wire for Action {
    type Domain = domain::Action;
    const RECORD: &'static str = "Action";

    fn of(action: &domain::Action) -> Self {
        Self {
            workload: action.workload.as_str().to_owned(),
            decided_at: action.decided_at.as_ms(),
            valid_until: action.valid_until.as_ms(),
            prediction_id: action.prediction_id.as_ref().to_owned(),
            policy: action.policy.as_ref().to_owned(),
            verdict: match action.verdict {
                domain::Verdict::ScaleOut => Verdict::ScaleOut,
                domain::Verdict::ScaleIn => Verdict::ScaleIn,
                domain::Verdict::Reshape => Verdict::Reshape,
            },
            current: Capacity::of(&action.current),
            desired: Capacity::of(&action.desired),
            mechanism: match action.mechanism {
                domain::Mechanism::Replicas => Mechanism::Replicas,
                domain::Mechanism::Limits => Mechanism::Limits,
                domain::Mechanism::InstanceType => Mechanism::InstanceType,
            },
            dry_run: action.dry_run,
            evidence: action.evidence.iter().map(Evidence::of).collect(),
            reasons: action
                .reasons
                .iter()
                .map(|r| Reason { rule: r.rule.as_ref().to_owned(), text: r.text.clone() })
                .collect(),
            platform: action.platform.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("decided_at", self.decided_at)?;
        check::instant("valid_until", self.valid_until)?;
        if self.valid_until < self.decided_at {
            return Err(Fault::new("valid_until", "is before decided_at: the action would never be valid"));
        }
        check::not_empty("prediction_id", &self.prediction_id)?;
        check::not_empty("policy", &self.policy)?;
        self.current.check().within("current")?;
        self.desired.check().within("desired")?;
        for (i, evidence) in self.evidence.iter().enumerate() {
            evidence.check().within_item("evidence", i)?;
        }
        for (i, reason) in self.reasons.iter().enumerate() {
            check::not_empty("rule", &reason.rule).within_item("reasons", i)?;
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::Action, Fault> {
        Ok(domain::Action {
            workload: check::workload(&self.workload)?,
            decided_at: EventTime::from_ms(self.decided_at),
            valid_until: EventTime::from_ms(self.valid_until),
            prediction_id: self.prediction_id.into(),
            policy: self.policy.into(),
            verdict: match self.verdict {
                Verdict::Unknown => return Err(Fault::unknown_symbol("verdict")),
                Verdict::ScaleOut => domain::Verdict::ScaleOut,
                Verdict::ScaleIn => domain::Verdict::ScaleIn,
                Verdict::Reshape => domain::Verdict::Reshape,
            },
            current: self.current.into_domain().within("current")?,
            desired: self.desired.into_domain().within("desired")?,
            mechanism: match self.mechanism {
                Mechanism::Unknown => return Err(Fault::unknown_symbol("mechanism")),
                Mechanism::Replicas => domain::Mechanism::Replicas,
                Mechanism::Limits => domain::Mechanism::Limits,
                Mechanism::InstanceType => domain::Mechanism::InstanceType,
            },
            dry_run: self.dry_run,
            evidence: self
                .evidence
                .into_iter()
                .enumerate()
                .map(|(i, evidence)| evidence.into_domain().within_item("evidence", i))
                .collect::<Result<_, _>>()?,
            reasons: self.reasons.into_iter().map(|r| domain::Reason { rule: r.rule.into(), text: r.text }).collect(),
            platform: self.platform.into_domain()?,
        })
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ActionStatus {
    Unknown,
    Applied,
    DryRun,
    Superseded,
    Failed,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ActionResult {
    workload: String,
    action_id: String,
    at: i64,
    status: ActionStatus,
    effective_at: Option<i64>,
    why: Option<String>,
    retryable: bool,
    before: Capacity,
    after: Capacity,
    price_per_h: Option<f64>,
    platform: Platform,
    request: Option<ShownRequest>,
}

#[derive(Serialize, Deserialize)]
struct ShownRequest {
    method: String,
    path: String,
    content_type: String,
    body: String,
    accepted: Option<bool>,
}

impl ShownRequest {
    fn of(request: &domain::ShownRequest) -> Self {
        let domain::ShownRequest { method, path, content_type, body, is_accepted } = request.clone();
        Self { method, path, content_type, body, accepted: is_accepted }
    }

    fn into_domain(self) -> domain::ShownRequest {
        let Self { method, path, content_type, body, accepted } = self;
        domain::ShownRequest { method, path, content_type, body, is_accepted: accepted }
    }
}

/// The request that only a dry run has.
fn request_of(outcome: &domain::ActionOutcome) -> Option<ShownRequest> {
    match outcome {
        domain::ActionOutcome::DryRun { request, .. } => request.as_ref().map(ShownRequest::of),
        _ => None,
    }
}

/// A status with the fields that only it has.
fn status_of(outcome: &domain::ActionOutcome) -> (ActionStatus, Option<i64>, Option<String>, bool) {
    match outcome {
        domain::ActionOutcome::Applied { effective_at } => {
            (ActionStatus::Applied, Some(effective_at.as_ms()), None, false)
        }
        domain::ActionOutcome::DryRun { said, .. } => (ActionStatus::DryRun, None, said.clone(), false),
        domain::ActionOutcome::Superseded { why } => (ActionStatus::Superseded, None, Some(why.clone()), false),
        domain::ActionOutcome::Failed { why, retryable } => (ActionStatus::Failed, None, Some(why.clone()), *retryable),
    }
}

impl Wire for ActionResult {
    type Domain = domain::ActionResult;
    const RECORD: &'static str = "ActionResult";

    fn of(result: &domain::ActionResult) -> Self {
        let (status, effective_at, why, retryable) = status_of(&result.outcome);
        Self {
            workload: result.workload.as_str().to_owned(),
            action_id: result.action_id.as_ref().to_owned(),
            at: result.at.as_ms(),
            status,
            effective_at,
            why,
            retryable,
            before: Capacity::of(&result.before),
            after: Capacity::of(&result.after),
            price_per_h: result.price_per_h,
            platform: result.platform.into(),
            request: request_of(&result.outcome),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("action_id", &self.action_id)?;
        check::instant("at", self.at)?;
        self.effective_at.map_or(Ok(()), |ms| check::instant("effective_at", ms))?;
        self.before.check().within("before")?;
        self.after.check().within("after")?;
        check::finite_if_any("price_per_h", self.price_per_h)
    }

    fn into_domain(self) -> Result<domain::ActionResult, Fault> {
        let missing = |field: &str| Fault::new(field, "is missing, and the status needs it");
        let outcome = match self.status {
            ActionStatus::Unknown => return Err(Fault::unknown_symbol("status")),
            ActionStatus::Applied => domain::ActionOutcome::Applied {
                effective_at: EventTime::from_ms(self.effective_at.ok_or_else(|| missing("effective_at"))?),
            },
            ActionStatus::DryRun => {
                domain::ActionOutcome::DryRun { request: self.request.map(ShownRequest::into_domain), said: self.why }
            }
            ActionStatus::Superseded => {
                domain::ActionOutcome::Superseded { why: self.why.ok_or_else(|| missing("why"))? }
            }
            ActionStatus::Failed => domain::ActionOutcome::Failed {
                why: self.why.ok_or_else(|| missing("why"))?,
                retryable: self.retryable,
            },
        };
        Ok(domain::ActionResult {
            workload: check::workload(&self.workload)?,
            action_id: self.action_id.into(),
            at: EventTime::from_ms(self.at),
            outcome,
            before: self.before.into_domain().within("before")?,
            after: self.after.into_domain().within("after")?,
            price_per_h: self.price_per_h,
            platform: self.platform.into_domain()?,
        })
    }
}
