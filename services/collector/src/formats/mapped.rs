//! Any JSON, by a mapping: which of its values name a workload, an instant, KPIs and a capacity.

use super::Unreadable;
use super::json::{InstantScale, number, parsed, shown};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Section `mapping` of a Kafka topic: where in a message what stands. A place is a JSON pointer, such as `/labels/vm`; one
/// of a number may be followed by ` * 0.01` or ` / 1000`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JsonMapping {
    /// List of what is to be read one by one, such as `/items`; empty for the message itself, or each of it where it is a
    /// list.
    pub each: String,
    /// Workload id: a place, or a text with places in braces, as in `{/namespace}/{/pod}`.
    pub workload: String,
    /// Instant of the sample; empty for when the message was written.
    pub instant: String,
    /// Unit of the instant where it is a number: `s`, `ms`, `us`, `ns`, or `filetime` (100 ns since 1601); empty for
    /// seconds. A text may also be RFC 3339.
    pub instant_unit: String,
    /// CPU that the workload has, in cores; needs `memory_capacity`.
    pub cpu_capacity: String,
    /// Memory that the workload has, in bytes; needs `cpu_capacity`.
    pub memory_capacity: String,
    /// Where each message has the value of one metric: the metric's name. The KPIs then say which metric each is, as in
    /// `cpu_cores_used = "cpu * 0.01"`.
    pub metric: String,
    /// The value of that metric.
    pub value: String,
    /// The KPIs, by name, such as `cpu_cores_used = "/cpu/percent * 0.04"`; `cpu`, `memory`, `requests` and the like are
    /// short for those of a trace.
    pub kpis: BTreeMap<String, String>,
}

/// A mapping, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    each: String,
    workload: Vec<Part>,
    instant: Option<String>,
    scale: InstantScale,
    /// Cores, and bytes.
    capacity: Option<(Term, Term)>,
    /// Places of a metric's name and of its value.
    metric: Option<(String, Term)>,
    kpis: Vec<(String, Term)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Place(String),
}

/// A place, or the name of a metric, and what the number is multiplied by.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    of: String,
    factor: f64,
}

/// What a message says of one workload at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'m> {
    /// Its workload.
    pub workload: String,
    /// Instant in milliseconds since 1970; `None` where it is that of the message.
    pub at_ms: Option<i64>,
    /// KPIs that are there; those that are null have no value.
    pub kpis: Vec<(&'m str, Option<f64>)>,
    /// Cores and bytes, where both are there.
    pub capacity: Option<(f64, f64)>,
}

/// What a message came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<'m> {
    /// What could be read.
    pub rows: Vec<Row<'m>>,
    /// How many values are of metrics that no KPI is.
    pub left_out: u64,
    /// Why the first part of it that could not be read could not.
    pub why: Option<Unreadable>,
}

impl JsonMapping {
    /// The mapping, if it makes sense.
    ///
    /// # Errors
    /// With the key.
    pub fn checked(&self) -> Result<Mapped, String> {
        let place = |key: &str, text: &str| match text.starts_with('/') {
            true => Ok(text.to_owned()),
            false => Err(format!("{key} = {text:?}: a place begins with /, as in /labels/vm")),
        };
        let term = |key: &str, text: &str| -> Result<Term, String> {
            let term = Term::of(text).map_err(|why| format!("{key} = {text:?}: {why}"))?;
            place(key, &term.of).map(|of| Term { of, factor: term.factor })
        };
        if !self.each.is_empty() {
            place("each", &self.each)?;
        }
        let capacity = match (self.cpu_capacity.as_str(), self.memory_capacity.as_str()) {
            ("", "") => None,
            ("", _) | (_, "") => return Err("cpu_capacity and memory_capacity need each other".to_owned()),
            (cpu, memory) => Some((term("cpu_capacity", cpu)?, term("memory_capacity", memory)?)),
        };
        let metric = match (self.metric.as_str(), self.value.as_str()) {
            ("", "") => None,
            ("", _) | (_, "") => return Err("metric and value need each other".to_owned()),
            (metric, value) => Some((place("metric", metric)?, term("value", value)?)),
        };
        if self.kpis.is_empty() {
            return Err("kpis: at least one is needed, such as cpu_cores_used = \"/cpu\"".to_owned());
        }
        let kpi = |(name, text): (&String, &String)| -> Result<(String, Term), String> {
            let key = format!("kpis.{name}");
            let term = if metric.is_none() {
                term(&key, text)?
            } else {
                Term::of(text).map_err(|why| format!("{key} = {text:?}: {why}"))?
            };
            Ok((name.clone(), term))
        };
        let kpis = self.kpis.iter().map(kpi).collect::<Result<_, String>>()?;
        let instant = if self.instant.is_empty() { None } else { Some(place("instant", &self.instant)?) };
        let scale = scale(&self.instant_unit)?;
        Ok(Mapped { each: self.each.clone(), workload: parts(&self.workload)?, instant, scale, capacity, metric, kpis })
    }
}

fn scale(unit: &str) -> Result<InstantScale, String> {
    let (per_s, before_1970_s) = match unit {
        "" | "s" => (1, 0),
        "ms" => (1000, 0),
        "us" => (1_000_000, 0),
        "ns" => (1_000_000_000, 0),
        "filetime" => (10_000_000, 11_644_473_600),
        other => return Err(format!("instant_unit = {other:?}: s, ms, us, ns and filetime are possible")),
    };
    Ok(InstantScale { per_s, before_1970_s })
}

/// The parts of what names a workload.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.starts_with('/') {
        return Ok(vec![Part::Place(text.to_owned())]);
    }
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((fixed, behind)) = rest.split_once('{') {
        let place = behind.split_once('}').filter(|(place, _)| place.starts_with('/'));
        let Some((place, behind)) = place else {
            return Err(format!("workload = {text:?}: braces hold a place, as in {{/namespace}}/{{/pod}}"));
        };
        if !fixed.is_empty() {
            parts.push(Part::Text(fixed.to_owned()));
        }
        parts.push(Part::Place(place.to_owned()));
        rest = behind;
    }
    if parts.is_empty() {
        return Err(format!("workload = {text:?}: name a place, such as /vm: all would be one workload"));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

impl Term {
    /// Of `PLACE`, `PLACE * NUMBER` or `PLACE / NUMBER`.
    fn of(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let by = |sign: &str| text.rsplit_once(sign).map(|(of, number)| (of.trim(), number.trim().parse::<f64>()));
        let (of, factor) = match (by(" * "), by(" / ")) {
            (Some((of, Ok(number))), _) => (of, number),
            (_, Some((of, Ok(number)))) => (of, 1.0 / number),
            (None, None) => (text, 1.0),
            _ => return Err("what follows * or / is a number"),
        };
        if of.is_empty() || !factor.is_finite() || factor == 0.0 {
            return Err("name something, and multiply it by a number other than 0");
        }
        Ok(Self { of: of.to_owned(), factor })
    }

    /// The number at its place; `None` where nothing is there, `Some(None)` of null.
    fn number(&self, item: &Value) -> Result<Option<Option<f64>>, Unreadable> {
        let Some(value) = item.pointer(&self.of) else { return Ok(None) };
        let number = number(value).map_err(|why| Unreadable(format!("{}: {why}", self.of)))?;
        Ok(Some(number.map(|number| number * self.factor)))
    }
}

impl Mapped {
    /// What a message says.
    ///
    /// # Errors
    /// When it is no JSON, or has no list where one is to be.
    pub fn rows(&self, message: &[u8]) -> Result<Rows<'_>, Unreadable> {
        let message = parsed(message)?;
        let item = message.pointer(&self.each);
        let items = match item.ok_or_else(|| Unreadable(format!("{} is not there", self.each)))? {
            Value::Array(items) => items.as_slice(),
            other if self.each.is_empty() => std::slice::from_ref(other),
            other => return Err(Unreadable(format!("{}: {} is no list", self.each, shown(other)))),
        };
        let mut rows = Rows::default();
        for item in items {
            match self.row(item) {
                Ok(Some(row)) => rows.rows.push(row),
                Ok(None) => rows.left_out += 1,
                Err(why) => {
                    rows.why.get_or_insert(why);
                }
            }
        }
        Ok(rows)
    }

    /// `None` where the value is of a metric that no KPI is.
    fn row(&self, item: &Value) -> Result<Option<Row<'_>>, Unreadable> {
        let kpis = match &self.metric {
            None => self.kpis_of(item)?,
            Some((metric, value)) => {
                let name = item.pointer(metric).and_then(Value::as_str);
                let name = name.ok_or_else(|| Unreadable(format!("{metric}: no name of a metric is there")))?;
                let meant: Vec<&(String, Term)> = self.kpis.iter().filter(|(_, term)| term.of == name).collect();
                if meant.is_empty() {
                    return Ok(None);
                }
                let value = value.number(item)?.ok_or_else(|| Unreadable(format!("{} is not there", value.of)))?;
                meant.into_iter().map(|(name, term)| (name.as_str(), value.map(|value| value * term.factor))).collect()
            }
        };
        let at = |place: &String| item.pointer(place).ok_or_else(|| Unreadable(format!("{place} is not there")));
        let instant = self.instant.as_ref().map(|place| self.scale.instant_ms(at(place)?)).transpose()?;
        let mut workload = String::new();
        for part in &self.workload {
            match part {
                Part::Text(text) => workload += text,
                Part::Place(place) => match at(place)? {
                    Value::String(text) => workload += text,
                    value @ (Value::Number(_) | Value::Bool(_)) => workload += &value.to_string(),
                    other => return Err(Unreadable(format!("{place}: {} names no workload", shown(other)))),
                },
            }
        }
        let capacity = match &self.capacity {
            None => None,
            Some((cpu, memory)) => cpu.number(item)?.flatten().zip(memory.number(item)?.flatten()),
        };
        Ok(Some(Row { workload, at_ms: instant, kpis, capacity }))
    }

    fn kpis_of(&self, item: &Value) -> Result<Vec<(&str, Option<f64>)>, Unreadable> {
        let mut kpis = Vec::new();
        for (name, term) in &self.kpis {
            if let Some(number) = term.number(item)? {
                kpis.push((name.as_str(), number));
            }
        }
        if kpis.is_empty() {
            let first = self.kpis.first().map(|(_, term)| term.of.as_str()).unwrap_or_default();
            return Err(Unreadable(format!("it has none of the KPIs: nothing is at {first}")));
        }
        Ok(kpis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn wide() -> JsonMapping {
        let kpis = [("cpu_cores_used", "/cpu/pct * 0.04"), ("memory_bytes", "/mem / 0.5")];
        JsonMapping {
            workload: "{/ns}/{/pod}".to_owned(),
            instant: "/ts".to_owned(),
            instant_unit: "ms".to_owned(),
            cpu_capacity: "/limits/0".to_owned(),
            memory_capacity: "/limits/1".to_owned(),
            kpis: kpis.map(|(name, place)| (name.to_owned(), place.to_owned())).into(),
            ..JsonMapping::default()
        }
    }

    fn rows<'m>(mapped: &'m Mapped, message: &Value) -> Rows<'m> {
        mapped.rows(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_message_has_the_kpis_of_a_workload_or_of_several() {
        let mapped = wide().checked().unwrap();
        let one = json!({"ns": "shop", "pod": 7, "ts": 5000, "cpu": {"pct": "50"}, "mem": 8, "limits": [4, 64]});
        let row = Row {
            workload: "shop/7".to_owned(),
            at_ms: Some(5000),
            kpis: vec![("cpu_cores_used", Some(2.0)), ("memory_bytes", Some(16.0))],
            capacity: Some((4.0, 64.0)),
        };
        assert_eq!(rows(&mapped, &one).rows, std::slice::from_ref(&row));
        let part = json!({"ns": "shop", "pod": "b", "ts": "1970-01-01T00:00:01Z", "mem": null});
        let both = rows(&mapped, &json!([one, part]));
        let other = Row {
            workload: "shop/b".to_owned(),
            at_ms: Some(1000),
            kpis: vec![("memory_bytes", None)],
            capacity: None,
        };
        assert_eq!(both.rows, [row, other]);
        let nested = JsonMapping { each: "/items".to_owned(), ..wide() }.checked().unwrap();
        assert_eq!(rows(&nested, &json!({"items": [one]})).rows.len(), 1);
        assert!(nested.rows(b"{\"items\":5}").unwrap_err().0.contains("/items: 5 is no list"));
        assert!(nested.rows(b"{}").unwrap_err().0.contains("/items is not there"));
    }

    #[test]
    fn a_message_has_the_value_of_one_metric() {
        let long = JsonMapping {
            workload: "/vm".to_owned(),
            metric: "/metric".to_owned(),
            value: "/value".to_owned(),
            kpis: [("cpu_cores_used".to_owned(), "cpu.percent / 50".to_owned())].into(),
            ..JsonMapping::default()
        };
        let mapped = long.checked().unwrap();
        let message = |metric: &str, value: Value| json!({"vm": "a", "metric": metric, "value": value});
        let cpu = rows(&mapped, &message("cpu.percent", json!(100)));
        assert_eq!(
            (cpu.rows[0].kpis.as_slice(), cpu.rows[0].at_ms),
            ([("cpu_cores_used", Some(2.0))].as_slice(), None)
        );
        assert_eq!(rows(&mapped, &message("disk", json!(1))).left_out, 1);
        let bad = rows(&mapped, &message("cpu.percent", json!("much")));
        assert!(bad.why.unwrap().0.contains("/value: \"much\" is no number"));
    }

    #[test]
    fn a_part_that_cannot_be_read_loses_no_other() {
        let mapped = wide().checked().unwrap();
        let good = json!({"ns": "shop", "pod": "a", "ts": 5000, "mem": 8});
        let mut without = good.clone();
        without["pod"] = Value::Null;
        let read = rows(&mapped, &json!([without, good, {"ns": "shop"}]));
        assert_eq!(read.rows.len(), 1);
        assert!(read.why.unwrap().0.contains("/pod: null names no workload"));
        let none = rows(&mapped, &json!({"ns": "shop", "pod": "a", "ts": 5000}));
        assert!(none.why.unwrap().0.contains("nothing is at /cpu/pct"));
    }

    #[test]
    fn what_makes_no_sense_says_its_key() {
        let refused = |change: fn(&mut JsonMapping)| {
            let mut mapping = wide();
            change(&mut mapping);
            mapping.checked().unwrap_err()
        };
        assert!(refused(|m| m.workload.clear()).contains("workload = \"\""));
        assert!(refused(|m| m.workload = "{vm}".to_owned()).contains("braces hold a place"));
        assert!(refused(|m| m.instant = "ts".to_owned()).contains("instant = \"ts\": a place begins with /"));
        assert!(refused(|m| m.instant_unit = "d".to_owned()).contains("instant_unit = \"d\""));
        assert!(refused(|m| m.memory_capacity.clear()).contains("need each other"));
        assert!(refused(|m| m.metric = "/m".to_owned()).contains("metric and value need each other"));
        assert!(refused(|m| m.kpis.clear()).contains("at least one"));
        let term = |text: &'static str| Term::of(text).unwrap_err();
        assert!(term("/a * b").contains("is a number") && term("/a / 0").contains("other than 0"));
        assert_eq!(Term::of("/a b/c / 4"), Ok(Term { of: "/a b/c".to_owned(), factor: 0.25 }));
    }

    proptest! {
        #[test]
        fn a_message_from_anywhere_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = wide().checked().unwrap().rows(&bytes);
        }
    }
}
