//! Messages that are JSON: as Telegraf writes them, as `prometheus-kafka-adapter` does, and what both share with those that
//! are read by a mapping.

use super::{METRIC, SeriesValue, Unreadable};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// So much of a value is repeated in a reason.
const SHOWN_MAX: usize = 80;

/// How numbers that are instants are to be read; texts are RFC 3339, or hold a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstantScale {
    /// How many make a second.
    pub per_s: i64,
    /// So many seconds before 1970 they begin.
    pub before_1970_s: i64,
}

impl InstantScale {
    /// Seconds since 1970.
    pub const SECONDS: Self = Self { per_s: 1, before_1970_s: 0 };

    /// The instant in milliseconds since 1970.
    ///
    /// # Errors
    /// When it is none.
    pub fn instant_ms(self, value: &Value) -> Result<i64, Unreadable> {
        let unreadable = || Unreadable(format!("{} is no instant: RFC 3339 or a number", shown(value)));
        let ms = match value {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => self.of_whole(whole),
                None => number.as_f64().and_then(|number| self.of_number(number)),
            },
            Value::String(text) => {
                let text = text.trim();
                let of_text = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
                match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(whole), _) => self.of_whole(whole),
                    (_, Ok(number)) => self.of_number(number),
                    _ => of_text(),
                }
            }
            _ => None,
        };
        ms.ok_or_else(unreadable)
    }

    fn of_whole(self, whole: i64) -> Option<i64> {
        let ms = (i128::from(whole) * 1000).div_euclid(i128::from(self.per_s));
        i64::try_from(ms - i128::from(self.before_1970_s) * 1000).ok()
    }

    fn of_number(self, number: f64) -> Option<i64> {
        let ms = number * 1000.0 / self.per_s as f64 - self.before_1970_s as f64 * 1000.0;
        // Beyond 2^53 its neighbours are seconds of whole numbers apart.
        (ms.abs() < 9e15).then(|| ms.floor() as i64)
    }
}

/// A number, as one or as a text; 1 and 0 for true and false. `None` for null.
///
/// # Errors
/// When it is neither.
pub fn number(value: &Value) -> Result<Option<f64>, Unreadable> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Bool(is_true) => Some(f64::from(u8::from(*is_true))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| Unreadable(format!("{} is no number", shown(value))))
}

/// A value as it is repeated in a reason.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// The message as JSON.
///
/// # Errors
/// When it is none.
pub(super) fn parsed(message: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(message).map_err(|error| Unreadable(format!("it is no JSON: {error}")))
}

/// One of Telegraf's metrics.
#[derive(Deserialize)]
struct Metric {
    name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    fields: Map<String, Value>,
    timestamp: Value,
}

/// Gives each number of a message of Telegraf's (`data_format = "json"`), one metric or a batch, to `take`. Series are
/// called as those of line protocol.
///
/// # Errors
/// When the message is none; nothing was given then.
pub fn each_of_telegraf(
    message: &[u8],
    scale: InstantScale,
    mut take: impl FnMut(&SeriesValue<'_>),
) -> Result<(), Unreadable> {
    let metrics = match parsed(message)? {
        Value::Object(mut object) => match object.remove("metrics") {
            Some(Value::Array(metrics)) => metrics,
            Some(_) => return Err(Unreadable("metrics is no list".to_owned())),
            None => vec![Value::Object(object)],
        },
        Value::Array(metrics) => metrics,
        other => return Err(Unreadable(format!("{} is no metric of Telegraf's", shown(&other)))),
    };
    let read = |(number, metric): (usize, Value)| -> Result<(Metric, i64), Unreadable> {
        let why = |why: String| Unreadable(format!("metric {}: {why}", number + 1));
        let metric: Metric = serde_json::from_value(metric).map_err(|error| why(error.to_string()))?;
        let at_ms = scale.instant_ms(&metric.timestamp).map_err(|error| why(error.0))?;
        Ok((metric, at_ms))
    };
    let metrics: Vec<(Metric, i64)> = metrics.into_iter().enumerate().map(read).collect::<Result<_, Unreadable>>()?;
    for (metric, at_ms) in &metrics {
        for (field, value) in &metric.fields {
            // A text is none, whatever it holds.
            let value = match value {
                Value::Number(_) | Value::Bool(_) => number(value)?,
                _ => None,
            };
            let Some(value) = value else { continue };
            let name = super::metric_of(&metric.name, field);
            let tags = metric.tags.iter().map(|(tag, value)| (tag.as_str(), value.as_str()));
            let labels = [(METRIC, &*name)].into_iter().chain(tags).collect();
            take(&SeriesValue { labels, at_ms: *at_ms, value });
        }
    }
    Ok(())
}

/// One sample of `prometheus-kafka-adapter`.
#[derive(Deserialize)]
struct Adapted<'a> {
    timestamp: Value,
    value: Value,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    labels: BTreeMap<String, String>,
}

/// Gives the value of a message of `prometheus-kafka-adapter`'s (`SERIALIZATION_FORMAT=json`) to `take`. One that is no
/// number, as that of a stale marker, says that the series has ended.
///
/// # Errors
/// When the message is none.
pub fn each_of_adapter(message: &[u8], mut take: impl FnMut(&SeriesValue<'_>)) -> Result<(), Unreadable> {
    let sample: Adapted<'_> =
        serde_json::from_slice(message).map_err(|error| Unreadable(format!("it is no sample: {error}")))?;
    let at_ms = InstantScale::SECONDS.instant_ms(&sample.timestamp)?;
    let value = number(&sample.value)?.unwrap_or(f64::NAN);
    let mut labels: Vec<(&str, &str)> =
        sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if !sample.labels.contains_key(METRIC) && !sample.name.is_empty() {
        labels.push((METRIC, &*sample.name));
    }
    take(&SeriesValue { labels, at_ms, value });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    type Said = Vec<(String, i64, f64)>;

    fn into(said: &mut Said) -> impl FnMut(&SeriesValue<'_>) {
        move |value| {
            let mut labels: Vec<String> = value.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.sort();
            said.push((labels.join(" "), value.at_ms, value.value));
        }
    }

    fn of_telegraf(message: &str) -> Result<Said, Unreadable> {
        let mut said = Vec::new();
        each_of_telegraf(message.as_bytes(), InstantScale::SECONDS, into(&mut said)).map(|()| said)
    }

    fn of_adapter(message: &str) -> Result<Said, Unreadable> {
        let mut said = Vec::new();
        each_of_adapter(message.as_bytes(), into(&mut said)).map(|()| said)
    }

    #[test]
    fn telegrafs_metrics_are_read_one_by_one_and_in_batches() {
        let one = r#"{"fields":{"n_images":660,"usage":1.5,"up":true,"version":"1"},"name":"docker","tags":{"host":"raynor"},"timestamp":1458229140}"#;
        let at_ms = 1_458_229_140_000;
        let wanted = [("n_images", 660.0), ("up", 1.0), ("usage", 1.5)]
            .map(|(field, value)| (format!("__name__=docker_{field} host=raynor"), at_ms, value));
        assert_eq!(of_telegraf(one).unwrap(), wanted);
        let batch = format!(r#"{{"metrics":[{one},{one}]}}"#);
        assert_eq!(of_telegraf(&batch).unwrap(), [wanted.clone(), wanted].concat());
    }

    #[test]
    fn a_batch_with_a_bad_metric_is_none() {
        let good = r#"{"fields":{"a":1},"name":"m","tags":{},"timestamp":1}"#;
        for (bad, why) in [
            (r#"{"fields":{"a":1},"tags":{},"timestamp":1}"#, "metric 2: missing field `name`"),
            (r#"{"fields":{"a":1},"name":"m","timestamp":"soon"}"#, "metric 2: \"soon\" is no instant"),
        ] {
            let error = of_telegraf(&format!("[{good},{bad}]")).unwrap_err();
            assert!(error.0.contains(why), "{error}");
        }
        assert!(of_telegraf("5").unwrap_err().0.contains("no metric"));
        assert!(of_telegraf("{").unwrap_err().0.contains("no JSON"));
        assert!(of_telegraf(r#"{"metrics":5}"#).unwrap_err().0.contains("no list"));
    }

    #[test]
    fn the_adapters_samples_are_read_with_their_values_as_texts() {
        let sample = |value: &str| {
            format!(
                r#"{{"timestamp":"1970-01-01T00:00:02Z","value":"{value}","name":"up","labels":{{"__name__":"up","job":"a"}}}}"#
            )
        };
        assert_eq!(
            of_adapter(&sample("9876543210")).unwrap(),
            [("__name__=up job=a".to_owned(), 2000, 9_876_543_210.0)]
        );
        assert_eq!(of_adapter(&sample("+Inf")).unwrap()[0].2, f64::INFINITY);
        assert!(of_adapter(&sample("NaN")).unwrap()[0].2.is_nan());
        assert!(of_adapter(&sample("many")).unwrap_err().0.contains("\"many\" is no number"));
        let bare = r#"{"timestamp":"1970-01-01T00:00:02Z","value":"1","name":"up","labels":{}}"#;
        assert_eq!(of_adapter(bare).unwrap()[0].0, "__name__=up");
        assert!(of_adapter("[]").is_err());
    }

    #[test]
    fn instants_are_texts_or_numbers_of_a_unit() {
        let filetime = InstantScale { per_s: 10_000_000, before_1970_s: 11_644_473_600 };
        let ms = InstantScale { per_s: 1000, before_1970_s: 0 };
        for (scale, value, wanted) in [
            (InstantScale::SECONDS, json!(5), 5000),
            (InstantScale::SECONDS, json!(5.25), 5250),
            (InstantScale::SECONDS, json!("5"), 5000),
            (InstantScale::SECONDS, json!("1970-01-01T01:00:01.5+01:00"), 1500),
            (ms, json!(1_700_000_000_123_i64), 1_700_000_000_123),
            (ms, json!("1970-01-01T00:00:01Z"), 1000),
            (filetime, json!(116_444_736_010_000_000_i64), 1000),
        ] {
            assert_eq!(scale.instant_ms(&value).unwrap(), wanted, "{value}");
        }
        for none in [json!(null), json!([]), json!("soon"), json!(1e300), json!("NaN")] {
            assert!(ms.instant_ms(&none).is_err(), "{none}");
        }
    }

    #[test]
    fn long_values_are_cut_off_where_they_are_repeated() {
        let text = shown(&json!("ä".repeat(500)));
        assert_eq!(text.chars().count(), SHOWN_MAX + 1);
    }

    proptest! {
        #[test]
        fn a_message_from_anywhere_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = each_of_telegraf(&bytes, InstantScale::SECONDS, |_| ());
            let _ = each_of_adapter(&bytes, |_| ());
        }

        #[test]
        fn what_is_written_is_read(eighths in -1_000_000_000..1_000_000_000_i64, at_s in 0..4_000_000_000_i64, tag in "\\PC{0,10}") {
            let value = eighths as f64 / 8.0;
            let metric = json!({"name": "m", "tags": {"t": tag}, "fields": {"f": value}, "timestamp": at_s});
            let said = of_telegraf(&metric.to_string()).unwrap();
            prop_assert_eq!(said, [(format!("__name__=m_f t={tag}"), at_s * 1000, value)]);
        }
    }
}
