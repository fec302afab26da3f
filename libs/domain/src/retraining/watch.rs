//! Drift that lasts, by the scores of one partition.
//!
//! What a family loses on a series, as a share of the demand's size, is held against what it used to lose there: both are
//! exponentially weighted over hours, so a demand that merely grows is no drift. It lasts when it has been clearly more for
//! two days without a break, and the series' own test ([`crate::calibration::drift`]) has given an alarm meanwhile. Then the
//! family is to be trained anew, and what is lost now is what is to be expected until that helps.

use super::{RetrainingRequest, TrainedFamily};
use crate::calibration::drift::DriftState;
use crate::forecast::Family;
use crate::forecast_score::{ForecastScore, ResourceScore, StatisticScore};
use crate::kpi::KpiName;
use crate::slots::Slots;
use crate::stream::silence::{SourceNumber, Sources};
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// Half-life of an hour's weight in what is usually lost: a week, so that both kinds of days are in it.
pub const USUAL_HALF_LIFE_H: f32 = 168.0;

/// Half-life of an hour's weight in what is lost lately.
pub const LATELY_HALF_LIFE_H: f32 = 12.0;

/// Hours before which what is usual is not known.
pub const LEARNT_HOURS_MIN: u16 = 72;

/// What is lost lately is worse when it is more than so many times what is usual.
pub const WORSE_FROM: f32 = 1.5;

/// Drift has lasted when it was worse for so many hours that were scored.
pub const LASTING_HOURS: u16 = 48;

/// The watch over the workloads of one partition. It is a function of the scores in their order.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DriftWatch {
    sources: Sources,
    workloads: Slots<Watched>,
}

/// What is kept of a workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Watched {
    source: SourceNumber,
    newest: EventTime,
    series: Vec<Series>,
}

/// How a trained family does on one resource.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Series {
    resource: KpiName,
    family: Family,
    usual: Share,
    lately: Share,
    hours_learnt: u16,
    hours_worse: u16,
    /// When it began to be worse.
    worse_from: EventTime,
    /// Whether there was an alarm since.
    has_alarmed: bool,
}

/// A loss and the size of the demand, exponentially weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Share {
    loss: f32,
    size: f32,
}

/// What a family lost in an hour.
struct Loss<'a> {
    family: TrainedFamily,
    version: &'a Arc<str>,
    loss: f64,
}

impl DriftWatch {
    /// Takes a score in. Gives what is asked for with it; `None` when it is not newer than the last one of its workload.
    pub fn step(&mut self, score: &ForecastScore) -> Option<Vec<RetrainingRequest>> {
        let observed = self.sources.observe(&score.source, score.from);
        if let Some(before) = observed.forget_before {
            self.workloads.retain(|_, known| known.source != observed.source || known.newest >= before);
        }
        let new = || Watched { source: observed.source, newest: EventTime::from_ms(i64::MIN), series: Vec::new() };
        let known = self.workloads.get_or_insert_with(&score.workload, new);
        if known.newest >= score.from {
            return None;
        }
        (known.source, known.newest) = (observed.source, score.from);
        let mut asked = Vec::new();
        for resource in &score.resources {
            let Some(size) = resource.size() else { continue };
            for lost in losses(resource) {
                asked.extend(known.series(resource, &lost).push(score, resource, (lost, size)));
            }
        }
        Some(asked)
    }

    /// Workloads that are watched.
    pub fn workloads(&self) -> usize {
        self.workloads.len()
    }
}

impl Watched {
    fn series(&mut self, resource: &ResourceScore, lost: &Loss<'_>) -> &mut Series {
        let family = lost.family.family();
        let is_it = |known: &Series| known.family == family && known.resource == resource.resource;
        let place = self.series.iter().position(is_it).unwrap_or_else(|| {
            self.series.push(Series::new(resource.resource.clone(), family));
            self.series.len() - 1
        });
        &mut self.series[place]
    }
}

impl Series {
    fn new(resource: KpiName, family: Family) -> Self {
        Self {
            resource,
            family,
            usual: Share::default(),
            lately: Share::default(),
            hours_learnt: 0,
            hours_worse: 0,
            worse_from: EventTime::from_ms(i64::MIN),
            has_alarmed: false,
        }
    }

    fn push(
        &mut self,
        score: &ForecastScore,
        resource: &ResourceScore,
        (lost, size): (Loss<'_>, f64),
    ) -> Option<RetrainingRequest> {
        self.lately.push(LATELY_HALF_LIFE_H, lost.loss, size);
        let is_worse = self.hours_learnt >= LEARNT_HOURS_MIN && self.lately.is_above(WORSE_FROM, &self.usual);
        if !is_worse {
            self.usual.push(USUAL_HALF_LIFE_H, lost.loss, size);
            self.hours_learnt = self.hours_learnt.saturating_add(1);
            (self.hours_worse, self.has_alarmed) = (0, false);
            return None;
        }
        if self.hours_worse == 0 {
            self.worse_from = score.from;
        }
        self.hours_worse = self.hours_worse.saturating_add(1);
        self.has_alarmed |= resource.drift.is_some_and(|drift| drift > DriftState::Stable);
        if self.hours_worse < LASTING_HOURS || !self.has_alarmed {
            return None;
        }
        let (before, now) = (self.usual.share(), self.lately.share());
        self.usual = self.lately;
        (self.hours_worse, self.has_alarmed) = (0, false);
        Some(RetrainingRequest {
            family: lost.family,
            model_version: Arc::clone(lost.version),
            workload: score.workload.clone(),
            source: score.source.clone(),
            resource: resource.resource.clone(),
            from: self.worse_from,
            to: score.from.plus_s(3600 * i64::from(score.hours)),
            loss_before: before?,
            loss_now: now?,
        })
    }
}

impl Share {
    fn push(&mut self, half_life_h: f32, loss: f64, size: f64) {
        let keep = libm::exp2f(-1.0 / half_life_h);
        (self.loss, self.size) = (keep * self.loss + loss as f32, keep * self.size + size as f32);
    }

    /// Whether it is more than so many times another.
    fn is_above(&self, times: f32, other: &Self) -> bool {
        matches!((self.share(), other.share()), (Some(share), Some(other)) if share > f64::from(times) * other)
    }

    /// `None` where the demand has no size, or a number is not finite.
    fn share(&self) -> Option<f64> {
        let share = f64::from(self.loss / self.size);
        share.is_finite().then_some(share)
    }
}

/// What the trained families that compete lost in an hour; where none was paired, what the one lost that forecasts.
fn losses(resource: &ResourceScore) -> Vec<Loss<'_>> {
    let paired = resource.paired.iter().filter_map(|paired| {
        let family = TrainedFamily::named(&paired.model)?;
        Some(Loss { family, version: &paired.model_version, loss: paired.pinball_loss })
    });
    let mut losses: Vec<Loss<'_>> = paired.collect();
    let own = TrainedFamily::named(&resource.model).filter(|own| losses.iter().all(|lost| lost.family != *own));
    if let (Some(family), Some(loss)) = (own, own_loss(resource)) {
        losses.push(Loss { family, version: &resource.model_version, loss });
    }
    losses
}

/// Mean over all forecasts that were scored.
fn own_loss(resource: &ResourceScore) -> Option<f64> {
    let of_horizon = |value: Option<StatisticScore>, maximum: Option<StatisticScore>| value.into_iter().chain(maximum);
    let all = resource.horizons.iter().flat_map(|horizon| of_horizon(horizon.value, horizon.maximum));
    let add = |(loss, scored): (f64, f64), score: StatisticScore| {
        let of_score = f64::from(score.scored);
        (loss + of_score * score.pinball_loss, scored + of_score)
    };
    let (loss, scored) = all.fold((0.0, 0.0), add);
    (scored > 0.0).then(|| loss / scored)
}
