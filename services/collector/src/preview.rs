//! What an input would be read as, before anything is: workloads, KPIs found and missing, capacities, the length of the
//! history, and what looks wrong, each with what to do. Here what all inputs have in common, and what samples alone tell.
//! It must not know any input.

use serde::Serialize;

mod samples;

pub(crate) use samples::Samples;

/// Workloads shown by name.
pub(crate) const SHOWN_MAX: usize = 5;
/// Use above so many times the capacity is likelier to be an error of unit.
pub(crate) const EXCESS: f64 = 10.0;
/// Values of so many instants that only ever grow are likelier to be a counter's.
pub(crate) const COUNTER_VALUES_MIN: usize = 20;

/// What an input would be read as.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// Name of the source.
    pub source: String,
    /// Preset that says what is asked; empty where none does.
    pub preset: String,
    /// What was looked at.
    pub looked_at: String,
    /// How many workloads there are.
    pub workloads: usize,
    /// Some of them by name.
    pub examples: Vec<String>,
    /// How many of them have a capacity.
    pub workloads_with_capacity: usize,
    /// The oldest instant within what is to be read at which there is something (RFC 3339).
    pub history_from: Option<String>,
    /// KPIs in the input's order.
    pub kpis: Vec<KpiPreview>,
    /// What looks wrong.
    pub findings: Vec<Finding>,
}

/// One KPI of a preview.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KpiPreview {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How many workloads have it.
    pub workloads: usize,
    /// Most series that became one, over the workloads; 1 where that is not known.
    pub series_max: u32,
    /// Share of the instants that have a value, over the workloads that have it, 0 to 1.
    pub present_share: f64,
    /// Least, mean and greatest value; `None` where there is none.
    pub values: Option<[f64; 3]>,
}

/// What looks wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

pub(crate) fn finding(what: String, remedy: String) -> Finding {
    Finding { what, remedy }
}
