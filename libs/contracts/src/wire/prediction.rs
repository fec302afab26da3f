//! `schemas/predictions.avsc`, also the value of `predictions-latest`.

use super::anomaly::AnomalyScore;
use super::capacity::{Capacity, Platform};
use super::check::{self, Within};
use super::interval::{self, Interval, Quantiles};
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::calibration::drift as domain_drift;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct HorizonForecast {
    horizon_s: i64,
    value: Quantiles,
    maximum: Quantiles,
    value_interval: Interval,
    maximum_interval: Interval,
}

impl HorizonForecast {
    fn of(forecast: &domain::HorizonForecast) -> Self {
        Self {
            horizon_s: forecast.horizon_s.into(),
            value: Quantiles::of(&forecast.value),
            maximum: Quantiles::of(&forecast.maximum),
            value_interval: Interval::of(&forecast.value_interval),
            maximum_interval: Interval::of(&forecast.maximum_interval),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::positive("horizon_s", self.horizon_s)?;
        self.value.check().within("value")?;
        self.maximum.check().within("maximum")?;
        self.value_interval.check().within("value_interval")?;
        self.maximum_interval.check().within("maximum_interval")
    }

    fn into_domain(self) -> Result<domain::HorizonForecast, Fault> {
        let value = self.value.into_domain().within("value")?;
        let maximum = self.maximum.into_domain().within("maximum")?;
        Ok(domain::HorizonForecast {
            horizon_s: check::positive("horizon_s", self.horizon_s)?,
            value_interval: self.value_interval.into_domain(&value).within("value_interval")?,
            maximum_interval: self.maximum_interval.into_domain(&maximum).within("maximum_interval")?,
            value,
            maximum,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DriftState {
    Unknown,
    Stable,
    Widened,
    Reset,
    FallenBack,
}

impl DriftState {
    pub(super) fn of(state: Option<domain_drift::DriftState>) -> Self {
        match state {
            None => Self::Unknown,
            Some(domain_drift::DriftState::Stable) => Self::Stable,
            Some(domain_drift::DriftState::Widened) => Self::Widened,
            Some(domain_drift::DriftState::Reset) => Self::Reset,
            Some(domain_drift::DriftState::FallenBack) => Self::FallenBack,
        }
    }

    pub(super) fn into_domain(self) -> Option<domain_drift::DriftState> {
        match self {
            Self::Unknown => None,
            Self::Stable => Some(domain_drift::DriftState::Stable),
            Self::Widened => Some(domain_drift::DriftState::Widened),
            Self::Reset => Some(domain_drift::DriftState::Reset),
            Self::FallenBack => Some(domain_drift::DriftState::FallenBack),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ResourceForecast {
    resource: Name,
    unit: Name,
    last: Option<f64>,
    model: Name,
    model_version: Name,
    drift_state: DriftState,
    started_from: Vec<String>,
    horizons: Vec<HorizonForecast>,
}

impl ResourceForecast {
    pub(super) fn of(forecast: &domain::ResourceForecast) -> Self {
        Self {
            resource: Name(forecast.resource.shared()),
            unit: Name(forecast.unit.clone()),
            last: forecast.last,
            model: Name(forecast.model.clone()),
            model_version: Name(forecast.model_version.clone()),
            drift_state: DriftState::of(forecast.drift),
            started_from: forecast.started_from.iter().map(|workload| workload.as_str().to_owned()).collect(),
            horizons: forecast.horizons.iter().map(HorizonForecast::of).collect(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("resource", &self.resource)?;
        check::not_empty("model", &self.model)?;
        check::finite_if_any("last", self.last)?;
        for (i, horizon) in self.horizons.iter().enumerate() {
            horizon.check().within_item("horizons", i)?;
        }
        let horizons: Vec<i64> = self.horizons.iter().map(|h| h.horizon_s).collect();
        check::ascending("horizons", "horizon_s", &horizons)
    }

    fn into_domain(self) -> Result<domain::ResourceForecast, Fault> {
        Ok(domain::ResourceForecast {
            resource: KpiName::from(self.resource.0),
            unit: self.unit.0,
            last: self.last,
            model: self.model.0,
            model_version: self.model_version.0,
            drift: self.drift_state.into_domain(),
            started_from: self
                .started_from
                .iter()
                .enumerate()
                .map(|(i, workload)| check::workload(workload).within_item("started_from", i))
                .collect::<Result<_, _>>()?,
            horizons: self
                .horizons
                .into_iter()
                .enumerate()
                .map(|(i, horizon)| horizon.into_domain().within_item("horizons", i))
                .collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn check_resources(resources: &[ResourceForecast]) -> Result<(), Fault> {
    if resources.is_empty() {
        return Err(Fault::new("resources", "is empty: a prediction is of at least one resource"));
    }
    for (i, resource) in resources.iter().enumerate() {
        resource.check().within_item("resources", i)?;
    }
    let names: Vec<&str> = resources.iter().map(|r| &*r.resource).collect();
    check::ascending("resources", "resource", &names)
}

pub(super) fn resources_into_domain(resources: Vec<ResourceForecast>) -> Result<Vec<domain::ResourceForecast>, Fault> {
    let each = resources.into_iter().enumerate();
    each.map(|(i, resource)| resource.into_domain().within_item("resources", i)).collect()
}

#[derive(Serialize, Deserialize)]
struct Signal {
    name: Name,
    unit: Name,
    last: Option<f64>,
    short_mean: Option<f32>,
    long_p95: Option<f32>,
}

impl Signal {
    fn of(signal: &domain::Signal) -> Self {
        Self {
            name: Name(signal.name.shared()),
            unit: Name(signal.unit.clone()),
            last: signal.last,
            short_mean: signal.short_mean.map(|mean| mean as f32),
            long_p95: signal.long_p95.map(|p95| p95 as f32),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("name", &self.name)?;
        check::finite_if_any("last", self.last)?;
        check::finite_f32_if_any("short_mean", self.short_mean)?;
        check::finite_f32_if_any("long_p95", self.long_p95)
    }

    fn into_domain(self) -> domain::Signal {
        domain::Signal {
            name: KpiName::from(self.name.0),
            unit: self.unit.0,
            last: self.last,
            short_mean: self.short_mean.map(f64::from),
            long_p95: self.long_p95.map(f64::from),
        }
    }
}

fn check_signals(signals: &[Signal]) -> Result<(), Fault> {
    for (i, signal) in signals.iter().enumerate() {
        signal.check().within_item("signals", i)?;
    }
    let names: Vec<&str> = signals.iter().map(|s| &*s.name).collect();
    check::ascending("signals", "name", &names)
}

#[derive(Serialize, Deserialize)]
struct Reading {
    at: i64,
    resources: Vec<Option<f64>>,
    signals: Vec<Option<f64>>,
}

impl Reading {
    fn of(reading: &domain::Reading) -> Self {
        Self { at: reading.at.as_ms(), resources: reading.resources.clone(), signals: reading.signals.clone() }
    }

    /// Of a prediction with so many resources and signals.
    fn check(&self, resources: usize, signals: usize, made_at: i64) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        if self.at >= made_at {
            return Err(Fault::new(
                "at",
                "is not before made_at: the newest values stand at their resources and signals",
            ));
        }
        check_values("resources", &self.resources, resources)?;
        check_values("signals", &self.signals, signals)
    }

    fn into_domain(self) -> domain::Reading {
        domain::Reading { at: EventTime::from_ms(self.at), resources: self.resources, signals: self.signals }
    }
}

fn check_values(field: &str, values: &[Option<f64>], expected: usize) -> Result<(), Fault> {
    if values.len() != expected {
        return Err(Fault::new(field, format!("has {} values: the prediction has {expected}", values.len())));
    }
    match values.iter().position(|value| value.is_some_and(|v| !v.is_finite())) {
        None => Ok(()),
        Some(i) => check::finite_if_any(&format!("{field}[{i}]"), values[i]),
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Prediction {
    workload: String,
    source: Name,
    made_at: i64,
    step_s: i64,
    resources: Vec<ResourceForecast>,
    signals: Vec<Signal>,
    earlier: Vec<Reading>,
    anomaly: Option<AnomalyScore>,
    capacity: Option<Capacity>,
    platform: Platform,
}

impl Prediction {
    fn check_earlier(&self) -> Result<(), Fault> {
        let (resources, signals) = (self.resources.len(), self.signals.len());
        for (i, reading) in self.earlier.iter().enumerate() {
            reading.check(resources, signals, self.made_at).within_item("earlier", i)?;
        }
        let instants: Vec<i64> = self.earlier.iter().map(|reading| reading.at).collect();
        check::ascending("earlier", "at", &instants)
    }
}

impl Wire for Prediction {
    type Domain = domain::Prediction;
    const RECORD: &'static str = "Prediction";

    fn of(prediction: &domain::Prediction) -> Self {
        Self {
            workload: prediction.workload.as_str().to_owned(),
            source: Name(prediction.source.shared()),
            made_at: prediction.made_at.as_ms(),
            step_s: prediction.step_s.into(),
            resources: prediction.resources.iter().map(ResourceForecast::of).collect(),
            signals: prediction.signals.iter().map(Signal::of).collect(),
            earlier: prediction.earlier.iter().map(Reading::of).collect(),
            anomaly: prediction.anomaly.as_ref().map(AnomalyScore::of),
            capacity: prediction.capacity.as_ref().map(Capacity::of),
            platform: prediction.platform.into(),
        }
    }

    fn follows(prediction: &domain::Prediction) -> Result<(), Fault> {
        interval::follow(&prediction.resources)
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("made_at", self.made_at)?;
        check::positive("step_s", self.step_s)?;
        check_resources(&self.resources)?;
        check_signals(&self.signals)?;
        self.check_earlier()?;
        self.anomaly.as_ref().map_or(Ok(()), AnomalyScore::check).within("anomaly")?;
        self.capacity.as_ref().map_or(Ok(()), Capacity::check).within("capacity")
    }

    fn into_domain(self) -> Result<domain::Prediction, Fault> {
        Ok(domain::Prediction {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            made_at: EventTime::from_ms(self.made_at),
            step_s: check::positive("step_s", self.step_s)?,
            resources: resources_into_domain(self.resources)?,
            signals: self.signals.into_iter().map(Signal::into_domain).collect(),
            earlier: self.earlier.into_iter().map(Reading::into_domain).collect(),
            anomaly: self.anomaly.map(AnomalyScore::into_domain),
            capacity: self.capacity.map(Capacity::into_domain).transpose().within("capacity")?,
            platform: self.platform.into_domain()?,
        })
    }
}
