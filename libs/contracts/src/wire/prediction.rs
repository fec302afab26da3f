//! `schemas/predictions.avsc`, also the value of `predictions-latest`.

use super::Wire;
use super::capacity::{Capacity, Platform};
use super::check::{self, Fault, Within};
use prescale_domain::calibration::drift as domain_drift;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction as domain;
use prescale_domain::quantiles as quantiles_domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Quantiles {
    p05: f64,
    p10: f64,
    p25: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p95: f64,
    p99: f64,
}

impl Quantiles {
    fn of(quantiles: &quantiles_domain::Quantiles) -> Self {
        let [p05, p10, p25, p50, p75, p90, p95, p99] = *quantiles.values();
        Self { p05, p10, p25, p50, p75, p90, p95, p99 }
    }

    fn values(&self) -> [f64; quantiles_domain::LEVELS] {
        [self.p05, self.p10, self.p25, self.p50, self.p75, self.p90, self.p95, self.p99]
    }

    fn check(&self) -> Result<(), Fault> {
        const FIELDS: [&str; quantiles_domain::LEVELS] = ["p05", "p10", "p25", "p50", "p75", "p90", "p95", "p99"];
        let values = self.values();
        for (field, value) in FIELDS.into_iter().zip(values) {
            check::finite(field, value)?;
        }
        match values.windows(2).position(|pair| pair[0] > pair[1]) {
            None => Ok(()),
            Some(i) => Err(Fault::new(FIELDS[i + 1], "is below the quantile before: quantiles never cross")),
        }
    }

    fn into_domain(self) -> Result<quantiles_domain::Quantiles, Fault> {
        quantiles_domain::Quantiles::rearranged(self.values()).ok_or_else(|| Fault::new("p05", "is not finite"))
    }
}

#[derive(Serialize, Deserialize)]
struct Interval {
    nominal_coverage: f64,
    lower: f64,
    upper: f64,
    trailing_coverage: Option<f64>,
    scored: i64,
}

impl Interval {
    fn of(interval: &domain::Interval) -> Self {
        Self {
            nominal_coverage: interval.nominal_coverage,
            lower: interval.lower,
            upper: interval.upper,
            trailing_coverage: interval.trailing_coverage,
            scored: interval.scored.into(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::share("nominal_coverage", self.nominal_coverage)?;
        check::finite("lower", self.lower)?;
        check::finite("upper", self.upper)?;
        if self.lower > self.upper {
            return Err(Fault::new("upper", format!("{} is below the lower bound {}", self.upper, self.lower)));
        }
        check::count("scored", self.scored)?;
        self.trailing_coverage.map_or(Ok(()), |c| check::share("trailing_coverage", c))
    }

    fn into_domain(self) -> Result<domain::Interval, Fault> {
        Ok(domain::Interval {
            nominal_coverage: self.nominal_coverage,
            lower: self.lower,
            upper: self.upper,
            trailing_coverage: self.trailing_coverage,
            scored: check::count("scored", self.scored)?,
        })
    }
}

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
        Ok(domain::HorizonForecast {
            horizon_s: check::positive("horizon_s", self.horizon_s)?,
            value: self.value.into_domain().within("value")?,
            maximum: self.maximum.into_domain().within("maximum")?,
            value_interval: self.value_interval.into_domain().within("value_interval")?,
            maximum_interval: self.maximum_interval.into_domain().within("maximum_interval")?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DriftState {
    Unknown,
    Stable,
    Widened,
    Reset,
    FallenBack,
}

impl DriftState {
    fn of(state: Option<domain_drift::DriftState>) -> Self {
        match state {
            None => Self::Unknown,
            Some(domain_drift::DriftState::Stable) => Self::Stable,
            Some(domain_drift::DriftState::Widened) => Self::Widened,
            Some(domain_drift::DriftState::Reset) => Self::Reset,
            Some(domain_drift::DriftState::FallenBack) => Self::FallenBack,
        }
    }

    fn into_domain(self) -> Option<domain_drift::DriftState> {
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
    resource: String,
    unit: String,
    last: Option<f64>,
    model: String,
    model_version: String,
    drift_state: DriftState,
    started_from: Vec<String>,
    horizons: Vec<HorizonForecast>,
}

impl ResourceForecast {
    pub(super) fn of(forecast: &domain::ResourceForecast) -> Self {
        Self {
            resource: forecast.resource.as_str().to_owned(),
            unit: forecast.unit.as_ref().to_owned(),
            last: forecast.last,
            model: forecast.model.as_ref().to_owned(),
            model_version: forecast.model_version.as_ref().to_owned(),
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
            resource: KpiName::new(&self.resource),
            unit: self.unit.into(),
            last: self.last,
            model: self.model.into(),
            model_version: self.model_version.into(),
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
    let names: Vec<&str> = resources.iter().map(|r| r.resource.as_str()).collect();
    check::ascending("resources", "resource", &names)
}

pub(super) fn resources_into_domain(resources: Vec<ResourceForecast>) -> Result<Vec<domain::ResourceForecast>, Fault> {
    let each = resources.into_iter().enumerate();
    each.map(|(i, resource)| resource.into_domain().within_item("resources", i)).collect()
}

#[derive(Serialize, Deserialize)]
struct Signal {
    name: String,
    unit: String,
    last: Option<f64>,
    short_mean: Option<f64>,
    long_p95: Option<f64>,
}

impl Signal {
    fn of(signal: &domain::Signal) -> Self {
        Self {
            name: signal.name.as_str().to_owned(),
            unit: signal.unit.as_ref().to_owned(),
            last: signal.last,
            short_mean: signal.short_mean,
            long_p95: signal.long_p95,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("name", &self.name)?;
        check::finite_if_any("last", self.last)?;
        check::finite_if_any("short_mean", self.short_mean)?;
        check::finite_if_any("long_p95", self.long_p95)
    }

    fn into_domain(self) -> domain::Signal {
        let Self { name, unit, last, short_mean, long_p95 } = self;
        domain::Signal { name: KpiName::new(&name), unit: unit.into(), last, short_mean, long_p95 }
    }
}

fn check_signals(signals: &[Signal]) -> Result<(), Fault> {
    for (i, signal) in signals.iter().enumerate() {
        signal.check().within_item("signals", i)?;
    }
    let names: Vec<&str> = signals.iter().map(|s| s.name.as_str()).collect();
    check::ascending("signals", "name", &names)
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Prediction {
    workload: String,
    source: String,
    made_at: i64,
    step_s: i64,
    resources: Vec<ResourceForecast>,
    signals: Vec<Signal>,
    capacity: Option<Capacity>,
    platform: Platform,
}

impl Wire for Prediction {
    type Domain = domain::Prediction;
    const RECORD: &'static str = "Prediction";

    fn of(prediction: &domain::Prediction) -> Self {
        Self {
            workload: prediction.workload.as_str().to_owned(),
            source: prediction.source.as_ref().to_owned(),
            made_at: prediction.made_at.as_ms(),
            step_s: prediction.step_s.into(),
            resources: prediction.resources.iter().map(ResourceForecast::of).collect(),
            signals: prediction.signals.iter().map(Signal::of).collect(),
            capacity: prediction.capacity.as_ref().map(Capacity::of),
            platform: prediction.platform.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("source", &self.source)?;
        check::instant("made_at", self.made_at)?;
        check::positive("step_s", self.step_s)?;
        check_resources(&self.resources)?;
        check_signals(&self.signals)?;
        self.capacity.as_ref().map_or(Ok(()), Capacity::check).within("capacity")
    }

    fn into_domain(self) -> Result<domain::Prediction, Fault> {
        Ok(domain::Prediction {
            workload: check::workload(&self.workload)?,
            source: self.source.into(),
            made_at: EventTime::from_ms(self.made_at),
            step_s: check::positive("step_s", self.step_s)?,
            resources: resources_into_domain(self.resources)?,
            signals: self.signals.into_iter().map(Signal::into_domain).collect(),
            capacity: self.capacity.map(Capacity::into_domain).transpose().within("capacity")?,
            platform: self.platform.into(),
        })
    }
}
