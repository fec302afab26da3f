//! Actions and what became of them.

use crate::sample::{Capacity, Platform};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// What a plan does to a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Verdict {
    /// More capacity.
    ScaleOut,
    /// Less capacity.
    ScaleIn,
    /// Capacity of the same size by another shape.
    Reshape,
}

/// One step of the reasoning behind an action, in the order it was taken.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Reason {
    /// Rule that spoke, such as `threshold.increase` or `guardrail.step`.
    pub rule: Arc<str>,
    /// What it found, with its numbers and units, as a sentence.
    pub text: String,
}

/// Numbers that the decision rests on.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Evidence {
    /// KPI that decided.
    pub resource: Arc<str>,
    /// Horizon of the forecast used, in seconds.
    pub horizon_s: u32,
    /// Predicted demand (median of the maximum over the horizon), in the resource's unit.
    pub predicted: f64,
    /// Lower bound of the interval.
    pub lower: f64,
    /// Upper bound of the interval.
    pub upper: f64,
    /// Relative interval width (upper - lower) / (2 · predicted).
    pub relative_width: f64,
    /// Capacity of that resource that the decision went by: what was asked for last, where that stood, else what
    /// served.
    pub capacity: f64,
    /// Model that made the prediction.
    pub model: Arc<str>,
}

/// A record of topic `actions`: the capacity that a workload should have, and why.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Action {
    /// Whose capacity.
    pub workload: WorkloadId,
    /// Instant of the decision: `made_at` of the prediction.
    pub decided_at: EventTime,
    /// The action is void from here on.
    pub valid_until: EventTime,
    /// `ce_id` of the prediction that it follows from.
    pub prediction_id: Arc<str>,
    /// Policy that decided.
    pub policy: Arc<str>,
    /// What it does.
    pub verdict: Verdict,
    /// Capacity that the decision started from.
    pub current: Capacity,
    /// Capacity to have.
    pub desired: Capacity,
    /// How the capacity is to be changed.
    pub mechanism: Mechanism,
    /// When true the action is published and nothing is called.
    pub dry_run: bool,
    /// Numbers that the decision rests on, one entry a resource.
    pub evidence: Vec<Evidence>,
    /// The reasoning, in order.
    pub reasons: Vec<Reason>,
    /// What runs the workload.
    pub platform: Platform,
}

impl Action {
    /// The record that withdraws this action, for `why`: the same action, void from the instant that it was
    /// decided at. Whoever carries actions out drives towards the newest, so it takes this one's place.
    pub fn withdrawn(&self, why: Reason) -> Self {
        let mut withdrawn = self.clone();
        withdrawn.valid_until = withdrawn.decided_at;
        withdrawn.reasons.push(why);
        withdrawn
    }

    /// The same without what it takes away of either resource, where limits can be set each for itself; else as it is.
    pub fn without_decreases(&self) -> Self {
        let mut kept = self.clone();
        if self.verdict != Verdict::Reshape || self.mechanism != Mechanism::Limits {
            return kept;
        }
        let replicas = f64::from(kept.desired.replicas.max(1));
        let desired = &mut kept.desired;
        desired.cpu_cores_per_replica = desired.cpu_cores_per_replica.max(self.current.cpu_cores() / replicas);
        desired.memory_bytes_per_replica = desired.memory_bytes_per_replica.max(self.current.memory_bytes() / replicas);
        kept.verdict = Verdict::ScaleOut;
        kept
    }

    /// Whether it follows from live use, by its reasons.
    pub fn follows_from_live_use(&self) -> bool {
        self.reasons.iter().any(|reason| &*reason.rule == "floor.live")
    }

    /// What it does to what was planned before, where that is the other way than to what serves; by its reasons.
    pub fn plan_change(&self) -> Option<PlanChange> {
        let is_said = |change: &PlanChange| self.reasons.iter().any(|reason| &*reason.rule == change.rule());
        [PlanChange::Raised, PlanChange::Lowered].into_iter().find(is_said)
    }

    /// Whether this record withdraws the action that was decided at its instant.
    pub fn is_withdrawal(&self) -> bool {
        self.valid_until <= self.decided_at
    }
}

/// What an action does to what was planned before, where that is not what serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanChange {
    /// The plan grows, and stays below what serves.
    Raised,
    /// The plan shrinks, and to no less than what serves.
    Lowered,
}

impl PlanChange {
    /// The rule of the reason that tells of it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Raised => "plan.raised",
            Self::Lowered => "plan.lowered",
        }
    }
}

/// How capacity is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Mechanism {
    /// Number of replicas or VMs.
    Replicas,
    /// CPU and memory limits in place.
    Limits,
    /// Instance type (flavor), and with it the number of VMs where that differs.
    InstanceType,
}

/// A call to a cloud as a dry run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ShownRequest {
    /// Method, such as `PUT`.
    pub method: String,
    /// Path on the cloud's server, with its query.
    pub path: String,
    /// Type of the body.
    pub content_type: String,
    /// Body, as text.
    pub body: String,
    /// Whether the cloud would take it; `None` where it was not asked, or did not answer.
    pub is_accepted: Option<bool>,
}

impl ActionOutcome {
    /// A dry run of which there is nothing to show.
    pub const DRY_RUN: Self = Self::DryRun { request: None, said: None };
}

/// What the cloud said to an action.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum ActionOutcome {
    /// Accepted; the new capacity serves from `effective_at`.
    Applied {
        /// When the new capacity serves.
        effective_at: EventTime,
    },
    /// A dry run: nothing was changed.
    DryRun {
        /// The call that would have been made; `None` where the cloud has none to show, or none would have been made.
        request: Option<ShownRequest>,
        /// What the cloud said to it, or why none would have been made; `None` where there is nothing to say.
        said: Option<String>,
    },
    /// The action was void, or a newer one took its place.
    Superseded {
        /// Why.
        why: String,
    },
    /// The cloud refused or failed.
    Failed {
        /// Its words.
        why: String,
        /// Whether trying again can help.
        retryable: bool,
    },
}

/// A record of topic `action-results`.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionResult {
    /// Whose capacity.
    pub workload: WorkloadId,
    /// `ce_id` of the action.
    pub action_id: Arc<str>,
    /// Instant at which the cloud answered.
    pub at: EventTime,
    /// What became of it.
    pub outcome: ActionOutcome,
    /// Capacity before.
    pub before: Capacity,
    /// Capacity once the action is in effect; the same as before when it is not applied.
    pub after: Capacity,
    /// Price of the capacity after, per hour, in the price list's currency; `None` when unknown.
    pub price_per_h: Option<f64>,
    /// What runs the workload.
    pub platform: Platform,
}
