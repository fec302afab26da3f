//! How a text file is written, where that is not to be found from its first lines: part of the mapping.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether the first line names the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// Found from the first lines: one that holds values of the same kinds as those after it is no header.
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It holds values; the columns are `column_1`, `column_2` and so on.
    No,
}

/// The decimal sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decimal {
    /// Found from the values.
    #[default]
    Auto,
    /// `1.5`; commas group digits.
    Point,
    /// `1,5`; points group digits.
    Comma,
}

/// What a line of the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A row.
    #[default]
    Rows,
    /// An instant with a value of each workload: each column that the mapping does not name becomes rows, with its
    /// name in `column` and the value in `value`.
    Columns,
}

/// Table `text` of the mapping: how a text file is written. What is empty or `auto` is found from the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextForm {
    /// What stands between fields: one character, or `comma`, `semicolon`, `tab`, `pipe`, `space`.
    pub separator: String,
    /// Whether the first line names the columns: `auto`, `yes` or `no`; without a header they are `column_1` and so on.
    pub header: Header,
    /// The decimal sign: `auto`, `point` or `comma`.
    pub decimal: Decimal,
    /// Zone of instants that name none, such as `Europe/Berlin` or `+02:00`; empty for UTC.
    pub zone: String,
    /// Form of the instants where they do not begin with the year, such as `%d.%m.%Y %H:%M:%S` or
    /// `%m/%d/%Y %I:%M:%S %p`.
    pub instant_form: String,
    /// `rows`, or `columns` where each workload has a column: then `column` is its name and `value` its value.
    pub layout: Layout,
}

const SEPARATORS: [(&str, u8); 5] =
    [("comma", b','), ("semicolon", b';'), ("tab", b'\t'), ("pipe", b'|'), ("space", b' ')];

impl TextForm {
    /// The separator's byte; `None` where it is to be found.
    ///
    /// # Errors
    /// When it is no single character of ASCII.
    pub(crate) fn separator_byte(&self) -> Result<Option<u8>> {
        if self.separator.is_empty() {
            return Ok(None);
        }
        if let Some((_, byte)) = SEPARATORS.iter().find(|(name, _)| *name == self.separator) {
            return Ok(Some(*byte));
        }
        let [byte] = self.separator.as_bytes() else {
            bail!(
                "[collector.replay.mapping.text] separator = {:?}: write one character, or comma, semicolon, tab, pipe \
                 or space",
                self.separator
            );
        };
        ensure!(
            byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r'),
            "[collector.replay.mapping.text] separator = {:?} cannot stand between fields",
            self.separator
        );
        Ok(Some(*byte))
    }

    /// Sets a key of the command line; false when it is none of these.
    ///
    /// # Errors
    /// When the value is not possible.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "separator" => value.clone_into(&mut self.separator),
            "zone" => value.clone_into(&mut self.zone),
            "time_form" | "instant_form" => value.clone_into(&mut self.instant_form),
            "header" => {
                self.header = match value {
                    "auto" => Header::Auto,
                    "yes" => Header::Yes,
                    "no" => Header::No,
                    _ => bail!("{key}={value}: auto, yes or no are possible"),
                }
            }
            "decimal" => {
                self.decimal = match value {
                    "auto" => Decimal::Auto,
                    "point" | "." => Decimal::Point,
                    "comma" => Decimal::Comma,
                    _ => bail!("{key}={value}: auto, point or comma are possible"),
                }
            }
            "layout" => {
                self.layout = match value {
                    "rows" => Layout::Rows,
                    "columns" => Layout::Columns,
                    _ => bail!("{key}={value}: rows or columns are possible"),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Tells one form from another, as part of what names a replay.
impl fmt::Display for TextForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { separator, header, decimal, zone, instant_form, layout } = self;
        write!(f, "{separator:?} {header:?} {decimal:?} {zone:?} {instant_form:?} {layout:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_have_names_and_others_are_refused() {
        let of = |text: &str| TextForm { separator: text.to_owned(), ..TextForm::default() }.separator_byte();
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("tab").unwrap(), Some(b'\t'));
        assert_eq!(of(";").unwrap(), Some(b';'));
        for wrong in ["ab", "\"", "7", "§"] {
            assert!(of(wrong).unwrap_err().to_string().contains("separator"), "{wrong}");
        }
    }
}
