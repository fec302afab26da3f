//! What is known of workloads: the newest forecast of each, and the replicas that are planned for it.

use prescale_domain::action::Action;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::Prediction;
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where there is no room, what is stale is looked for once in so long.
const ROOM_SOUGHT_EVERY_S: i64 = 60;

/// How much is kept, and for how long it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Most workloads.
    pub(crate) workloads_max: usize,
    /// A forecast that is older is stale.
    pub(crate) stale_after_s: u32,
}

/// The newest forecast of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forecast {
    pub(crate) source: SourceName,
    pub(crate) platform: Platform,
    pub(crate) made_at: EventTime,
    /// What served then, where known.
    pub(crate) capacity: Option<Capacity>,
    /// By name ascending.
    pub(crate) demands: Vec<Demand>,
}

/// The demand for one resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Demand {
    pub(crate) resource: KpiName,
    pub(crate) unit: Arc<str>,
    /// Ascending.
    pub(crate) horizons: Vec<Horizon>,
}

/// Quantiles of the demand at a horizon, and of the greatest up to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Horizon {
    pub(crate) horizon_s: u32,
    pub(crate) value: Quantiles,
    pub(crate) maximum: Quantiles,
}

/// What the newest action of a workload asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) decided_at: EventTime,
    pub(crate) valid_until: EventTime,
    pub(crate) replicas: u32,
}

/// All workloads.
#[derive(Debug)]
pub(crate) struct Forecasts {
    terms: Terms,
    forecasts: BTreeMap<WorkloadId, Forecast>,
    plans: BTreeMap<WorkloadId, Plan>,
    is_whole: bool,
    left_out: u64,
    room_sought_at: Option<EventTime>,
}

impl Forecast {
    /// What is kept of a prediction, and of whose.
    pub(crate) fn of(prediction: Prediction) -> (WorkloadId, Self) {
        let Prediction { workload, source, made_at, resources, capacity, platform, .. } = prediction;
        let demands = resources.into_iter().map(|of| {
            let horizons = of.horizons.into_iter();
            let horizons = horizons.map(|h| Horizon { horizon_s: h.horizon_s, value: h.value, maximum: h.maximum });
            Demand { resource: of.resource, unit: of.unit, horizons: horizons.collect() }
        });
        let demands = demands.collect();
        (workload, Self { source, platform, made_at, capacity, demands })
    }

    /// Its age, in seconds.
    pub(crate) fn age_s(&self, now: EventTime) -> i64 {
        now.as_ms().saturating_sub(self.made_at.as_ms()) / 1000
    }
}

impl Plan {
    /// What is kept of an action, and of whose.
    pub(crate) fn of(action: Action) -> (WorkloadId, Self) {
        let Action { workload, decided_at, valid_until, desired, .. } = action;
        (workload, Self { decided_at, valid_until, replicas: desired.replicas })
    }

    fn is_valid(&self, now: EventTime) -> bool {
        now < self.valid_until
    }
}

impl Forecasts {
    /// Of no workload.
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            forecasts: BTreeMap::new(),
            plans: BTreeMap::new(),
            is_whole: false,
            left_out: 0,
            room_sought_at: None,
        }
    }

    /// Keeps a forecast, unless a newer one is known or there is no room.
    pub(crate) fn take(&mut self, workload: WorkloadId, forecast: Forecast, now: EventTime) {
        if let Some(known) = self.forecasts.get_mut(&workload) {
            if known.made_at <= forecast.made_at {
                *known = forecast;
            }
        } else if self.has_room(now) {
            self.forecasts.insert(workload, forecast);
        } else {
            self.left_out += 1;
        }
    }

    /// Forgets a workload.
    pub(crate) fn forget(&mut self, workload: &WorkloadId) {
        self.forecasts.remove(workload);
        self.plans.remove(workload);
    }

    /// Keeps a plan, unless a newer one is known or there is no room.
    pub(crate) fn plan(&mut self, workload: WorkloadId, plan: Plan, now: EventTime) {
        if let Some(known) = self.plans.get_mut(&workload) {
            if known.decided_at <= plan.decided_at {
                *known = plan;
            }
            return;
        }
        if self.plans.len() >= self.terms.workloads_max {
            self.plans.retain(|_, plan| plan.is_valid(now));
        }
        if self.plans.len() < self.terms.workloads_max {
            self.plans.insert(workload, plan);
        }
    }

    /// All that was there has been read.
    pub(crate) fn mark_whole(&mut self) {
        self.is_whole = true;
    }

    /// Whether all that was there has been read.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Forecasts that there was no room for.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The newest forecast of a workload, be it stale.
    pub(crate) fn of(&self, workload: &WorkloadId) -> Option<&Forecast> {
        self.forecasts.get(workload)
    }

    /// Those that are not stale, by workload.
    pub(crate) fn fresh(&self, now: EventTime) -> impl Iterator<Item = (&WorkloadId, &Forecast)> {
        self.forecasts.iter().filter(move |(_, forecast)| !self.is_stale(forecast, now))
    }

    /// Whether a forecast is too old to go by.
    pub(crate) fn is_stale(&self, forecast: &Forecast, now: EventTime) -> bool {
        forecast.age_s(now) > i64::from(self.terms.stale_after_s)
    }

    /// The replicas that a workload is to have: those of its newest action while that is valid, else as many as serve,
    /// since nothing else is planned; at least one. `None` where neither is known.
    pub(crate) fn planned_replicas(&self, workload: &WorkloadId, forecast: &Forecast, now: EventTime) -> Option<u32> {
        let planned = self.plans.get(workload).filter(|plan| plan.is_valid(now)).map(|plan| plan.replicas);
        let replicas = planned.or_else(|| forecast.capacity.as_ref().map(|capacity| capacity.replicas))?;
        Some(replicas.max(1))
    }

    fn has_room(&mut self, now: EventTime) -> bool {
        let most = self.terms.workloads_max;
        let sought_lately = |at: EventTime| now < at.plus_s(ROOM_SOUGHT_EVERY_S);
        if self.forecasts.len() >= most && !self.room_sought_at.is_some_and(sought_lately) {
            self.room_sought_at = Some(now);
            let stale_after_s = i64::from(self.terms.stale_after_s);
            self.forecasts.retain(|_, forecast| forecast.age_s(now) <= stale_after_s);
        }
        self.forecasts.len() < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{action, at, forecast, id};

    fn forecasts(workloads_max: usize) -> Forecasts {
        Forecasts::new(Terms { workloads_max, stale_after_s: 900 })
    }

    #[test]
    fn the_newest_counts_until_it_is_stale() {
        let mut known = forecasts(9);
        for minutes in [5, 10, 0] {
            let (workload, forecast) = forecast("web", at(minutes), 1.0);
            known.take(workload, forecast, at(10));
        }
        let newest = known.of(&id("web")).unwrap();
        assert_eq!(newest.made_at, at(10));
        assert!(!known.is_stale(newest, at(25)) && known.is_stale(newest, at(26)));
        assert_eq!((known.fresh(at(25)).count(), known.fresh(at(26)).count()), (1, 0));
        known.forget(&id("web"));
        assert_eq!(known.of(&id("web")), None);
    }

    #[test]
    fn what_is_stale_makes_room_for_what_is_not() {
        let mut known = forecasts(2);
        let mut take = |name: &str, minutes| {
            let (workload, forecast) = forecast(name, at(minutes), 1.0);
            known.take(workload, forecast, at(minutes));
            (known.forecasts.len(), known.left_out())
        };
        assert_eq!((take("a", 0), take("b", 10), take("c", 12)), ((1, 0), (2, 0), (2, 1)));
        assert_eq!(take("c", 16), (2, 1), "a is stale by now");
        assert_eq!(take("b", 16), (2, 1));
    }

    #[test]
    fn a_plan_counts_while_it_is_valid_and_then_what_serves() {
        let mut known = forecasts(1);
        let (web, forecast) = forecast("web", at(0), 1.0);
        let replicas = |known: &Forecasts, minutes| known.planned_replicas(&web, &forecast, at(minutes));
        assert_eq!(replicas(&known, 0), Some(2), "as many as serve");
        let (workload, plan) = Plan::of(action("web", at(0), 5));
        known.plan(workload, plan, at(0));
        assert_eq!((replicas(&known, 9), replicas(&known, 10)), (Some(5), Some(2)));
        let (workload, plan) = Plan::of(action("web", at(-5), 7));
        known.plan(workload, plan, at(0));
        assert_eq!(replicas(&known, 1), Some(5), "it is older");
        let withdrawn = action("web", at(0), 5).withdrawn(crate::testing::reason());
        let (workload, plan) = Plan::of(withdrawn);
        known.plan(workload, plan, at(1));
        assert_eq!(replicas(&known, 1), Some(2));
        let nothing = Forecast { capacity: None, ..forecast.clone() };
        assert_eq!(known.planned_replicas(&web, &nothing, at(1)), None);
        let (other, plan) = Plan::of(action("other", at(1), 0));
        known.plan(other.clone(), plan, at(1));
        assert_eq!(
            known.planned_replicas(&other, &forecast, at(2)),
            Some(1),
            "the other plan is void, and none is zero"
        );
    }
}
