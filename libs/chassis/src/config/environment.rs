//! Overrides from the environment: `PRESCALE__SECTION__KEY=value`, deeper keys with more `__`.

use serde::Deserialize;
use toml::{Table, Value};

const PREFIX: &str = "PRESCALE__";
const SEPARATOR: &str = "__";

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) variable: String,
    pub(crate) section: String,
    /// Path within the section; empty when the variable names none.
    pub(crate) path: Vec<String>,
    raw: String,
}

impl Override {
    /// `None` for a variable that is not ours.
    pub(crate) fn read(variable: &str, raw: &str) -> Option<Self> {
        let mut parts = variable.strip_prefix(PREFIX)?.split(SEPARATOR).map(str::to_lowercase);
        let section = parts.next()?;
        Some(Self { variable: variable.to_owned(), section, path: parts.collect(), raw: raw.to_owned() })
    }

    /// Where errors say it is.
    pub(crate) fn place(&self) -> String {
        format!("environment variable {}", self.variable)
    }

    /// What the value can mean, likeliest first: TOML, then plain text.
    pub(crate) fn readings(&self) -> Vec<Value> {
        let as_toml = toml::de::ValueDeserializer::parse(&self.raw).and_then(Value::deserialize).ok();
        as_toml.into_iter().chain([Value::String(self.raw.clone())]).collect()
    }

    /// The section with the value put in its place; `None` when the path leads through a value
    /// that is no table.
    pub(crate) fn applied(&self, section: &Table, value: Value) -> Option<Table> {
        let mut changed = section.clone();
        let (last, parents) = self.path.split_last()?;
        let mut table = &mut changed;
        for parent in parents {
            table = table.entry(parent.as_str()).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
        }
        table.insert(last.clone(), value);
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_double_underscores() {
        let read = Override::read("PRESCALE__BUS__KAFKA__TOPIC_PREFIX", "x").unwrap();
        assert_eq!((read.section.as_str(), read.path.join(".").as_str()), ("bus", "kafka.topic_prefix"));
        assert_eq!(Override::read("PRESCALE_CONFIG", "x"), None);
        assert_eq!(Override::read("HOME", "x"), None);
    }

    #[test]
    fn values_are_toml_or_else_text() {
        let first = |raw: &str| Override::read("PRESCALE__A__B", raw).unwrap().readings()[0].clone();
        assert_eq!(first("12"), Value::Integer(12));
        assert_eq!(first("true"), Value::Boolean(true));
        assert_eq!(first("[1, 2]"), Value::Array(vec![Value::Integer(1), Value::Integer(2)]));
        assert_eq!(first("kafka"), Value::String("kafka".into()));
        assert_eq!(first(""), Value::String(String::new()));
    }
}
