//! What of series that are pushed is measured: by metric and labels, part of a preset.

use anyhow::{Context as _, Result, ensure};
use glob::Pattern;
use prescale_domain::kpi::KpiKind;
use prescale_domain::point::{AddUp, Measured};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenRule {
    metric: String,
    /// By label, patterns of which one must match.
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
    /// By label, patterns of which none may match.
    #[serde(default)]
    without: BTreeMap<String, Vec<String>>,
    /// Whether the values are running totals.
    #[serde(default)]
    total: bool,
    #[serde(default)]
    add_up: WrittenAddUp,
    pub(crate) unit: Option<String>,
    /// What each value is multiplied by; -1 where it is to be taken away.
    times: Option<f64>,
    /// What each value counts as, whatever it is: 1 to count series.
    counts_as: Option<f64>,
}

/// How series of one workload become one, as it is written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WrittenAddUp {
    #[default]
    Sum,
    Mean,
    Max,
}

impl From<WrittenAddUp> for AddUp {
    fn from(written: WrittenAddUp) -> Self {
        match written {
            WrittenAddUp::Sum => Self::Sum,
            WrittenAddUp::Mean => Self::Mean,
            WrittenAddUp::Max => Self::Max,
        }
    }
}

/// Which series measure something, and how their values are read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// Name of the metric.
    pub metric: String,
    /// What it measures.
    pub measured: Measured,
    /// How the number is to be read.
    pub kind: KpiKind,
    /// Unit of the number.
    pub unit: Arc<str>,
    /// Whether the values are running totals.
    pub is_total: bool,
    /// How series of one workload become one.
    pub add_up: AddUp,
    only: Vec<(String, Vec<Pattern>)>,
    without: Vec<(String, Vec<Pattern>)>,
    times: f64,
    counts_as: Option<f64>,
}

impl Rule {
    /// For the KPI of that name, or what of the capacity; values are multiplied by `times` to be in its unit.
    ///
    /// # Errors
    /// With the key that cannot be used.
    pub(crate) fn new(
        name: &str,
        (kind, unit): (KpiKind, &'static str),
        written: WrittenRule,
        times: f64,
    ) -> Result<Self> {
        ensure!(!written.metric.is_empty(), "metric is empty: name that of the series");
        ensure!(kind != KpiKind::Counter, "samples of points have no counters: name the KPI by its rate (_per_s)");
        let factor = written.times.unwrap_or(1.0);
        ensure!(factor.is_finite() && factor != 0.0, "times = {factor}: give a number other than 0");
        ensure!(!written.total || factor > 0.0, "times = {factor}: a running total stays one, give a number above 0");
        ensure!(written.counts_as.is_none_or(f64::is_finite), "counts_as: give a number");
        Ok(Self {
            metric: written.metric,
            measured: Measured::of_name(name.into()),
            kind,
            unit: unit.into(),
            is_total: written.total,
            add_up: written.add_up.into(),
            only: patterns("only", &written.only)?,
            without: patterns("without", &written.without)?,
            times: factor * times,
            counts_as: written.counts_as,
        })
    }

    /// Whether a series of its metric is one, by its labels, which `value` gives; one that is missing is empty.
    pub(crate) fn holds<'l>(&self, value: impl Fn(&str) -> Option<&'l str>) -> bool {
        let matches = |(label, patterns): &(String, Vec<Pattern>)| {
            let value = value(label).unwrap_or_default();
            patterns.iter().any(|pattern| pattern.matches(value))
        };
        self.only.iter().all(matches) && !self.without.iter().any(matches)
    }

    /// Whether a series counts, whatever its value is.
    pub(crate) fn counts_series(&self) -> bool {
        self.counts_as.is_some()
    }

    /// A value in the rule's unit; `None` where it is no number.
    pub(crate) fn number(&self, value: f64) -> Option<f64> {
        let number = self.counts_as.unwrap_or(value) * self.times;
        (value.is_finite() && number.is_finite()).then_some(number)
    }
}

fn patterns(key: &str, written: &BTreeMap<String, Vec<String>>) -> Result<Vec<(String, Vec<Pattern>)>> {
    let of = |(label, texts): (&String, &Vec<String>)| {
        let pattern = |text: &String| Pattern::new(text).with_context(|| format!("{key}.{label}: {text:?}"));
        Ok((label.clone(), texts.iter().map(pattern).collect::<Result<_>>()?))
    };
    written.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule> {
        Rule::new("cpu_cores_used", (KpiKind::Gauge, "cores"), toml::from_str(text).unwrap(), 1.0)
    }

    #[test]
    fn labels_say_which_series_are_meant() {
        let text = "metric = \"m\"\nonly = { job = [\"node*\"] }\nwithout = { mode = [\"idle\", \"steal\"] }\n";
        let rule = rule(text).unwrap();
        let holds = |job: &'static str, mode: &'static str| {
            rule.holds(|label| match label {
                "job" => Some(job),
                "mode" => Some(mode),
                _ => None,
            })
        };
        assert!(holds("node", "user") && holds("node-2", ""));
        assert!(!holds("other", "user") && !holds("node", "idle"));
        assert!(!rule.holds(|_| None), "a label that is missing is empty");
    }

    #[test]
    fn values_come_into_the_unit_and_series_can_be_counted() {
        let number = |text: &str, value| rule(&format!("metric = \"m\"\n{text}")).unwrap().number(value);
        assert_eq!(number("", 2.0), Some(2.0));
        assert_eq!(number("times = -1.0\n", 2.0), Some(-2.0));
        assert_eq!(number("counts_as = 1.0\n", 77.0), Some(1.0));
        assert_eq!(number("counts_as = 1.0\n", f64::NAN), None);
        assert!(rule("metric = \"m\"\ntotal = true\ntimes = -1.0\n").is_err());
        assert!(rule("metric = \"\"\n").is_err());
    }
}
