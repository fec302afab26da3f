//! Quantiles, and the interval that follows from them: on the wire it is only how well such intervals did.

use super::check::{self, Within};
use crate::mirror::Fault;
use prescale_domain::calibration::{LOWER, NOMINAL_COVERAGE, UPPER};
use prescale_domain::prediction as domain;
use prescale_domain::quantiles as quantiles_domain;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Quantiles {
    p05: f32,
    p10: f32,
    p25: f32,
    p50: f32,
    p75: f32,
    p90: f32,
    p95: f32,
    p99: f32,
}

impl Quantiles {
    pub(super) fn of(quantiles: &quantiles_domain::Quantiles) -> Self {
        let [p05, p10, p25, p50, p75, p90, p95, p99] = quantiles.values().map(|value| value as f32);
        Self { p05, p10, p25, p50, p75, p90, p95, p99 }
    }

    fn values(&self) -> [f32; quantiles_domain::LEVELS] {
        [self.p05, self.p10, self.p25, self.p50, self.p75, self.p90, self.p95, self.p99]
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        const FIELDS: [&str; quantiles_domain::LEVELS] = ["p05", "p10", "p25", "p50", "p75", "p90", "p95", "p99"];
        let values = self.values();
        for (field, value) in FIELDS.into_iter().zip(values) {
            check::finite_f32(field, value)?;
        }
        match values.windows(2).position(|pair| pair[0] > pair[1]) {
            None => Ok(()),
            Some(i) => Err(Fault::new(FIELDS[i + 1], "is below the quantile before: quantiles never cross")),
        }
    }

    pub(super) fn into_domain(self) -> Result<quantiles_domain::Quantiles, Fault> {
        quantiles_domain::Quantiles::rearranged(self.values().map(f64::from))
            .ok_or_else(|| Fault::new("p05", "is not finite"))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Interval {
    trailing_coverage: Option<f32>,
    scored: i64,
}

impl Interval {
    pub(super) fn of(interval: &domain::Interval) -> Self {
        Self { trailing_coverage: interval.trailing_coverage.map(|share| share as f32), scored: interval.scored.into() }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        check::count("scored", self.scored)?;
        self.trailing_coverage.map_or(Ok(()), |share| check::share("trailing_coverage", share.into()))
    }

    pub(super) fn into_domain(self, quantiles: &quantiles_domain::Quantiles) -> Result<domain::Interval, Fault> {
        let values = quantiles.values();
        Ok(domain::Interval {
            nominal_coverage: NOMINAL_COVERAGE,
            lower: values[LOWER],
            upper: values[UPPER],
            trailing_coverage: self.trailing_coverage.map(f64::from),
            scored: check::count("scored", self.scored)?,
        })
    }
}

/// That each interval is the one that readers will make of its quantiles.
pub(super) fn follow(resources: &[domain::ResourceForecast]) -> Result<(), Fault> {
    for (i, resource) in resources.iter().enumerate() {
        for (j, horizon) in resource.horizons.iter().enumerate() {
            let of_value = follows(&horizon.value_interval, &horizon.value).within("value_interval");
            let of_maximum = follows(&horizon.maximum_interval, &horizon.maximum).within("maximum_interval");
            of_value.and(of_maximum).within_item("horizons", j).within_item("resources", i)?;
        }
    }
    Ok(())
}

fn follows(interval: &domain::Interval, quantiles: &quantiles_domain::Quantiles) -> Result<(), Fault> {
    let values = quantiles.values();
    let fields = [
        ("nominal_coverage", interval.nominal_coverage, NOMINAL_COVERAGE),
        ("lower", interval.lower, values[LOWER]),
        ("upper", interval.upper, values[UPPER]),
    ];
    match fields.into_iter().find(|(_, stated, expected)| stated != expected) {
        None => Ok(()),
        Some((field, stated, expected)) => {
            let problem = format!("{stated} is not the {expected} that readers make of the quantiles 0.05 and 0.95");
            Err(Fault::new(field, problem))
        }
    }
}
