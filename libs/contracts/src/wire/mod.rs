//! The records as serde sees them: private mirrors of the Avro schemas.

use crate::contract::Contract;
use crate::error::ContractError;
use prescale_domain::{action, fingerprint, prediction, sample, time::EventTime, workload::WorkloadId};

macro_rules! contract {
    ($domain:ty, $topic:expr, $name:literal, $at:ident) => {
        impl Contract for $domain {
            const TOPIC: &'static str = $topic;
            const EVENT_TYPE: &'static str = concat!("io.prescale.v1.", $name);

            fn workload(&self) -> &WorkloadId {
                &self.workload
            }

            fn at(&self) -> EventTime {
                self.$at
            }

            fn encode(&self) -> Result<Vec<u8>, ContractError> {
                Err(ContractError::UnknownTopic { topic: Self::TOPIC.to_owned() })
            }

            fn decode(framed: &[u8]) -> Result<Self, ContractError> {
                Err(ContractError::NotFramed { bytes: framed.len() })
            }
        }
    };
}

contract!(sample::Sample, crate::topics::RAW_KPIS, "Sample", at);
contract!(fingerprint::Fingerprint, crate::topics::FINGERPRINTS, "Fingerprint", at);
contract!(prediction::Prediction, crate::topics::PREDICTIONS, "Prediction", made_at);
contract!(action::Action, crate::topics::ACTIONS, "Action", decided_at);
contract!(action::ActionResult, crate::topics::ACTION_RESULTS, "ActionResult", at);
