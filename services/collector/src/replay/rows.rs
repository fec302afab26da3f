//! Rows of an ordered trace to samples. Each row becomes one or a part of one, or is dropped with a reason.

use super::grid::Grid;
use super::numbers::text_column;
use super::trace::{AT, FIRST_KPI, Trace, WORKLOAD};
use anyhow::{Context as _, Result};
use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// The last millisecond of the year 9999.
const INSTANT_MS_MAX: i64 = 253_402_300_799_999;

/// Why a row is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// It has no instant, or none that can be read.
    NoInstant,
    /// Its instant is before 1970 or after 9999.
    InstantOutOfRange,
    /// It has no workload.
    NoWorkload,
    /// Its workload is no workload id.
    BadWorkload,
    /// None of its KPIs has a value.
    NoKpis,
    /// A row before it has the same workload, instant and KPIs.
    Doubled,
}

impl DropReason {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::NoInstant, Self::InstantOutOfRange, Self::NoWorkload, Self::BadWorkload, Self::NoKpis, Self::Doubled];

    /// What is so at a row, and what to look at.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::NoInstant => "it has no instant that can be read",
            Self::InstantOutOfRange => "its instant is before 1970 or after 9999, so look at its unit",
            Self::NoWorkload => "the workload's column or expression has no value there",
            Self::BadWorkload => "the workload's name has more than 253 bytes or a control character",
            Self::NoKpis => "none of the KPIs of the mapping has a value there",
            Self::Doubled => "a row before it has the same workload, instant and KPIs",
        }
    }

    /// Short stable name for counting.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NoInstant => "no_instant",
            Self::InstantOutOfRange => "instant_out_of_range",
            Self::NoWorkload => "no_workload",
            Self::BadWorkload => "bad_workload",
            Self::NoKpis => "no_kpis",
            Self::Doubled => "doubled",
        }
    }
}

/// What all samples of a trace share.
pub(crate) struct SampleMaker {
    source: SourceName,
    step_s: u32,
    grid: Grid,
    kpis: Vec<(KpiName, KpiKind, Arc<str>)>,
    has_capacity: bool,
}

/// Some rows of an ordered trace.
pub(crate) struct Rows<'a> {
    maker: &'a SampleMaker,
    at: Int64Array,
    workload: StringArray,
    values: Vec<Float64Array>,
    capacity: Option<[Float64Array; 2]>,
    places: Option<Int64Array>,
}

impl SampleMaker {
    /// Of a trace, under the name of its source; its samples lie on the grid where their workload has one.
    pub(crate) fn new(trace: &Trace, source: SourceName, step_s: u32, grid: Grid) -> Self {
        let kpis = trace.kpis().map(|k| (KpiName::new(&k.name), k.kind, Arc::from(k.unit))).collect();
        Self { source, step_s, grid, kpis, has_capacity: trace.has_capacity() }
    }

    /// Looks at a batch of [`Trace::ordered`].
    ///
    /// # Errors
    /// When the batch has other columns.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Rows<'_>> {
        let number = |column: usize| {
            let values = batch.column(column).as_primitive_opt::<Float64Type>();
            values.cloned().with_context(|| format!("column {column} of the trace holds no numbers"))
        };
        let after_kpis = FIRST_KPI + self.kpis.len();
        let values = (FIRST_KPI..after_kpis).map(number).collect::<Result<_>>()?;
        let capacity = if self.has_capacity { Some([number(after_kpis)?, number(after_kpis + 1)?]) } else { None };
        let at = batch.column(AT).as_primitive_opt::<Int64Type>().context("the instants are no whole numbers")?;
        let after_all = after_kpis + if self.has_capacity { 2 } else { 0 };
        let places = batch.columns().get(after_all).and_then(|places| places.as_primitive_opt::<Int64Type>().cloned());
        let workload = text_column(batch, WORKLOAD)?.clone();
        Ok(Rows { maker: self, at: at.clone(), workload, values, capacity, places })
    }
}

impl Rows<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// Instant of a row, in milliseconds.
    pub(crate) fn at_ms(&self, row: usize) -> i64 {
        self.at.value(row)
    }

    /// Where a row was in the text, if it was text.
    pub(crate) fn place(&self, row: usize) -> Option<i64> {
        self.places.as_ref().filter(|places| places.is_valid(row)).map(|places| places.value(row))
    }

    /// The row as a sample. A value that is null or no finite number is missing. There is a
    /// capacity where both its parts are above zero.
    ///
    /// # Errors
    /// With the reason when it is none.
    pub(crate) fn sample(&self, row: usize) -> Result<Sample, DropReason> {
        if self.at.is_null(row) {
            return Err(DropReason::NoInstant);
        }
        if !(0..=INSTANT_MS_MAX).contains(&self.at_ms(row)) {
            return Err(DropReason::InstantOutOfRange);
        }
        if self.workload.is_null(row) || self.workload.value(row).is_empty() {
            return Err(DropReason::NoWorkload);
        }
        let workload = WorkloadId::new(self.workload.value(row)).map_err(|_| DropReason::BadWorkload)?;
        let finite =
            |values: &Float64Array| values.is_valid(row).then(|| values.value(row)).filter(|value| value.is_finite());
        let kpis: Vec<Kpi> = self
            .maker
            .kpis
            .iter()
            .zip(&self.values)
            .map(|((name, kind, unit), values)| Kpi {
                name: name.clone(),
                kind: *kind,
                unit: Arc::clone(unit),
                value: finite(values),
            })
            .collect();
        if kpis.iter().all(|kpi| kpi.value.is_none()) {
            return Err(DropReason::NoKpis);
        }
        let above_zero = |values: &Float64Array| finite(values).filter(|value| *value > 0.0);
        let capacity = self.capacity.as_ref().and_then(|[cpu, memory]| {
            Some(Capacity {
                replicas: 1,
                cpu_cores_per_replica: above_zero(cpu)?,
                memory_bytes_per_replica: above_zero(memory)?,
                instance_type: None,
            })
        });
        let at_ms = self.maker.grid.nearest(workload.as_str(), self.at_ms(row));
        Ok(Sample {
            workload,
            source: self.maker.source.clone(),
            at: EventTime::from_ms(at_ms.max(0)),
            step_s: self.maker.step_s,
            kpis,
            capacity,
            platform: Platform::OBSERVED_ONLY,
        })
    }
}
