//! This process's metrics, read back from their text format (Prometheus exposition format 0.0.4).

use std::collections::BTreeMap;

/// One series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    /// Its value, rounded down: counters and counts are whole.
    pub(super) value: u64,
}

impl Series {
    /// A label's value; empty when it has none of that name.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All series at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered(Vec<Series>);

impl Rendered {
    /// From the text; lines that cannot be read are passed over.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect())
    }

    /// Series of that name with these labels, among others.
    pub(super) fn series(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Series> {
        let has = |s: &Series| s.name == name && labels.iter().all(|(label, value)| s.label(label) == *value);
        self.0.iter().filter(|s| has(s)).cloned().collect()
    }

    /// Their sum.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.series(name, labels).iter().map(|s| s.value).sum()
    }
}

fn series(line: &str) -> Option<Series> {
    let (what, value) = line.rsplit_once(' ')?;
    let (name, labels) = match what.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (what, ""),
    };
    let label = |pair: &str| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.to_owned()))
    };
    let labels =
        labels.trim_end_matches('"').split("\",").filter(|p| !p.is_empty()).map(label).collect::<Option<_>>()?;
    Some(Series { name: name.to_owned(), labels, value: value.parse::<f64>().ok().filter(|v| *v >= 0.0)? as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let rendered = Rendered::parse(
            "# TYPE a counter\na{stage=\"planner\",reason=\"hold\"} 3\na{stage=\"planner\",reason=\"stale\"} 2\na{stage=\"x\"} 7\nb 1.5\nc NaN\n",
        );
        assert_eq!(rendered.sum("a", &[("stage", "planner")]), 5);
        assert_eq!(rendered.series("a", &[("reason", "hold")])[0].label("stage"), "planner");
        assert_eq!((rendered.sum("b", &[]), rendered.sum("c", &[]), rendered.sum("d", &[])), (1, 0, 0));
    }
}
