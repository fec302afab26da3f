//! One workload's series, and the sample that they make of a bin.

use super::series::Series;
use crate::kpi::{Kpi, KpiKind};
use crate::platform::Platform;
use crate::point::{AddUp, Measured, Point};
use crate::sample::{Capacity, Sample};
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits for its bin's end, or was part of what went out with it.
    Kept,
    /// There was one of the same series and instant.
    Duplicate,
    /// Its bin is over, and there was no newer one of its series: what it says is lost.
    Late,
    /// Its bin is over, and there was a newer one of its series: most often it was there before.
    Passed,
    /// It is ahead of its source's clock, as are others of its series that wait.
    FromTheFuture,
}

/// The series of one workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Lane {
    step_s: u32,
    platform: Platform,
    /// By what they measure, ascending.
    columns: Vec<Column>,
    /// Instant of the first point that waits.
    first: Option<EventTime>,
    /// End of the bin that went out last.
    closed_until: Option<EventTime>,
    /// Where it is while it lags behind its source's watermark.
    lag: Option<Lag>,
}

/// A workload that lags behind its source: it goes by its own clock, until it has caught up or is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Lag {
    /// Its newest point that lagged.
    newest: EventTime,
    /// It is not waited for any more when the watermark of its source is here.
    until: EventTime,
}

/// The series that measure the same.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Column {
    measured: Measured,
    kind: KpiKind,
    unit: Arc<str>,
    add_up: AddUp,
    series: BTreeMap<Arc<str>, Series>,
}

impl Lane {
    pub(super) fn new(step_s: u32) -> Self {
        Self {
            step_s,
            platform: Platform::OBSERVED_ONLY,
            columns: Vec::new(),
            first: None,
            closed_until: None,
            lag: None,
        }
    }

    /// Width of its grid, in seconds.
    pub(super) fn step_s(&self) -> u32 {
        self.step_s
    }

    /// Goes on with another grid.
    pub(super) fn change_step(&mut self, step_s: u32) {
        self.step_s = step_s;
    }

    /// End of the first bin of which points wait.
    pub(super) fn first_end(&self) -> Option<EventTime> {
        self.first.map(|at| EventTime::of_bin(at.bin(self.step_s) + 1, self.step_s))
    }

    /// End of the bin that went out last; before all time where none did.
    pub(super) fn closed_until(&self) -> EventTime {
        self.closed_until.unwrap_or(EventTime::from_ms(i64::MIN))
    }

    /// Until where its source's watermark has to come for its first bin to go out: to the end of that, or as far as a
    /// workload that lags is waited for. `None` where no points wait.
    pub(super) fn due(&self) -> Option<EventTime> {
        let end = self.first_end()?;
        Some(self.lag.map_or(end, |lag| lag.until))
    }

    /// Sets down that a point that it took lags, or that none does any more: where it comes to, and how far its source's
    /// watermark may come until the next one.
    pub(super) fn lags(&mut self, point: Option<(EventTime, EventTime)>) {
        self.lag = point.map(|(at, until)| {
            let newest = self.lag.map_or(at, |lag| lag.newest.max(at));
            Lag { newest, until }
        });
    }

    /// End of the first bin of which points wait, while it lags and its own clock less the lateness has passed that.
    pub(super) fn first_end_passed(&self, lateness_s: u32) -> Option<EventTime> {
        let own_watermark = self.lag?.newest.plus_s(-i64::from(lateness_s));
        self.first_end().filter(|end| *end <= own_watermark)
    }

    /// Takes a point, which may be far ahead of its source's clock. What its KPI is, and what runs the workload, is as the
    /// last points say.
    pub(super) fn take(&mut self, point: &Point, ahead_of: Option<EventTime>) -> Taken {
        if point.at < self.closed_until() {
            return self.too_late(point);
        }
        let series = self.column(point).series.entry(Arc::clone(&point.series)).or_insert_with(Series::new);
        if ahead_of.is_some_and(|newest| series.is_full_ahead_of(newest)) {
            return Taken::FromTheFuture;
        }
        if !series.hold(point.at, point.value, point.is_total) {
            return Taken::Duplicate;
        }
        self.platform = point.platform;
        self.first = Some(self.first.map_or(point.at, |first| first.min(point.at)));
        Taken::Kept
    }

    /// What became of a point whose bin is over.
    pub(super) fn too_late(&self, point: &Point) -> Taken {
        let column = self.columns.iter().find(|column| column.measured == point.measured);
        let series = column.and_then(|column| column.series.get(&point.series));
        let is_passed = series.and_then(Series::newest).is_some_and(|newest| newest >= point.at);
        if is_passed { Taken::Passed } else { Taken::Late }
    }

    fn column(&mut self, point: &Point) -> &mut Column {
        let found = self.columns.binary_search_by(|column| column.measured.cmp(&point.measured));
        let place = match found {
            Ok(place) => place,
            Err(place) => {
                let column = Column {
                    measured: point.measured.clone(),
                    kind: point.kind,
                    unit: Arc::clone(&point.unit),
                    add_up: point.add_up,
                    series: BTreeMap::new(),
                };
                self.columns.insert(place, column);
                place
            }
        };
        let column = &mut self.columns[place];
        (column.kind, column.add_up) = (point.kind, point.add_up);
        if column.unit != point.unit {
            column.unit = Arc::clone(&point.unit);
        }
        column
    }

    /// The sample of the bin that ends at `end`, the first of which points wait. `None` where nothing new was measured
    /// in it, or nothing but first readings of running totals.
    pub(super) fn close(
        &mut self,
        carried_s: u32,
        workload: &WorkloadId,
        source: &SourceName,
        end: EventTime,
    ) -> Option<Sample> {
        self.closed_until = Some(end);
        let all = self.columns.iter_mut().flat_map(|column| column.series.values_mut());
        let at = all.filter_map(|series| series.close(end, carried_s)).max();
        let sample = at.and_then(|at| self.sample(workload, source, at));
        for column in &mut self.columns {
            column.series.retain(|_, series| series.goes_on(end, carried_s));
        }
        self.columns.retain(|column| !column.series.is_empty());
        let held = self.columns.iter().flat_map(|column| column.series.values()).filter_map(Series::first_held);
        self.first = held.min();
        sample
    }

    fn sample(&self, workload: &WorkloadId, source: &SourceName, at: EventTime) -> Option<Sample> {
        let of = |measured: &Measured| self.columns.iter().find(|c| c.measured == *measured).and_then(Column::number);
        let kpis: Vec<Kpi> = self.columns.iter().filter_map(Column::kpi).collect();
        kpis.iter().any(|kpi| kpi.value.is_some()).then(|| Sample {
            workload: workload.clone(),
            source: source.clone(),
            at,
            step_s: self.step_s,
            kpis,
            capacity: Capacity::of_totals(of(&Measured::Replicas), of(&Measured::CpuCores), of(&Measured::MemoryBytes)),
            platform: self.platform,
        })
    }
}

impl Column {
    /// What the series add up to. What is not finite, and a rate below zero, is missing.
    fn number(&self) -> Option<f64> {
        let number = self.add_up.of(self.series.values().filter_map(Series::counts))?;
        let can_be = number.is_finite() && (number >= 0.0 || self.kind == KpiKind::Gauge);
        can_be.then_some(number)
    }

    /// As the sample has it; `None` where nothing was heard of it yet.
    fn kpi(&self) -> Option<Kpi> {
        let Measured::Kpi(name) = &self.measured else { return None };
        if !self.series.values().any(Series::is_heard) {
            return None;
        }
        Some(Kpi { name: name.clone(), kind: self.kind, unit: Arc::clone(&self.unit), value: self.number() })
    }
}
