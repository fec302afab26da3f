//! `schemas/group-parts.avsc` and `schemas/group-predictions.avsc`.

use super::check::{self, Within};
use super::interval;
use super::prediction::{ResourceForecast, check_resources, resources_into_domain};
use crate::mirror::{Fault, Wire};
use prescale_domain::group as domain;
use prescale_domain::group::sum as domain_sum;
use prescale_domain::kpi::KpiName;
use prescale_domain::quantiles::{LEVELS, MEDIAN};
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct QuantileSum {
    median: f64,
    deviations: Vec<f64>,
    squares: Vec<f64>,
}

impl QuantileSum {
    fn of(sum: &domain_sum::QuantileSum) -> Self {
        Self { median: sum.median, deviations: sum.deviations.to_vec(), squares: sum.squares.to_vec() }
    }

    fn check(&self) -> Result<(), Fault> {
        check::finite("median", self.median)?;
        for (field, values) in [("deviations", &self.deviations), ("squares", &self.squares)] {
            if values.len() != LEVELS {
                return Err(Fault::new(field, format!("has {} numbers: there are {LEVELS} levels", values.len())));
            }
            values.iter().try_for_each(|value| check::finite(field, *value))?;
        }
        self.squares.iter().try_for_each(|square| check::not_negative("squares", *square))?;
        let is_on_its_side = |(i, deviation): (usize, &f64)| match i.cmp(&MEDIAN) {
            std::cmp::Ordering::Less => *deviation <= 0.0,
            std::cmp::Ordering::Equal => *deviation == 0.0,
            std::cmp::Ordering::Greater => *deviation >= 0.0,
        };
        if self.deviations.iter().enumerate().all(is_on_its_side) {
            Ok(())
        } else {
            Err(Fault::new("deviations", "has one on the wrong side of the median"))
        }
    }

    fn into_domain(self) -> Result<domain_sum::QuantileSum, Fault> {
        let levels = |field: &str, values: Vec<f64>| {
            <[f64; LEVELS]>::try_from(values).map_err(|_| Fault::new(field, format!("has not {LEVELS} numbers")))
        };
        Ok(domain_sum::QuantileSum {
            median: self.median,
            deviations: levels("deviations", self.deviations)?,
            squares: levels("squares", self.squares)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct HorizonSum {
    horizon_s: i64,
    forecasts: i64,
    value: QuantileSum,
    maximum: QuantileSum,
    rise: f64,
    rise_squares: f64,
}

impl HorizonSum {
    fn of((horizon_s, sum): (&u32, &domain::HorizonSum)) -> Self {
        Self {
            horizon_s: (*horizon_s).into(),
            forecasts: sum.forecasts.into(),
            value: QuantileSum::of(&sum.value),
            maximum: QuantileSum::of(&sum.maximum),
            rise: sum.rise.sum,
            rise_squares: sum.rise.squares,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::positive("horizon_s", self.horizon_s)?;
        check::count("forecasts", self.forecasts)?;
        self.value.check().within("value")?;
        self.maximum.check().within("maximum")?;
        check::finite("rise", self.rise)?;
        check::not_negative("rise_squares", self.rise_squares)
    }

    fn into_domain(self) -> Result<(u32, domain::HorizonSum), Fault> {
        let sum = domain::HorizonSum {
            forecasts: check::count("forecasts", self.forecasts)?,
            value: self.value.into_domain().within("value")?,
            maximum: self.maximum.into_domain().within("maximum")?,
            rise: domain_sum::Rise { sum: self.rise, squares: self.rise_squares },
        };
        Ok((check::positive("horizon_s", self.horizon_s)?, sum))
    }
}

#[derive(Serialize, Deserialize)]
struct ResourceSum {
    resource: String,
    unit: String,
    last: f64,
    closed: Option<f64>,
    horizons: Vec<HorizonSum>,
}

impl ResourceSum {
    fn of((resource, sum): (&KpiName, &domain::ResourceSum)) -> Self {
        Self {
            resource: resource.as_str().to_owned(),
            unit: sum.unit.as_ref().to_owned(),
            last: sum.last,
            closed: sum.closed,
            horizons: sum.horizons.iter().map(HorizonSum::of).collect(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("resource", &self.resource)?;
        check::finite("last", self.last)?;
        check::finite_if_any("closed", self.closed)?;
        for (i, horizon) in self.horizons.iter().enumerate() {
            horizon.check().within_item("horizons", i)?;
        }
        let horizons: Vec<i64> = self.horizons.iter().map(|h| h.horizon_s).collect();
        check::ascending("horizons", "horizon_s", &horizons)
    }

    fn into_domain(self) -> Result<(KpiName, domain::ResourceSum), Fault> {
        let horizons = self.horizons.into_iter().enumerate();
        let sum = domain::ResourceSum {
            unit: self.unit.into(),
            last: self.last,
            closed: self.closed,
            horizons: horizons
                .map(|(i, horizon)| horizon.into_domain().within_item("horizons", i))
                .collect::<Result<_, _>>()?,
        };
        Ok((KpiName::new(&self.resource), sum))
    }
}

fn count_of(reported: i64, carried: i64) -> Result<domain::MemberCount, Fault> {
    Ok(domain::MemberCount {
        reported: check::count("reported", reported)?,
        carried: check::count("carried", carried)?,
    })
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GroupPart {
    group: String,
    partition: i64,
    made_at: i64,
    reported: i64,
    carried: i64,
    resources: Vec<ResourceSum>,
}

impl Wire for GroupPart {
    type Domain = domain::GroupPart;
    const RECORD: &'static str = "GroupPart";

    fn of(part: &domain::GroupPart) -> Self {
        Self {
            group: part.group.as_str().to_owned(),
            partition: part.partition.into(),
            made_at: part.made_at.as_ms(),
            reported: part.members.reported.into(),
            carried: part.members.carried.into(),
            resources: part.resources.iter().map(ResourceSum::of).collect(),
        }
    }

    fn workload(&self) -> &str {
        &self.group
    }

    fn check(&self) -> Result<(), Fault> {
        check::count("partition", self.partition)?;
        check::instant("made_at", self.made_at)?;
        count_of(self.reported, self.carried)?;
        for (i, resource) in self.resources.iter().enumerate() {
            resource.check().within_item("resources", i)?;
        }
        let names: Vec<&str> = self.resources.iter().map(|r| r.resource.as_str()).collect();
        check::ascending("resources", "resource", &names)
    }

    fn into_domain(self) -> Result<domain::GroupPart, Fault> {
        let resources = self.resources.into_iter().enumerate();
        Ok(domain::GroupPart {
            group: check::group(&self.group)?,
            partition: check::count("partition", self.partition)?,
            made_at: EventTime::from_ms(self.made_at),
            members: count_of(self.reported, self.carried)?,
            resources: resources
                .map(|(i, resource)| resource.into_domain().within_item("resources", i))
                .collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GroupPrediction {
    group: String,
    made_at: i64,
    reported: i64,
    carried: i64,
    resources: Vec<ResourceForecast>,
}

impl Wire for GroupPrediction {
    type Domain = domain::GroupPrediction;
    const RECORD: &'static str = "GroupPrediction";

    fn of(prediction: &domain::GroupPrediction) -> Self {
        Self {
            group: prediction.group.as_str().to_owned(),
            made_at: prediction.made_at.as_ms(),
            reported: prediction.members.reported.into(),
            carried: prediction.members.carried.into(),
            resources: prediction.resources.iter().map(ResourceForecast::of).collect(),
        }
    }

    fn follows(prediction: &domain::GroupPrediction) -> Result<(), Fault> {
        interval::follow(&prediction.resources)
    }

    fn workload(&self) -> &str {
        &self.group
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("made_at", self.made_at)?;
        count_of(self.reported, self.carried)?;
        check_resources(&self.resources)
    }

    fn into_domain(self) -> Result<domain::GroupPrediction, Fault> {
        Ok(domain::GroupPrediction {
            group: check::group(&self.group)?,
            made_at: EventTime::from_ms(self.made_at),
            members: count_of(self.reported, self.carried)?,
            resources: resources_into_domain(self.resources)?,
        })
    }
}
