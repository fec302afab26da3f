//! What is tested: samples in, forecasts as of each sample out.

use super::textbook::{Forecasts, Textbook};
use crate::lanes::enveloped;
use anyhow::{Context as _, Result};
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::forecast::HorizonQuantiles;
use prescale_domain::kpi::KpiName;
use prescale_domain::sample::Sample;
use prescale_predictor::config::Settings;
use prescale_predictor::partition::{Fate, Partition};
use prescale_predictor::registry::Registry;
use std::sync::Arc;

/// One forecaster over all workloads of a lane.
pub(super) enum Contender {
    /// The predictor.
    Predictor(Box<Partition>, Arc<Settings>),
    /// Seasonal naive as the textbook has it.
    Textbook(Textbook),
}

impl Contender {
    /// The predictor with these models and their settings.
    pub(super) fn predictor(registry: &Arc<Registry>) -> Self {
        Self::Predictor(Box::new(Partition::new(Arc::clone(registry))), Arc::clone(registry.settings()))
    }

    /// The textbook's seasonal naive.
    pub(super) fn textbook(settings: &Settings) -> Self {
        Self::Textbook(Textbook::new(settings))
    }

    /// Takes samples in, in order, each with how unusual its workload was; forecasts as of each of them.
    pub(super) fn take(&mut self, samples: &[Sample], anomalies: &[Option<AnomalyScore>]) -> Result<Vec<Forecasts>> {
        match self {
            Self::Textbook(textbook) => Ok(samples.iter().map(|sample| textbook.take(sample)).collect()),
            Self::Predictor(partition, settings) => {
                let scored = |(sample, anomaly): (&Sample, &Option<AnomalyScore>)| {
                    let mut record = enveloped(sample);
                    record.fingerprint.anomaly.clone_from(anomaly);
                    record
                };
                let batch = samples.iter().zip(anomalies).map(scored).collect();
                let fates = partition.apply(batch).context("the predictor failed")?;
                Ok(fates.into_iter().map(|fate| forecasts(settings, fate)).collect())
            }
        }
    }
}

fn forecasts(settings: &Settings, fate: Fate) -> Forecasts {
    let Fate::Predicted(_, prediction) = fate else { return vec![None; settings.resources.len()] };
    let of = |resource: &KpiName| {
        let made = prediction.resources.iter().find(|made| made.resource == *resource)?;
        let horizons = made.horizons.iter().map(|h| HorizonQuantiles { value: h.value, maximum: h.maximum });
        Some(horizons.collect())
    };
    settings.resources.iter().map(of).collect()
}
