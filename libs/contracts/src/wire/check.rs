//! What fields may hold, and where one does not.

use crate::mirror::Fault;
use crate::rfc3339::{FIRST_MS, LAST_MS};
use prescale_domain::group::GroupName;
use prescale_domain::source::SourceName;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Says where a nested fault is.
pub(crate) trait Within<T> {
    fn within(self, parent: &str) -> Result<T, Fault>;
    fn within_item(self, parent: &str, index: usize) -> Result<T, Fault>;
}

impl<T> Within<T> for Result<T, Fault> {
    fn within(self, parent: &str) -> Self {
        self.map_err(|f| Fault { field: format!("{parent}.{}", f.field), ..f })
    }

    fn within_item(self, parent: &str, index: usize) -> Self {
        self.map_err(|f| Fault { field: format!("{parent}[{index}].{}", f.field), ..f })
    }
}

pub(crate) fn finite(field: &str, value: f64) -> Result<(), Fault> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Fault::new(field, format!("{value} is not a finite number; leave out what is not known")))
}

pub(crate) fn finite_if_any(field: &str, value: Option<f64>) -> Result<(), Fault> {
    value.map_or(Ok(()), |v| finite(field, v))
}

/// Of a number that has 32 bits on the wire: one that is too large for them has become infinite.
pub(crate) fn finite_f32(field: &str, value: f32) -> Result<(), Fault> {
    if value.is_finite() {
        return Ok(());
    }
    let problem =
        format!("{value} is not a finite number of 32 bits (at most {:e}); leave out what is not known", f32::MAX);
    Err(Fault::new(field, problem))
}

pub(crate) fn finite_f32_if_any(field: &str, value: Option<f32>) -> Result<(), Fault> {
    value.map_or(Ok(()), |v| finite_f32(field, v))
}

pub(crate) fn not_negative(field: &str, value: f64) -> Result<(), Fault> {
    finite(field, value)?;
    if value >= 0.0 { Ok(()) } else { Err(Fault::new(field, format!("{value} is below zero"))) }
}

pub(crate) fn share(field: &str, value: f64) -> Result<(), Fault> {
    finite(field, value)?;
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(Fault::new(field, format!("{value} is not within 0 to 1"))) }
}

pub(crate) fn not_empty(field: &str, text: &str) -> Result<(), Fault> {
    if text.is_empty() { Err(Fault::new(field, "is empty")) } else { Ok(()) }
}

pub(crate) fn instant(field: &str, ms: i64) -> Result<(), Fault> {
    if (FIRST_MS..=LAST_MS).contains(&ms) {
        return Ok(());
    }
    Err(Fault::new(field, format!("{ms} ms is outside the years 0 to 9999: give milliseconds since 1970")))
}

pub(crate) fn workload(text: &str) -> Result<WorkloadId, Fault> {
    WorkloadId::new(text).map_err(|e| Fault::new("workload", e.to_string()))
}

pub(crate) fn group(text: &str) -> Result<GroupName, Fault> {
    GroupName::new(text).map_err(|e| Fault::new("group", e.to_string()))
}

pub(crate) fn source(text: Arc<str>) -> Result<SourceName, Fault> {
    SourceName::new(text).map_err(|e| Fault::new("source", e.to_string()))
}

pub(crate) fn count(field: &str, value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::new(field, format!("{value} is not within 0 to {}", u32::MAX)))
}

pub(crate) fn positive(field: &str, value: i64) -> Result<u32, Fault> {
    match count(field, value)? {
        0 => Err(Fault::new(field, "0: at least 1 is needed")),
        n => Ok(n),
    }
}

/// Names of a list's items, each above the one before, so that none appears twice.
pub(crate) fn ascending<T: PartialOrd>(list: &str, field: &str, items: &[T]) -> Result<(), Fault> {
    match items.windows(2).position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(i) => {
            let problem = "is not above the one before: items ascend and none appears twice";
            Err(Fault::new(&format!("{list}[{}].{field}", i + 1), problem))
        }
    }
}
