//! Columns of a text file as typed columns, with a count of what was left out and why.

use super::instant::InstantReader;
use super::number::{self, Sign};
use super::survey::{ColumnType, Found, Role};
use arrow::array::{ArrayRef, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, Field, TimeUnit};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often something was found, and where first.
#[derive(Clone, Debug, Default)]
struct Count {
    n: u64,
    first: Option<Found>,
}

impl Count {
    fn add(&mut self, found: impl FnOnce() -> Found) {
        self.n += 1;
        self.first.get_or_insert_with(found);
    }

    fn first(&self) -> String {
        self.first.as_ref().map(|first| format!(" (the first is {first})")).unwrap_or_default()
    }
}

/// What became of the values of a column.
#[derive(Clone, Debug, Default)]
struct Tally {
    read: u64,
    empty: u64,
    /// Words that say that there is no value.
    words: Count,
    unread: Count,
    with_unit: Count,
    units: BTreeSet<&'static str>,
}

/// Values that have gathered, with the last of them.
enum Values {
    Whole(Int64Builder, Option<i64>),
    Real(Float64Builder, Sign, Option<f64>),
    Instant(TimestampMillisecondBuilder, Option<i64>),
    Text(StringBuilder, String),
}

/// A column that is being read.
pub(super) struct Column {
    name: String,
    role: Role,
    values: Values,
    tally: Tally,
}

const UTC: &str = "+00:00";

impl Column {
    /// An empty one.
    pub(super) fn new(name: &str, role: Role, of: ColumnType) -> Self {
        let values = match of {
            ColumnType::Whole => Values::Whole(Int64Builder::new(), None),
            ColumnType::Real(sign) => Values::Real(Float64Builder::new(), sign, None),
            ColumnType::Instant => Values::Instant(TimestampMillisecondBuilder::new().with_timezone(UTC), None),
            ColumnType::Text => Values::Text(StringBuilder::new(), String::new()),
        };
        Self { name: name.to_owned(), role, values, tally: Tally::default() }
    }

    /// Its name and type.
    pub(super) fn field(&self) -> Field {
        let of = match &self.values {
            Values::Whole(..) => DataType::Int64,
            Values::Real(..) => DataType::Float64,
            Values::Instant(..) => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            Values::Text(..) => DataType::Utf8,
        };
        Field::new(&self.name, of, true)
    }

    /// Takes the value of a line of a workload.
    pub(super) fn push(
        &mut self,
        text: &str,
        workload: &str,
        instants: &mut InstantReader,
        found: impl FnOnce() -> Found,
    ) {
        let tally = &mut self.tally;
        if let Values::Text(texts, last) = &mut self.values {
            texts.append_option((!text.is_empty()).then_some(text));
            last.clear();
            last.push_str(text);
            return;
        }
        let is_missing = text.is_empty() || number::is_missing(text);
        if text.is_empty() {
            tally.empty += 1;
        }
        let read = match &mut self.values {
            Values::Text(..) => return,
            Values::Whole(whole, last) => {
                *last = text.parse().ok();
                whole.append_option(*last);
                last.is_some()
            }
            Values::Instant(at, last) => {
                *last = if is_missing { None } else { instants.read(text, workload) };
                at.append_option(*last);
                last.is_some()
            }
            Values::Real(reals, sign, last) => {
                let number = if is_missing { None } else { number::parse(text, *sign) };
                *last = number.map(|number| number.value);
                reals.append_option(*last);
                if let Some(unit) = number.and_then(|number| number.unit) {
                    tally.units.insert(unit);
                    tally.with_unit.n += 1;
                    if tally.with_unit.first.is_none() {
                        tally.with_unit.first = Some(found());
                        tally.read += 1;
                        return;
                    }
                }
                number.is_some()
            }
        };
        match (read, text.is_empty(), is_missing) {
            (true, ..) => tally.read += 1,
            (false, true, _) => {}
            (false, false, true) => tally.words.add(found),
            (false, false, false) => tally.unread.add(found),
        }
    }

    /// The last value again, where a line becomes several rows.
    pub(super) fn repeat(&mut self) {
        match &mut self.values {
            Values::Whole(whole, last) => whole.append_option(*last),
            Values::Real(reals, _, last) => reals.append_option(*last),
            Values::Instant(at, last) => at.append_option(*last),
            Values::Text(texts, last) => texts.append_option((!last.is_empty()).then_some(last.as_str())),
        }
    }

    /// What has gathered; it is empty then.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Whole(whole, _) => Arc::new(whole.finish()),
            Values::Real(reals, ..) => Arc::new(reals.finish()),
            Values::Instant(at, _) => Arc::new(at.finish()),
            Values::Text(texts, _) => Arc::new(texts.finish()),
        }
    }

    /// What to say of its values in the account, where the mapping uses them as numbers or instants.
    pub(super) fn notes(&self) -> Vec<String> {
        let Self { name, role, tally, .. } = self;
        if !(role.is_number || role.is_instant) || matches!(self.values, Values::Text(..)) {
            return Vec::new();
        }
        let mut notes = Vec::new();
        let left_out = tally.empty + tally.words.n + tally.unread.n;
        if left_out > 0 {
            let mut parts = Vec::new();
            if tally.empty > 0 {
                parts.push(format!("{} are empty", tally.empty));
            }
            if tally.words.n > 0 {
                parts.push(format!("{} say that there is none{}", tally.words.n, tally.words.first()));
            }
            if tally.unread.n > 0 {
                let (what, remedy) = if role.is_instant {
                    ("instants", "write as the others, or seconds since 1970")
                } else {
                    ("numbers", "write as 1.5, 250m, 1.5Gi or 12%")
                };
                parts.push(format!("{} are no {what}{}: {remedy}", tally.unread.n, tally.unread.first()));
            }
            let of = tally.read + left_out;
            notes.push(format!("column {name:?}: {left_out} of {of} values left out: {}", parts.join(", ")));
        }
        if tally.with_unit.n > 0 {
            let units: Vec<&str> = tally.units.iter().copied().collect();
            let percent =
                if tally.units.contains("%") { "; 12% is read as 12, so divide by 100 for a share" } else { "" };
            notes.push(format!(
                "column {name:?}: {} values have a unit, {}, and are read in units of one{}{percent}",
                tally.with_unit.n,
                units.join(" "),
                tally.with_unit.first()
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::form::TextForm;
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    #[test]
    fn what_is_left_out_is_counted_with_its_reason_and_place() {
        let role = Role { is_instant: false, is_name: false, is_number: true };
        let mut column = Column::new("cpu", role, ColumnType::Real(Sign::Point));
        let mut instants = InstantReader::new(&TextForm::default()).unwrap();
        for (text, line) in ["1.5", "NaN", "", "-", "broken", "250m", "+Inf", "100m"].into_iter().zip(2..) {
            column.push(text, "a", &mut instants, || Found::new(None, line, text));
        }
        let array = column.finish();
        let values: Vec<Option<f64>> = array.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(values, [Some(1.5), None, None, None, None, Some(0.25), None, Some(0.1)]);
        assert_eq!(
            column.notes(),
            [
                "column \"cpu\": 5 of 8 values left out: 1 are empty, 3 say that there is none (the first is \"NaN\", \
                 line 3), 1 are no numbers (the first is \"broken\", line 6): write as 1.5, 250m, 1.5Gi or 12%",
                "column \"cpu\": 2 values have a unit, m, and are read in units of one (the first is \"250m\", line 7)",
            ]
        );
    }
}
