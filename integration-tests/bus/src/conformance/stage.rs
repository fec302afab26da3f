//! The stage that the suite runs. Each output depends on everything its key had before, so that
//! one lost, repeated or reordered input shows in every later output.

use super::fixture::pass;
use prescale_bus::{ConsumedRecord, Outcome, OutputRecord, Rejection, Stage, StageFactory, StageFailure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Per key: how many records, and a hash over their payloads in order.
type Chains = BTreeMap<Vec<u8>, (u64, u64)>;

fn chained(chain: (u64, u64), payload: &[u8]) -> (u64, u64) {
    let hash = payload.iter().fold(chain.1 ^ 0x9e37, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    (chain.0 + 1, hash)
}

fn output_value(chain: (u64, u64), payload: &[u8]) -> Vec<u8> {
    format!("{}|{:016x}|{}", chain.0, chain.1, String::from_utf8_lossy(payload)).into_bytes()
}

/// What the stage must write for these payloads of one key, in order. Payloads that it drops or
/// rejects leave no trace.
pub fn expected_values<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut chain = (0, 0);
    let used = payloads.into_iter().filter(|p| !p.starts_with(b"drop") && !p.starts_with(b"reject"));
    used.map(|payload| {
        chain = chained(chain, payload);
        output_value(chain, payload)
    })
    .collect()
}

/// A payload, and how long to wait at it.
pub type SlowAt = Arc<Mutex<Option<(String, Duration)>>>;

/// Makes [`Chaining`] stages.
pub struct ChainingFactory {
    /// Topic read.
    pub input: Arc<str>,
    /// Topic written.
    pub output: Arc<str>,
    /// Name of the state's layout.
    pub state_schema: String,
    /// While set, a payload `fail…` makes the stage fail.
    pub failing: Arc<AtomicBool>,
    /// Partitions of which this factory's stages were given records beyond the restored ones.
    pub seen: Arc<Mutex<BTreeSet<u32>>>,
    /// How long the first stage waits that comes to a record with this payload; none after it.
    pub slow: SlowAt,
    /// So much is in each snapshot beside what the stage needs.
    pub ballast_bytes: usize,
    /// How many stages were made of snapshots.
    pub restored: Arc<AtomicUsize>,
}

impl ChainingFactory {
    /// A factory that reads `input` and writes `output`.
    pub fn new(input: &str, output: &str) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            state_schema: "chains-1".to_owned(),
            failing: Arc::default(),
            seen: Arc::default(),
            slow: Arc::default(),
            ballast_bytes: 0,
            restored: Arc::default(),
        }
    }

    fn stage(&self, chains: Chains) -> Box<dyn Stage> {
        Box::new(Chaining {
            output: Arc::clone(&self.output),
            chains,
            failing: Arc::clone(&self.failing),
            seen: Arc::clone(&self.seen),
            slow: Arc::clone(&self.slow),
            ballast_bytes: self.ballast_bytes,
        })
    }
}

/// A line of so many bytes.
fn ballast(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// One partition of the suite's stage.
pub struct Chaining {
    output: Arc<str>,
    chains: Chains,
    failing: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<u32>>>,
    slow: SlowAt,
    ballast_bytes: usize,
}

impl StageFactory for ChainingFactory {
    fn name(&self) -> &'static str {
        "chaining"
    }

    fn input_topic(&self) -> Arc<str> {
        Arc::clone(&self.input)
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.output)]
    }

    fn state_schema(&self) -> String {
        self.state_schema.clone()
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        self.stage(Chains::new())
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        let text = std::str::from_utf8(snapshot).map_err(|e| e.to_string())?;
        let text = text.strip_prefix(&ballast(self.ballast_bytes)).ok_or("the ballast is another")?;
        let mut chains = Chains::new();
        for line in text.lines() {
            let parse = || {
                let mut fields = line.split(' ');
                let (key, count, hash) = (fields.next()?, fields.next()?, fields.next()?);
                Some((key.as_bytes().to_vec(), (count.parse().ok()?, hash.parse().ok()?)))
            };
            let (key, chain) = parse().ok_or_else(|| format!("bad line {line:?}"))?;
            chains.insert(key, chain);
        }
        self.restored.fetch_add(1, Ordering::SeqCst);
        Ok(self.stage(chains))
    }
}

impl Stage for Chaining {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        batch.iter().map(|record| self.apply_one(record)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut text = ballast(self.ballast_bytes);
        for (key, (count, hash)) in &self.chains {
            writeln!(text, "{} {count} {hash}", String::from_utf8_lossy(key)).expect("a string takes every text");
        }
        text.into_bytes()
    }
}

impl Chaining {
    fn apply_one(&mut self, record: &ConsumedRecord) -> Result<Outcome, StageFailure> {
        self.seen.lock().expect("no test panics while it holds this").insert(record.partition);
        let payload = record.value.as_deref().unwrap_or_default();
        let slow =
            self.slow.lock().expect("no test panics while it holds this").take_if(|(at, _)| at.as_bytes() == payload);
        if let Some((_, wait)) = slow {
            pass(wait);
        }
        if payload.starts_with(b"fail") && self.failing.load(Ordering::SeqCst) {
            return Err(StageFailure { message: "told to fail".to_owned() });
        }
        if payload.starts_with(b"drop") {
            return Ok(Outcome::Drop("duplicate"));
        }
        if payload.starts_with(b"reject") {
            return Ok(Outcome::Reject(Rejection { code: "undecodable", message: "told to reject".to_owned() }));
        }
        let key = record.key.clone().unwrap_or_default();
        let chain = self.chains.entry(key.clone()).or_default();
        *chain = chained(*chain, payload);
        let value = Some(output_value(*chain, payload));
        Ok(Outcome::Emit(vec![OutputRecord {
            topic: Arc::clone(&self.output),
            key,
            value,
            headers: record.headers.clone(),
        }]))
    }
}
