//! Any record as JSON, for people and tools.

use crate::codec::{all_read, unframe};
use crate::error::ContractError;
use crate::registry;
use crate::topics::{subject_of, topic_of_dlq};
use apache_avro::types::Value;
use serde_json::{Map, Number, Value as Json};

/// A record of `topic` (or of its dead letter queue) as JSON, by the schema that it was written
/// with. Instants are milliseconds since 1970, enums their symbols, absent values null, numbers of 32 bits
/// in the fewest digits that tell them.
///
/// # Errors
/// When the bytes are not framed, the schema is unknown or another topic's, or the datum does not
/// follow its schema; fields are not checked beyond that.
pub fn record_json(topic: &str, framed: &[u8]) -> Result<Json, ContractError> {
    let subject = subject_of(topic_of_dlq(topic));
    if registry::newest(&subject).is_none() {
        return Err(ContractError::UnknownTopic { topic: topic.to_owned() });
    }
    let (id, mut datum) = unframe(framed)?;
    let registered = registry::by_id(id, &subject)?;
    let read = registered.reader.read_value(&mut datum).map_err(|e| e.to_string());
    match read.and_then(|value| all_read(datum).map(|()| value)) {
        Ok(value) => Ok(json(value)),
        Err(message) => Err(ContractError::Datum { subject, id, message }),
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => Json::Bool(b),
        Value::Int(n) => n.into(),
        Value::Long(n) | Value::TimestampMillis(n) => n.into(),
        Value::Float(x) => number(as_written(x)),
        Value::Double(x) => number(x),
        Value::String(text) | Value::Enum(_, text) => Json::String(text),
        Value::Union(_, inner) => json(*inner),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(entries.into_iter().map(|(name, v)| (name, json(v))).collect())
        }
        Value::Record(fields) => Json::Object(fields.into_iter().map(|(n, v)| (n, json(v))).collect::<Map<_, _>>()),
        other => Json::String(format!("{other:?}")),
    }
}

/// JSON has no NaN and no infinities; they show as text.
fn number(x: f64) -> Json {
    Number::from_f64(x).map_or_else(|| Json::String(x.to_string()), Json::Number)
}

/// The number that 32 bits stand for in the fewest digits: 0.1, not 0.10000000149011612.
fn as_written(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| x.into())
}
