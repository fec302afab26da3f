//! What the columns of a text file hold, seen from all of its lines, and so the type that each is read as.

use super::super::form::{Decimal, TextForm};
use super::super::mapping::{InstantUnit, Mapping};
use super::instant::{InstantReader, day_month_year, form_of};
use super::number::{self, Evidence, Sign};
use anyhow::{Result, bail, ensure};
use std::fmt;

/// So much of a value is shown.
pub(super) const SHOWN_CHARACTERS: usize = 40;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The file, where there are several.
    file: Option<String>,
    line: u64,
    text: String,
}

impl Found {
    /// A value on a line; `file` where there are several.
    pub(super) fn new(file: Option<&str>, line: u64, text: &str) -> Self {
        Self { file: file.map(str::to_owned), line, text: text.chars().take(SHOWN_CHARACTERS).collect() }
    }

    /// Its text, as far as it is shown.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, ", self.text)?;
        if let Some(file) = &self.file {
            write!(f, "{file} ")?;
        }
        write!(f, "line {}", self.line)
    }
}

/// How the type of a column is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// It is the instant, itself and not in an expression.
    pub(super) is_instant: bool,
    /// It is part of the workload's name.
    pub(super) is_name: bool,
    /// It is part of a KPI or of the capacity.
    pub(super) is_number: bool,
}

impl Role {
    /// Of a column under a mapping.
    pub(super) fn of(column: &str, mapping: &Mapping) -> Self {
        Self {
            is_instant: is_column(&mapping.instant, column),
            is_name: mentions(&mapping.workload, column),
            is_number: mapping.numbers().any(|text| mentions(text, column)),
        }
    }

    /// Whether the mapping names it at all.
    pub(super) fn is_used(column: &str, mapping: &Mapping) -> bool {
        mapping.expressions().any(|text| mentions(text, column))
    }
}

/// Whether an expression is a column, in quotes or not.
pub(super) fn is_column(expression: &str, column: &str) -> bool {
    let quoted = expression.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    expression == column || quoted == Some(column)
}

/// Whether an expression may refer to a column: its name is there, and not as a part of a longer one.
fn mentions(expression: &str, column: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    expression.match_indices(column).any(|(start, found)| {
        let before = expression[..start].chars().next_back();
        let after = expression[start + found.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The type that a column is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Whole,
    Real(Sign),
    Instant,
    Text,
}

/// What a column holds.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnSurvey {
    /// Values, without those that say that there is none.
    filled: u64,
    /// Whole numbers of 64 bits, written as such.
    whole: u64,
    /// Numbers, if the decimal sign is a point, and if it is a comma.
    point: u64,
    comma: u64,
    /// Those of either.
    numbers: u64,
    /// The first number that must have a decimal point, must have a comma, and may be either.
    with_point: Option<Found>,
    with_comma: Option<Found>,
    ambiguous: Option<Found>,
    instants: u64,
    first_other: Option<Found>,
    /// Whether a date has a first or second number above twelve.
    first_above_12: bool,
    second_above_12: bool,
}

impl ColumnSurvey {
    /// Takes a value into account; `instants` where the column is the instant.
    pub(super) fn take(&mut self, text: &str, instants: Option<&InstantReader>, found: impl Fn() -> Found) {
        if text.is_empty() || number::is_missing(text) {
            return;
        }
        self.filled += 1;
        // `007` and `+7` are the same number as `7` and not the same name.
        let is_as_written = text == "0" || !text.strip_prefix('-').unwrap_or(text).starts_with(['0', '+']);
        self.whole += u64::from(is_as_written && text.parse::<i64>().is_ok());
        let point = number::parse(text, Sign::Point).is_some();
        let has_sign = text.contains([',', '.']);
        let comma = if has_sign { number::parse(text, Sign::Comma).is_some() } else { point };
        self.point += u64::from(point);
        self.comma += u64::from(comma);
        if point || comma {
            self.numbers += 1;
            let first = match number::evidence(text) {
                Evidence::None => None,
                Evidence::Ambiguous => Some(&mut self.ambiguous),
                Evidence::Sure(Sign::Point) => Some(&mut self.with_point),
                Evidence::Sure(Sign::Comma) => Some(&mut self.with_comma),
            };
            if let Some(first) = first {
                first.get_or_insert_with(&found);
            }
        }
        if let Some(instants) = instants {
            if instants.can_read(text) {
                self.instants += 1;
            } else {
                self.first_other.get_or_insert_with(&found);
                if let Some(([first, second, _], _)) = day_month_year(text) {
                    self.first_above_12 |= first > 12;
                    self.second_above_12 |= second > 12;
                }
            }
        }
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            filled: self.filled + other.filled,
            whole: self.whole + other.whole,
            point: self.point + other.point,
            comma: self.comma + other.comma,
            numbers: self.numbers + other.numbers,
            with_point: self.with_point.or(other.with_point),
            with_comma: self.with_comma.or(other.with_comma),
            ambiguous: self.ambiguous.or(other.ambiguous),
            instants: self.instants + other.instants,
            first_other: self.first_other.or(other.first_other),
            first_above_12: self.first_above_12 || other.first_above_12,
            second_above_12: self.second_above_12 || other.second_above_12,
        }
    }

    /// The decimal sign that its numbers are sure of.
    fn sure(&self) -> Option<Sign> {
        match (&self.with_point, &self.with_comma) {
            (Some(_), None) => Some(Sign::Point),
            (None, Some(_)) => Some(Sign::Comma),
            _ => None,
        }
    }

    /// The type that it is read as; `of_file` is the decimal sign of the other columns.
    ///
    /// # Errors
    /// When a column of numbers may have one decimal sign or the other, or one of instants holds none.
    pub(super) fn column_type(
        &self,
        name: &str,
        role: Role,
        of_file: Option<Sign>,
        mapping: &Mapping,
        instants: &InstantReader,
    ) -> Result<ColumnType> {
        if role.is_instant {
            let is_text = instants.has_form() || mapping.instant_unit == InstantUnit::Rfc3339;
            if is_text || self.instants >= self.point {
                self.check_instants(name, instants)?;
                return Ok(ColumnType::Instant);
            }
        }
        // What is computed with is real, since whole numbers divide to whole ones: 50 / 100 would be 0.
        let is_whole = self.filled > 0 && self.whole == self.filled;
        if is_whole && (role.is_name || !role.is_number) {
            return Ok(ColumnType::Whole);
        }
        let sign = self.sign(name, role, of_file, &mapping.text)?;
        let numbers = if sign == Sign::Point { self.point } else { self.comma };
        let is_number = if self.filled == 0 { role.is_number } else { 2 * numbers > self.filled };
        Ok(if is_number && !role.is_name { ColumnType::Real(sign) } else { ColumnType::Text })
    }

    fn sign(&self, name: &str, role: Role, of_file: Option<Sign>, form: &TextForm) -> Result<Sign> {
        match form.decimal {
            Decimal::Point => return Ok(Sign::Point),
            Decimal::Comma => return Ok(Sign::Comma),
            Decimal::Auto => {}
        }
        let matters = role.is_number && !role.is_name && 2 * self.numbers > self.filled;
        if let (Some(point), Some(comma), true) = (&self.with_point, &self.with_comma, matters) {
            bail!(
                "column {name:?} has decimal points ({point}) and decimal commas ({comma}): set [collector.replay.mapping.\
                 text] decimal = \"point\" or \"comma\", on the command line decimal=point or decimal=comma"
            );
        }
        if let (None, None, Some(either), true) = (self.sure(), of_file, &self.ambiguous, matters) {
            bail!(
                "column {name:?}: whether a comma is the decimal sign cannot be told from {either}: set \
                 [collector.replay.mapping.text] decimal = \"point\" or \"comma\", on the command line decimal=point or \
                 decimal=comma"
            );
        }
        Ok(self.sure().or(of_file).unwrap_or(Sign::Point))
    }

    /// Refuses a column of instants most of which cannot be read.
    fn check_instants(&self, name: &str, instants: &InstantReader) -> Result<()> {
        let Some(first) = &self.first_other else { return Ok(()) };
        let day_first = match (self.first_above_12, self.second_above_12) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let advice = match (form_of(first.text(), day_first), day_first) {
            (Some(form), Some(_)) => format!("time_form={form}"),
            (Some(_), None) => match (form_of(first.text(), Some(true)), form_of(first.text(), Some(false))) {
                (Some(day), Some(month)) => {
                    format!("time_form={day} where the day is first, time_form={month} where the month is")
                }
                _ => "time_form=%d.%m.%Y %H:%M:%S, or whichever it is".to_owned(),
            },
            (None, _) => "time_form=%d.%m.%Y %H:%M:%S, or whichever it is".to_owned(),
        };
        ensure!(
            2 * self.instants > self.filled,
            "[collector.replay.mapping] instant: {} of {} values in column {name:?} cannot be read{}, the first is \
             {first}. Say what they look like: on the command line {advice}; in the configuration \
             [collector.replay.mapping.text] instant_form; or give an expression, such as \
             time=to_timestamp({name:?}, '%m/%d/%Y %I:%M:%S %p')",
            self.filled - self.instants,
            self.filled,
            if instants.has_form() { " in the form that was given" } else { " as instants" },
        );
        Ok(())
    }
}

/// The decimal sign that the columns of a file are sure of, where they agree.
pub(super) fn sign_of_file(columns: &[ColumnSurvey]) -> Option<Sign> {
    let sure = |sign: Sign| columns.iter().any(|column| column.sure() == Some(sign));
    match (sure(Sign::Point), sure(Sign::Comma)) {
        (true, false) => Some(Sign::Point),
        (false, true) => Some(Sign::Comma),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(values: &[&str], mapping: &str) -> Result<ColumnType> {
        let mapping = Mapping::parse(mapping).unwrap();
        let role = Role::of("x", &mapping);
        let reader = InstantReader::new(&mapping.text).unwrap();
        let mut survey = ColumnSurvey::default();
        for (value, line) in values.iter().zip(2..) {
            survey.take(value, role.is_instant.then_some(&reader), || Found::new(None, line, value));
        }
        let of_file = sign_of_file(std::slice::from_ref(&survey));
        survey.column_type("x", role, of_file, &mapping, &reader)
    }

    #[test]
    fn types_follow_from_all_values_and_from_what_they_are_for() {
        let number = "entity=vm,time=t,cpu=x / 100.0";
        let typed = |values: &[&str], mapping: &str| surveyed(values, mapping).unwrap();
        assert_eq!(typed(&["1", "", "2", "NaN"], number), ColumnType::Real(Sign::Point), "50 / 100 is no 0");
        assert_eq!(typed(&["1", "2.5"], number), ColumnType::Real(Sign::Point));
        assert_eq!(typed(&["1,5", "1.234,5"], number), ColumnType::Real(Sign::Comma));
        assert_eq!(typed(&["381m", "1", "what"], number), ColumnType::Real(Sign::Point));
        assert_eq!(typed(&["web", "db", "1"], number), ColumnType::Text);
        assert_eq!(typed(&["", ""], number), ColumnType::Real(Sign::Point));
        assert_eq!(
            typed(&["007", "008"], "entity='vm-' || x,time=t,cpu=c"),
            ColumnType::Text,
            "names stay as they are"
        );
        assert_eq!(typed(&["7", "8"], "entity='vm-' || x,time=t,cpu=c"), ColumnType::Whole);
        let instant = "entity=vm,time=x,cpu=c";
        assert_eq!(typed(&["2024-03-04T00:00:00Z", "2024-03-04 01:00"], instant), ColumnType::Instant);
        assert_eq!(typed(&["1561012200", "1561012260", "soon"], instant), ColumnType::Real(Sign::Point));
    }

    #[test]
    fn what_may_mean_two_things_is_refused_with_both() {
        let why = |values: &[&str], mapping: &str| format!("{:#}", surveyed(values, mapping).unwrap_err());
        let number = "entity=vm,time=t,cpu=x";
        assert!(why(&["1,234", "2,345"], number).contains("\"1,234\", line 2"));
        let both = why(&["1.5", "1,5"], number);
        assert!(both.contains("\"1.5\", line 2") && both.contains("\"1,5\", line 3"), "{both}");
        let instant = "entity=vm,time=x,cpu=c";
        let us = why(&["11/12/2022 12:00:00 AM", "11/14/2022 12:05:00 AM"], instant);
        assert!(us.contains("11/12/2022 12:00:00 AM") && us.contains("time_form=%m/%d/%Y %I:%M:%S %p"), "{us}");
        let either = why(&["11/12/2022 12:00"], instant);
        assert!(either.contains("%d/%m/%Y %H:%M where the day is first"), "{either}");
    }

    #[test]
    fn a_column_is_not_a_part_of_a_longer_name() {
        assert!(mentions("cpu / 100.0", "cpu") && mentions("\"CPU [%]\" * 2", "CPU [%]"));
        assert!(!mentions("cpu_pct / 100.0", "cpu") && !mentions("mycpu", "cpu"));
    }
}
