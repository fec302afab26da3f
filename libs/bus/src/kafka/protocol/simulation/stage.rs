//! The stage that is simulated: each output depends on everything its key had before, so that one lost, repeated
//! or reordered input shows in every later output.

use crate::record::{ConsumedRecord, OutputRecord};
use crate::stage::{Outcome, Stage, StageFactory, StageFailure};
use crate::state_schema::StateSchema;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const INPUT: &str = "in";
pub(super) const OUTPUT: &str = "out";

/// The n-th output of a key that had these payloads.
fn value(n: u64, sum: u64, payload: &[u8]) -> Vec<u8> {
    [&n.to_be_bytes(), &sum.to_be_bytes(), payload].concat()
}

fn summed((n, sum): (u64, u64), payload: &[u8]) -> (u64, u64) {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    (n + 1, payload.iter().fold(sum, step))
}

/// What the stage writes for these payloads of one key.
pub(super) fn expected<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut chain = (0, 0);
    let each = |payload: &'a [u8]| {
        chain = summed(chain, payload);
        value(chain.0, chain.1, payload)
    };
    payloads.into_iter().map(each).collect()
}

/// Makes [`Summing`] stages.
#[derive(Clone, Debug, Default)]
pub(super) struct SummingFactory {
    /// The rules that they work by, which shape nothing.
    pub(super) rules: &'static str,
    /// How many were told that records were applied again under other rules.
    pub(super) told: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Summing {
    sums: BTreeMap<Vec<u8>, (u64, u64)>,
    told: Arc<AtomicUsize>,
}

impl StageFactory for SummingFactory {
    fn name(&self) -> &'static str {
        "summing"
    }

    fn input_topic(&self) -> Arc<str> {
        INPUT.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        vec![OUTPUT.into()]
    }

    fn state_schema(&self) -> String {
        StateSchema::of("sums", 1).made_under("rules", self.rules).to_string()
    }

    fn create(&self, _: u32) -> Box<dyn Stage> {
        Box::new(Summing { told: Arc::clone(&self.told), ..Summing::default() })
    }

    fn restore(&self, _: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        let sums = serde_json::from_slice::<Vec<_>>(snapshot).map_err(|e| e.to_string())?;
        Ok(Box::new(Summing { sums: sums.into_iter().collect(), told: Arc::clone(&self.told) }))
    }
}

impl Stage for Summing {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        let each = |record: &ConsumedRecord| {
            let (key, payload) = (record.key.clone().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
            let chain = self.sums.entry(key.clone()).or_default();
            *chain = summed(*chain, payload);
            let value = Some(value(chain.0, chain.1, payload));
            Outcome::Emit(vec![OutputRecord { topic: OUTPUT.into(), key, value, headers: Vec::new() }])
        };
        Ok(batch.iter().map(each).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&self.sums.iter().collect::<Vec<_>>()).unwrap_or_default()
    }

    fn repeated_under_other_terms(&mut self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}
