//! The workloads of one lane: samples in, alarms by each of the rules out.

use crate::lanes;
use anyhow::{Context as _, Result};
use prescale_contracts::Envelope;
use prescale_domain::alarm::{AlarmRules, Alarms};
use prescale_domain::governor::Fleets;
use prescale_domain::incident::{FleetAnomaly, FleetPart};
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_fingerprinter::partition as fingerprinter;
use prescale_predictor::partition as predictor;
use prescale_predictor::registry::Registry;
use std::sync::Arc;

/// Samples that the stages get at once.
const BATCH_MAX: usize = 2048;

/// Length of the bins that have a score, in seconds, where samples are no wider apart.
const BIN_S: u32 = 300;

/// What all lanes share.
pub(super) struct Parts {
    /// Alarm rules by name, at least one.
    pub(super) rules: Vec<(String, AlarmRules)>,
    pub(super) fleets: Fleets,
    pub(super) fingerprinter: Arc<prescale_fingerprinter::config::Settings>,
    pub(super) predictor: Arc<Registry>,
}

/// What a lane saw.
pub(super) struct Watched {
    /// Days of workloads that had a score and count.
    pub(super) workload_days: f64,
    /// By each of the rules.
    pub(super) told: Vec<Vec<FleetAnomaly>>,
}

/// The stages of one partition.
pub(super) struct Lane {
    parts: Arc<Parts>,
    partition: u32,
    fingerprinter: fingerprinter::Partition,
    predictor: predictor::Partition,
    /// From here on it counts.
    from: EventTime,
    waiting: Vec<Sample>,
    alarms: Vec<Alarms>,
    watched: Watched,
}

impl lanes::Lane for Lane {
    type Hand = Vec<Sample>;
    type Outcome = Watched;

    fn take(&mut self, samples: Vec<Sample>) -> Result<()> {
        self.waiting.extend(samples);
        if self.waiting.len() >= BATCH_MAX { self.run() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Watched> {
        self.run()?;
        Ok(self.watched)
    }
}

impl Lane {
    pub(super) fn new(
        parts: Arc<Parts>,
        partition: u32,
        fingerprinter: fingerprinter::Partition,
        predictor: predictor::Partition,
        from: EventTime,
    ) -> Self {
        let rules = parts.rules.len();
        Self {
            parts,
            partition,
            fingerprinter,
            predictor,
            from,
            waiting: Vec::new(),
            alarms: vec![Alarms::default(); rules],
            watched: Watched { workload_days: 0.0, told: vec![Vec::new(); rules] },
        }
    }

    fn run(&mut self) -> Result<()> {
        let sample = |sample: Sample| {
            let envelope = Envelope::root("trace", "io.prescale.v1.Sample", &sample.workload, sample.at, "");
            fingerprinter::Enveloped { envelope, sample }
        };
        let samples = std::mem::take(&mut self.waiting).into_iter().map(sample).collect();
        let fates = self.fingerprinter.apply(samples).context("the fingerprinter failed")?;
        let fingerprints = fates.into_iter().flat_map(|fate| match fate {
            fingerprinter::Fate::Used(follow) => follow,
            fingerprinter::Fate::Dropped(_) | fingerprinter::Fate::Rejected { .. } => Vec::new(),
        });
        let enveloped = |(envelope, fingerprint)| predictor::Enveloped { envelope, fingerprint };
        let fates = self.predictor.apply(fingerprints.map(enveloped).collect()).context("the predictor failed")?;
        for fate in fates {
            if let predictor::Fate::Predicted(_, prediction) = fate {
                self.watch(&prediction);
            }
        }
        Ok(())
    }

    /// Lets all rules see a prediction. What is told before it counts is not kept.
    fn watch(&mut self, prediction: &Prediction) {
        let counts = prediction.made_at >= self.from;
        if counts && prediction.anomaly.is_some() {
            self.watched.workload_days += f64::from(prediction.step_s.max(BIN_S)) / 86_400.0;
        }
        let fleet = self.parts.fleets.of(&prediction.workload, &prediction.source);
        let rules = self.parts.rules.iter().map(|(_, rules)| rules);
        for ((alarms, rules), all) in self.alarms.iter_mut().zip(rules).zip(&mut self.watched.told) {
            let told = alarms.take(rules, &fleet, prediction).unwrap_or_default();
            for anomaly in told.into_iter().filter(|_| counts) {
                let fleet = self.parts.fleets.of(&anomaly.workload, &anomaly.source);
                let known = FleetPart { partition: self.partition, workloads: alarms.fleet_workloads(&fleet) };
                all.push(FleetAnomaly { fleet, anomaly, known });
            }
        }
    }
}
