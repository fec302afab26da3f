//! The records as serde sees them: private mirrors of the Avro schemas, named and ordered as there.
//! Each knows how to come from a domain value, how to become one, and what its contract allows.

mod action;
mod alarm;
mod anomaly;
mod capacity;
mod check;
mod fingerprint;
mod fleet;
mod forecast_score;
mod group;
mod incident;
mod interval;
mod outcome;
mod point;
mod prediction;
mod promotion;
mod retraining;
pub(crate) mod sample;

use crate::codec;
use crate::contract::Contract;
use crate::error::ContractError;
use crate::event_types;
use crate::topics;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

macro_rules! contract {
    ($wire:ty, $domain:ty, $topic:expr, $name:literal, $key:expr, $at:ident) => {
        contract!($wire, $domain, $topic, $name, $key, $at, |_| Self::EVENT_TYPE);
    };
    ($wire:ty, $domain:ty, $topic:expr, $name:literal, $key:expr, $at:ident, $event_type:expr) => {
        contract!($wire, $domain, $topic, $name, $key, $at, $event_type, |_| None);
    };
    ($wire:ty, $domain:ty, $topic:expr, $name:literal, $key:expr, $at:ident, $event_type:expr, $source:expr) => {
        impl Contract for $domain {
            const TOPIC: &'static str = $topic;
            const EVENT_TYPE: &'static str = concat!("io.prescale.v1.", $name);

            fn event_type(&self) -> &'static str {
                let event_type: fn(&Self) -> &'static str = $event_type;
                event_type(self)
            }

            fn workload(&self) -> &WorkloadId {
                let key: fn(&Self) -> &WorkloadId = $key;
                key(self)
            }

            fn at(&self) -> EventTime {
                self.$at
            }

            fn foreign_source(&self) -> Option<&SourceName> {
                let source: fn(&Self) -> Option<&SourceName> = $source;
                source(self)
            }

            fn encode(&self) -> Result<Vec<u8>, ContractError> {
                codec::encode::<$wire>($topic, self)
            }

            fn decode(framed: &[u8]) -> Result<Self, ContractError> {
                codec::decode::<$wire>($topic, framed)
            }
        }
    };
}

contract!(point::Point, prescale_domain::point::Point, topics::RAW_POINTS, "Point", |point| &point.workload, at);
contract!(
    sample::Sample,
    prescale_domain::sample::Sample,
    topics::RAW_KPIS,
    "Sample",
    |sample| &sample.workload,
    at,
    |_| <prescale_domain::sample::Sample as Contract>::EVENT_TYPE,
    |sample| Some(&sample.source)
);
contract!(
    fingerprint::Fingerprint,
    prescale_domain::fingerprint::Fingerprint,
    topics::FINGERPRINTS,
    "Fingerprint",
    |fingerprint| &fingerprint.workload,
    at
);
contract!(
    prediction::Prediction,
    prescale_domain::prediction::Prediction,
    topics::PREDICTIONS,
    "Prediction",
    |prediction| &prediction.workload,
    made_at
);
contract!(
    group::GroupPart,
    prescale_domain::group::GroupPart,
    topics::GROUP_PARTS,
    "GroupPart",
    |part| part.group.key(),
    made_at
);
contract!(
    group::GroupPrediction,
    prescale_domain::group::GroupPrediction,
    topics::GROUP_PREDICTIONS,
    "GroupPrediction",
    |prediction| prediction.group.key(),
    made_at
);
contract!(
    action::Action,
    prescale_domain::action::Action,
    topics::ACTIONS,
    "Action",
    |action| &action.workload,
    decided_at,
    |action| { if action.is_withdrawal() { event_types::WITHDRAWAL } else { event_types::ACTION } }
);
contract!(
    action::ActionResult,
    prescale_domain::action::ActionResult,
    topics::ACTION_RESULTS,
    "ActionResult",
    |result| &result.workload,
    at
);
contract!(
    outcome::Outcome,
    prescale_domain::evaluation::Outcome,
    topics::OUTCOMES,
    "Outcome",
    |outcome| &outcome.workload,
    from
);
contract!(
    forecast_score::ForecastScore,
    prescale_domain::forecast_score::ForecastScore,
    topics::FORECAST_SCORES,
    "ForecastScore",
    |score| &score.workload,
    from
);
contract!(
    retraining::RetrainingRequest,
    prescale_domain::retraining::RetrainingRequest,
    topics::RETRAINING,
    "RetrainingRequest",
    |request| request.family.key(),
    to
);
contract!(
    promotion::TrialScore,
    prescale_domain::promotion::TrialScore,
    topics::TRIALS,
    "TrialScore",
    |score| score.family.key(),
    at
);
contract!(
    promotion::ModelDecision,
    prescale_domain::promotion::ModelDecision,
    topics::MODEL_DECISIONS,
    "ModelDecision",
    |decision| decision.family.key(),
    at
);
contract!(
    alarm::Anomaly,
    prescale_domain::alarm::Anomaly,
    topics::ANOMALIES,
    "Anomaly",
    |anomaly| &anomaly.workload,
    at
);
contract!(
    incident::Incident,
    prescale_domain::incident::Incident,
    topics::INCIDENTS,
    "Incident",
    |incident| &incident.fleet,
    at
);
