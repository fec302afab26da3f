//! Columns of numbers that a file's reader took for text, since a few of their values are none, or are beyond 64
//! bits: they are computed with as numbers, and the log says which values were the reason.

use anyhow::{Context as _, Result};
use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, Expr, cast, ident, try_cast};
use futures::StreamExt;
use std::fmt;

/// Whether a type is a text's.
pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A column that is text already.
pub(super) fn text_column(batch: &RecordBatch, column: usize) -> Result<&StringArray> {
    batch.column(column).as_string_opt::<i32>().context("the workload's column is no text")
}

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    line: u64,
    text: String,
}

/// What a column of texts holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    column: String,
    numbers: u64,
    /// Whole numbers beyond 64 bits, and the first of them.
    beyond: u64,
    first_beyond: Option<Found>,
    /// Values that are no numbers, and the first of them.
    others: u64,
    first_other: Option<Found>,
}

impl Survey {
    fn of(column: &str) -> Self {
        Self { column: column.to_owned(), ..Self::default() }
    }

    fn take(&mut self, line: u64, text: &str) {
        let found = || Some(Found { line, text: text.chars().take(40).collect() });
        if text.is_empty() {
            return;
        }
        if text.parse::<f64>().is_err() {
            self.others += 1;
            self.first_other = self.first_other.take().or_else(found);
        } else {
            self.numbers += 1;
            let is_whole = text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
            if is_whole && text.parse::<i64>().is_err() {
                self.beyond += 1;
                self.first_beyond = self.first_beyond.take().or_else(found);
            }
        }
    }

    /// Whether most values are numbers, so that the column means them.
    pub(super) fn means_numbers(&self) -> bool {
        self.numbers > self.others
    }

    /// Whether some values made text of it: those that are no numbers, or are beyond 64 bits.
    pub(super) fn is_mixed(&self) -> bool {
        self.others + self.beyond > 0
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, numbers, beyond, others, .. } = self;
        write!(f, "column {column:?} holds {numbers} numbers")?;
        if let Some(Found { line, text }) = &self.first_beyond {
            write!(f, ", {beyond} of them beyond 64 bits (the first is {text}, line {line})")?;
        }
        if let Some(Found { line, text }) = &self.first_other {
            write!(f, ", and {others} values that are none (the first is {text:?}, line {line})")?;
        }
        Ok(())
    }
}

/// Looks through a column of texts. `rows` come in the order of the file, whose first row is on line
/// `first_line`.
///
/// # Errors
/// When the file cannot be read.
pub(super) async fn survey(rows: &DataFrame, column: &str, first_line: u64) -> Result<Survey> {
    let mut survey = Survey::of(column);
    let mut line = first_line;
    let texts = rows.clone().select(vec![cast(ident(column), DataType::Utf8)])?;
    let mut batches = texts.execute_stream().await.context("cannot read the trace")?;
    while let Some(batch) = batches.next().await {
        let batch = batch.context("cannot read the trace")?;
        for text in text_column(&batch, 0)? {
            if let Some(text) = text {
                survey.take(line, text);
            }
            line += 1;
        }
    }
    Ok(survey)
}

/// The expression with these columns as numbers; what is none is missing.
///
/// # Errors
/// When DataFusion cannot rewrite it.
pub(super) fn with_numbers(value: Expr, columns: &[String]) -> Result<Expr, DataFusionError> {
    let rewritten = value.transform(|part| {
        Ok(match &part {
            Expr::Column(column) if columns.contains(&column.name) => {
                Transformed::yes(try_cast(part, DataType::Float64))
            }
            _ => Transformed::no(part),
        })
    })?;
    Ok(rewritten.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn surveyed(texts: &[&str]) -> Survey {
        let mut survey = Survey::of("cpu");
        texts.iter().zip(2..).for_each(|(text, line)| survey.take(line, text));
        survey
    }

    #[test]
    fn a_column_says_what_made_it_text() {
        let survey = surveyed(&["32", "", "18446744073709551591", "-1.5e3", "N/A", "18446744073709551579", "-"]);
        assert!(survey.means_numbers() && survey.is_mixed());
        assert_eq!(
            survey.to_string(),
            "column \"cpu\" holds 4 numbers, 2 of them beyond 64 bits (the first is 18446744073709551591, line 4), and \
             2 values that are none (the first is \"N/A\", line 6)"
        );
        assert!(!surveyed(&["web-1", "17"]).means_numbers());
        assert!(!surveyed(&[]).means_numbers());
    }

    proptest! {
        #[test]
        fn every_value_is_counted_once(texts in prop::collection::vec("[0-9a-z.-]{0,25}", 0..40)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let survey = surveyed(&texts);
            let filled = texts.iter().filter(|text| !text.is_empty()).count() as u64;
            prop_assert_eq!(survey.numbers + survey.others, filled);
            prop_assert!(survey.beyond <= survey.numbers);
        }
    }
}
