//! Series into samples: the answers to a preset's queries at the same instants, by workload. Pure.

use super::api::{Instants, Series};
use super::preset::{Column, Preset};
use prescale_domain::kpi::{Kpi, KpiKind};
use prescale_domain::point::{AddUp, Measured};
use prescale_domain::sample::{Capacity, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of each workload at each instant.
pub(crate) struct Table<'a> {
    preset: &'a Preset,
    instants: Instants,
    /// By column of the preset.
    rows: BTreeMap<WorkloadId, Vec<Option<Cells>>>,
    left_out: LeftOut,
    /// Why there is no answer for a column, by its number.
    refused: BTreeMap<usize, String>,
}

/// Series that belong to no workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// How many.
    pub series: usize,
    /// Why the first of them was.
    pub why: String,
}

/// The values of one column for one workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cells {
    /// By instant: the sum or the maximum so far, and of how many series.
    values: Vec<(f64, u32)>,
    /// Series that became one.
    pub series: u32,
}

impl Cells {
    fn new(count: u32) -> Self {
        Self { values: vec![(0.0, 0); count as usize], series: 0 }
    }

    /// At how many instants it could have a value.
    pub(crate) fn places(&self) -> usize {
        self.values.len()
    }

    /// Most series that had a value at one instant.
    pub(crate) fn series_at_once(&self) -> u32 {
        self.values.iter().map(|(_, of)| *of).max().unwrap_or(0)
    }

    fn take(&mut self, place: usize, value: f64, add_up: AddUp) {
        if let Some((held, of)) = self.values.get_mut(place) {
            *held = match add_up {
                AddUp::Max if *of > 0 => held.max(value),
                AddUp::Max => value,
                AddUp::Sum | AddUp::Mean => *held + value,
            };
            *of += 1;
        }
    }

    fn get(&self, place: usize, add_up: AddUp) -> Option<f64> {
        let (held, of) = self.values.get(place).copied().filter(|(_, of)| *of > 0)?;
        Some(if add_up == AddUp::Mean { held / f64::from(of) } else { held })
    }
}

impl<'a> Table<'a> {
    /// An empty one.
    pub(crate) fn new(preset: &'a Preset, instants: Instants) -> Self {
        Self { preset, instants, rows: BTreeMap::new(), left_out: LeftOut::default(), refused: BTreeMap::new() }
    }

    /// Takes the answer to the query of one column in. What is not finite, and rates below zero, are missing.
    pub(crate) fn take(&mut self, column: usize, answer: Vec<Series>) {
        let Some(Column { measured, kind, add_up, factor, .. }) = self.preset.columns.get(column) else { return };
        let never_negative = *kind != KpiKind::Gauge || !matches!(measured, Measured::Kpi(_));
        for Series { labels, points } in answer {
            let Some(workload) = self.workload(&labels) else { continue };
            let columns = self.preset.columns.len();
            let row = self.rows.entry(workload).or_insert_with(|| vec![None; columns]);
            let Some(cells) = row.get_mut(column) else { continue };
            let cells = cells.get_or_insert_with(|| Cells::new(self.instants.count));
            cells.series += 1;
            for (at_ms, value) in points {
                let (value, from_first_ms) = (value * factor, at_ms - self.instants.first_ms);
                let is_usable = value.is_finite() && (value >= 0.0 || !never_negative);
                if is_usable && from_first_ms % self.instants.step_ms() == 0 {
                    let place = from_first_ms / self.instants.step_ms();
                    cells.take(usize::try_from(place).unwrap_or(usize::MAX), value, *add_up);
                }
            }
        }
    }

    fn workload(&mut self, labels: &BTreeMap<String, String>) -> Option<WorkloadId> {
        let named = self.preset.workload.filled(|label| labels.get(label).map(String::as_str));
        let named = named.map_err(|label| format!("a series has no label {label}"));
        match named.and_then(|name| WorkloadId::new(&name).map_err(|error| error.to_string())) {
            Ok(workload) => Some(workload),
            Err(why) => {
                self.left_out.series += 1;
                if self.left_out.why.is_empty() {
                    self.left_out.why = why;
                }
                None
            }
        }
    }

    /// Takes note that the query of a column cannot be answered, however often it is asked.
    pub(crate) fn refuse(&mut self, column: usize, why: String) {
        self.refused.insert(column, why);
    }

    /// The columns whose queries cannot be answered, each with the reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&Column, &str)> {
        self.refused.iter().filter_map(|(number, why)| Some((self.preset.columns.get(*number)?, why.as_str())))
    }

    /// Whether the query of a column cannot be answered.
    pub(crate) fn is_refused(&self, column: usize) -> bool {
        self.refused.contains_key(&column)
    }

    /// Whether there is no KPI whose query can be answered.
    pub(crate) fn has_no_kpi(&self) -> bool {
        let is_answered = |(number, column): (usize, &Column)| {
            matches!(column.measured, Measured::Kpi(_)) && !self.is_refused(number)
        };
        !self.preset.columns.iter().enumerate().any(is_answered)
    }

    /// Series that belong to no workload.
    pub(crate) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// How many workloads there are.
    pub(crate) fn workloads(&self) -> impl ExactSizeIterator<Item = &WorkloadId> {
        self.rows.keys()
    }

    /// The cells of one column, by workload; those that have none are left out.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = (&WorkloadId, &Cells)> {
        self.rows.iter().filter_map(move |(workload, row)| Some((workload, row.get(column)?.as_ref()?)))
    }

    /// The values of one column for one workload that are not missing, in the order of their instants.
    pub(crate) fn values<'t>(&'t self, column: usize, cells: &'t Cells) -> impl Iterator<Item = f64> + 't {
        let add_up = self.preset.columns.get(column).map_or(AddUp::Sum, |column| column.add_up);
        (0..cells.values.len()).filter_map(move |place| cells.get(place, add_up))
    }

    /// The newest capacity of each workload that is known.
    pub(crate) fn capacities(&self) -> impl Iterator<Item = Option<Capacity>> {
        let places = 0..self.instants.count as usize;
        self.rows.values().map(move |row| places.clone().rev().find_map(|place| self.capacity(row, place)))
    }

    /// The samples, by instant and workload. A value describes the step before the instant that it was asked for, so
    /// the sample is of the beginning of that step.
    pub(crate) fn samples(&self, source: &SourceName) -> Vec<Sample> {
        let mut samples = Vec::new();
        for place in 0..self.instants.count as usize {
            let at_ms = self.instants.first_ms + (place as i64 - 1) * self.instants.step_ms();
            for (workload, row) in &self.rows {
                let kpis = self.kpis(row, place);
                if kpis.iter().all(|kpi| kpi.value.is_none()) {
                    continue;
                }
                samples.push(Sample {
                    workload: workload.clone(),
                    source: source.clone(),
                    at: EventTime::from_ms(at_ms),
                    step_s: self.instants.step_s,
                    kpis,
                    capacity: self.capacity(row, place),
                    platform: self.preset.platform,
                });
            }
        }
        samples
    }

    /// All KPIs of the preset, also those without a value: what a sample does not name is waited for as a part of it.
    /// Those that are optional only where the workload has them.
    fn kpis(&self, row: &[Option<Cells>], place: usize) -> Vec<Kpi> {
        let kpi = |(column, cells): (&Column, &Option<Cells>)| {
            let Measured::Kpi(name) = &column.measured else { return None };
            if column.is_optional && cells.is_none() {
                return None;
            }
            let value = cells.as_ref().and_then(|cells| cells.get(place, column.add_up));
            Some(Kpi { name: name.clone(), kind: column.kind, unit: Arc::from(column.unit), value })
        };
        self.preset.columns.iter().zip(row).filter_map(kpi).collect()
    }

    fn capacity(&self, row: &[Option<Cells>], place: usize) -> Option<Capacity> {
        let columns = || self.preset.columns.iter().zip(row);
        let value = |wanted: &Measured| {
            let (column, cells) = columns().find(|(column, _)| column.measured == *wanted)?;
            cells.as_ref()?.get(place, column.add_up)
        };
        Capacity::of_totals(value(&Measured::Replicas), value(&Measured::CpuCores), value(&Measured::MemoryBytes))
    }
}

#[cfg(test)]
mod tests;
