//! Series into points: which series measure what, and whose. Pure.

use super::known::Known;
use super::wire::{FloatSample, Malformed, SeriesOf, Version, each_series};
use crate::prometheus::preset::Preset;
use crate::prometheus::pushed::Rule;
use prescale_domain::point::Point;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Label that holds the metric's name.
const METRIC: &str = "__name__";
/// Points may be so far ahead of the clock, in seconds.
const AHEAD_S_MAX: i64 = 600;
/// A request of which about so many points would be made is too large.
const POINTS_MAX: usize = 100_000;

/// What becomes of series.
pub(crate) struct Mapping {
    preset: Preset,
    /// Rules by the metric's name.
    by_metric: HashMap<String, Vec<usize>>,
    source: SourceName,
    step_s: u32,
}

/// What a request came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Read {
    /// The points.
    pub(crate) points: Vec<Point>,
    /// Samples that points were made of.
    pub(crate) samples: u64,
    /// Samples of series that no rule means.
    pub(crate) left_out: u64,
    /// Samples of series beyond the bound.
    pub(crate) beyond: u64,
    /// Samples that cannot be.
    pub(crate) refused: u64,
    /// Why the first of them, or its series, was refused.
    pub(crate) why: Option<String>,
}

/// Why nothing becomes of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    /// It is no message of its version.
    Malformed(Malformed),
    /// It has more samples than one request may.
    TooMany,
}

impl Mapping {
    /// By a preset, for samples each `step_s`.
    pub(crate) fn new(preset: Preset, source: SourceName, step_s: u32) -> Self {
        let mut by_metric: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, rule) in preset.pushed.iter().enumerate() {
            by_metric.entry(rule.metric.clone()).or_default().push(number);
        }
        Self { preset, by_metric, source, step_s }
    }

    /// The points of a request that came at `now`.
    ///
    /// # Errors
    /// When it is no message, or too large a one; nothing of it is then used.
    pub(crate) fn read(
        &self,
        version: Version,
        message: &[u8],
        known: &mut Known,
        now: EventTime,
    ) -> Result<Read, Unusable> {
        let mut read = Read::default();
        let latest_ms = now.plus_s(AHEAD_S_MAX).as_ms();
        let mut is_too_large = false;
        each_series(version, message, |series| {
            is_too_large = read.points.len() + series.samples.len() > POINTS_MAX;
            if !is_too_large {
                self.take(series, known, latest_ms, &mut read);
            }
            !is_too_large
        })
        .map_err(Unusable::Malformed)?;
        if is_too_large { Err(Unusable::TooMany) } else { Ok(read) }
    }

    fn take(&self, series: &SeriesOf<'_>, known: &mut Known, latest_ms: i64, read: &mut Read) {
        let count = series.samples.len() as u64;
        let mut labels = series.labels.clone();
        labels.sort_unstable();
        let value = |name: &str| labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value);
        let Some(metric) = value(METRIC).filter(|metric| !metric.is_empty()) else {
            return read.refuse(count, || format!("a series has no {METRIC}"));
        };
        if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return read.refuse(count, || format!("a series of {metric} has label {:?} twice", twice[0].0));
        }
        let numbers = self.by_metric.get(metric).map(Vec::as_slice).unwrap_or_default();
        let rules = numbers.iter().filter_map(|number| self.preset.pushed.get(*number));
        let rules: Vec<&Rule> = rules.filter(|rule| rule.holds(value)).collect();
        if rules.is_empty() {
            read.left_out += count;
            return;
        }
        let named = self.preset.workload.filled(value).map_err(|label| format!("has no label {label:?}"));
        let workload = match named.and_then(|name| WorkloadId::new(&name).map_err(|error| error.to_string())) {
            Ok(workload) => workload,
            Err(why) => return read.refuse(count, || format!("a series of {metric} names no workload: {why}")),
        };
        let id = id_of(&labels);
        if !known.admit(id, &series.samples) {
            read.beyond += count;
            return;
        }
        let series_id: Arc<str> = format!("{id:032x}").into();
        for sample in &series.samples {
            if !(0..=latest_ms).contains(&sample.at_ms) {
                let at_ms = sample.at_ms;
                read.refuse(1, || format!("a sample of {metric} is of {at_ms} ms: before 1970, or in the future"));
                continue;
            }
            if sample.value < 0.0 && rules.iter().any(|rule| rule.is_total) {
                read.refuse(1, || format!("a running total of {metric} is below zero"));
                continue;
            }
            read.samples += 1;
            read.points.extend(rules.iter().map(|rule| self.point(rule, &workload, &series_id, *sample)));
        }
    }

    fn point(&self, rule: &Rule, workload: &WorkloadId, series: &Arc<str>, sample: FloatSample) -> Point {
        Point {
            workload: workload.clone(),
            source: self.source.clone(),
            at: EventTime::from_ms(sample.at_ms),
            step_s: self.step_s,
            series: Arc::clone(series),
            measured: rule.measured.clone(),
            kind: rule.kind,
            unit: Arc::clone(&rule.unit),
            is_total: rule.is_total,
            add_up: rule.add_up,
            // A stale marker is a NaN. From any other on no number is known either, until there is one.
            value: rule.number(sample.value),
            platform: self.preset.platform,
        }
    }
}

impl Read {
    fn refuse(&mut self, samples: u64, why: impl FnOnce() -> String) {
        self.refused += samples;
        self.why.get_or_insert_with(why);
    }
}

/// Tells a series from others: the first half of SHA-256 over its labels, each preceded by its length.
fn id_of(labels: &[(&str, &str)]) -> u128 {
    let mut hash = Sha256::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(16).fold(0, |id, byte| (id << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::super::wire::tests::{Written, written};
    use super::*;
    use crate::prometheus::preset::parsed;
    use prescale_domain::kpi::CPU_CORES_USED;

    /// What ends a series.
    const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

    fn mapping() -> Mapping {
        let preset = parsed(
            "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.cpu_cores_used]\nquery = \"q\"\n\
             [[series.cpu_cores_used]]\nmetric = \"cpu\"\nwithout = { mode = [\"idle\"] }\ntotal = true\n\
             [[series.\"capacity.cpu_cores\"]]\nmetric = \"cpu\"\nonly = { mode = [\"idle\"] }\ncounts_as = 1.0\n",
        );
        Mapping::new(preset, SourceName::new("remote-write:test").unwrap(), 60)
    }

    fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Written {
        let owned = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (owned.collect(), samples.to_vec())
    }

    fn read(all: &[Written], series_max: usize) -> Read {
        let both = [Version::One, Version::Two].map(|version| {
            let mut known = Known::new(series_max);
            mapping().read(version, &written(version, all), &mut known, EventTime::from_s(1000)).unwrap()
        });
        let [one, two] = both;
        assert_eq!(one, two);
        one
    }

    #[test]
    fn series_are_mapped_by_metric_and_labels() {
        let all = [
            series(&[("__name__", "cpu"), ("vm", "a"), ("mode", "user")], &[(1000, 5.0), (2000, STALE)]),
            series(&[("mode", "idle"), ("__name__", "cpu"), ("vm", "a")], &[(1000, 77.0)]),
            series(&[("__name__", "other"), ("vm", "a")], &[(1000, 1.0), (2000, 1.0)]),
        ];
        let read = read(&all, 10);
        assert_eq!((read.samples, read.left_out, read.refused, read.beyond), (3, 2, 0, 0));
        let said: Vec<_> = read.points.iter().map(|p| (p.measured.name(), p.at.as_ms(), p.value)).collect();
        let cores = "capacity.cpu_cores";
        assert_eq!(said, [(CPU_CORES_USED, 1000, Some(5.0)), (CPU_CORES_USED, 2000, None), (cores, 1000, Some(1.0))]);
        assert!(read.points.iter().all(|p| p.workload.as_str() == "a" && p.step_s == 60));
        assert_eq!(read.points[0].series, read.points[1].series);
        assert_ne!(read.points[0].series, read.points[2].series);
    }

    #[test]
    fn what_cannot_be_is_refused_and_the_rest_is_read() {
        let cpu = |labels: &[(&str, &str)], samples: &[(i64, f64)]| {
            let all: Vec<_> = [("__name__", "cpu")].into_iter().chain(labels.iter().copied()).collect();
            series(&all, samples)
        };
        let all = [
            cpu(&[("vm", "a")], &[(1000, 1.0), (-1, 1.0), (1_601_000, 1.0), (1000, -1.0)]),
            cpu(&[("other", "a")], &[(1000, 1.0)]),
            cpu(&[("vm", "a"), ("vm", "b")], &[(1000, 1.0)]),
            series(&[("vm", "a")], &[(1000, 1.0)]),
        ];
        let read = read(&all, 10);
        assert_eq!((read.samples, read.refused, read.points.len()), (1, 6, 1));
        assert!(read.why.unwrap().contains("-1 ms"));
    }

    #[test]
    fn series_beyond_the_bound_are_told_and_those_known_go_on() {
        let of = |vm: &str, at_ms| series(&[("__name__", "cpu"), ("vm", vm)], &[(at_ms, 1.0)]);
        let read = read(&[of("a", 1000), of("b", 1000), of("c", 1000), of("a", 2000)], 2);
        assert_eq!((read.samples, read.beyond), (3, 1));
    }

    #[test]
    fn what_is_no_message_is_unusable() {
        let mut known = Known::new(1);
        let unusable = mapping().read(Version::One, &[10, 200], &mut known, EventTime::from_s(0));
        assert!(matches!(unusable, Err(Unusable::Malformed(_))), "{unusable:?}");
    }
}
