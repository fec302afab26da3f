//! Series into points: which series measure what, and whose. Pure.

use super::known::Known;
use super::series::{FloatSample, SeriesOf, Since};
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
pub(crate) const METRIC: &str = "__name__";
/// Points may be so far ahead of the clock, in seconds.
const AHEAD_S_MAX: i64 = 600;
/// A request of which about so many points would be made is too large.
pub(super) const POINTS_MAX: usize = 100_000;

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
    /// Metrics that no rule names and that came for the first time.
    pub(crate) left_out_metrics: Vec<String>,
    /// Samples of series beyond the bound.
    pub(crate) beyond: u64,
    /// Samples of replicas of which another is taken.
    pub(crate) spare: u64,
    /// Series of theirs that the other does not send.
    pub(crate) differing: u64,
    /// Samples that cannot be.
    pub(crate) refused: u64,
    /// Why the first of them, or its series, was refused.
    pub(crate) why: Option<String>,
}

/// A series that rules mean.
struct Identified<'m, 'a> {
    metric: &'a str,
    rules: Vec<&'m Rule>,
    workload: WorkloadId,
    id: u128,
}

/// Why nothing becomes of a series.
enum Unmeant<'a> {
    ByNoRule { metric: &'a str },
    Refused(String),
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

    /// Whether any rule is of this metric.
    pub(crate) fn asks_for(&self, metric: &str) -> bool {
        self.by_metric.contains_key(metric)
    }

    /// Adds to `read` what a series that came at `now` comes to.
    pub(crate) fn take(&self, series: &SeriesOf<'_>, known: &mut Known, now: EventTime, read: &mut Read) {
        let latest_ms = now.plus_s(AHEAD_S_MAX).as_ms();
        let count = series.samples.len() as u64;
        let Identified { metric, rules, workload, id } = match self.identified(series) {
            Ok(identified) => identified,
            Err(Unmeant::ByNoRule { metric }) if self.asks_for(metric) => {
                read.left_out += count;
                return;
            }
            Err(Unmeant::ByNoRule { metric }) => return read.leave_out(metric, count, known),
            Err(Unmeant::Refused(why)) => return read.refuse(count, || why),
        };
        if !known.admit(id, &series.samples, latest_ms) {
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
            if let Since::Delta { start_ms } = sample.since
                && let Some(why) = of_delta(&rules, sample.at_ms, start_ms)
            {
                read.refuse(1, || format!("a sample of {metric} {why}"));
                continue;
            }
            read.samples += 1;
            let zeros = self.zeros(id, sample, known);
            for rule in &rules {
                let zeros = zeros.iter().filter(|_| rule.is_total).flatten();
                let samples = zeros.map(|at_ms| FloatSample::new(*at_ms, 0.0)).chain([*sample]);
                read.points.extend(samples.map(|sample| self.point(rule, &workload, &series_id, sample)));
            }
        }
    }

    /// Whether rules mean a series, and it names its workload.
    pub(crate) fn means(&self, series: &SeriesOf<'_>) -> bool {
        self.identified(series).is_ok()
    }

    /// Whether a series would be taken, and is none of those that are known.
    pub(crate) fn is_new(&self, series: &SeriesOf<'_>, known: &Known) -> bool {
        self.identified(series).is_ok_and(|identified| !known.has(identified.id))
    }

    /// What a series is, by its labels.
    fn identified<'a>(&self, series: &SeriesOf<'a>) -> Result<Identified<'_, 'a>, Unmeant<'a>> {
        let mut labels = series.labels.clone();
        labels.sort_unstable();
        let value = |name: &str| labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value);
        let Some(metric) = value(METRIC).filter(|metric| !metric.is_empty()) else {
            return Err(Unmeant::Refused(format!("a series has no {METRIC}")));
        };
        if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Unmeant::Refused(format!("a series of {metric} has label {:?} twice", twice[0].0)));
        }
        let numbers = self.by_metric.get(metric).map(Vec::as_slice).unwrap_or_default();
        let rules = numbers.iter().filter_map(|number| self.preset.pushed.get(*number));
        let rules: Vec<&Rule> = rules.filter(|rule| rule.holds(value)).collect();
        if rules.is_empty() {
            return Err(Unmeant::ByNoRule { metric });
        }
        let named = match self.preset.workload.filled(value) {
            Err(_) if self.preset.leaves_out_nameless => return Err(Unmeant::ByNoRule { metric }),
            named => named.map_err(|label| format!("it has no label {label}")),
        };
        let workload = named.and_then(|name| WorkloadId::new(&name).map_err(|error| error.to_string()));
        let workload =
            workload.map_err(|why| Unmeant::Refused(format!("a series of {metric} names no workload: {why}")))?;
        Ok(Identified { metric, rules, workload, id: id_of(&labels) })
    }

    /// Where a running total must be read as zero, so that its growth is what the sender says: a total grows by what is
    /// above the reading before it, and by all of it where it is below that.
    ///
    /// A delta is a total that began at zero with it, and a total that began anew did so, too, also where it is above the
    /// last reading by now. (The first start that is heard of tells nothing: some senders give the instant of their own
    /// first reading.) Of the bin in which it is read, the total is zero at the beginning, too: where the reading at its
    /// own beginning comes too late, this one does not, and behind it this one adds nothing.
    fn zeros(&self, id: u128, sample: &FloatSample, known: &Known) -> [Option<i64>; 2] {
        let FloatSample { at_ms, value, since } = *sample;
        let start_ms = match since {
            Since::Delta { start_ms } => start_ms,
            Since::Total { start_ms } if known.is_first_since_restart(id, at_ms, start_ms) => start_ms,
            Since::Unsaid | Since::Total { .. } => return [None; 2],
        };
        let step_ms = i64::from(self.step_s) * 1000;
        let beginning_ms = (start_ms + 1).max(at_ms - 2 * step_ms);
        let bin_ms = at_ms - at_ms.rem_euclid(step_ms);
        if value.is_nan() {
            return [None; 2];
        }
        let is_between = beginning_ms < bin_ms && bin_ms < at_ms;
        [(beginning_ms < at_ms).then_some(beginning_ms), is_between.then_some(bin_ms)]
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

/// Why a delta cannot be used, if it cannot.
fn of_delta(rules: &[&Rule], at_ms: i64, start_ms: i64) -> Option<&'static str> {
    if rules.iter().any(|rule| !rule.is_total && !rule.counts_series()) {
        return Some("is a delta, and its level is wanted: send it with cumulative temporality");
    }
    (start_ms <= 0 || at_ms - start_ms < 2).then_some("is a delta and does not begin before it ends")
}

impl Read {
    /// Whether so many samples more are no more than one request may have.
    pub(crate) fn has_room_for(&self, samples: usize) -> bool {
        self.points.len() + samples <= POINTS_MAX
    }

    /// Counts samples of a metric that no rule names.
    pub(crate) fn leave_out(&mut self, metric: &str, samples: u64, known: &mut Known) {
        self.left_out += samples;
        if samples > 0 && known.is_first_left_out(metric) {
            self.left_out_metrics.push(metric.to_owned());
        }
    }

    /// Counts samples that cannot be.
    pub(crate) fn refuse(&mut self, samples: u64, why: impl FnOnce() -> String) {
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
    use super::*;
    use crate::prometheus::preset::parsed;
    use prescale_domain::kpi::CPU_CORES_USED;
    use prescale_domain::stream::assembly::{Assembly, AssemblySettings};
    use proptest::prelude::*;

    /// What ends a series.
    const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

    fn mapping() -> Mapping {
        let preset = parsed(
            "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.cpu_cores_used]\nquery = \"q\"\n\
             [[series.cpu_cores_used]]\nmetric = \"cpu\"\nwithout = { mode = [\"idle\"] }\ntotal = true\n\
             [[series.\"capacity.cpu_cores\"]]\nmetric = \"cpu\"\nonly = { mode = [\"idle\"] }\ncounts_as = 1.0\n\
             [[series.memory_bytes]]\nmetric = \"memory\"\n",
        );
        Mapping::new(preset, SourceName::new("remote-write:test").unwrap(), 60)
    }

    fn series<'a>(labels: &[(&'a str, &'a str)], samples: &[(i64, f64)]) -> SeriesOf<'a> {
        let samples = samples.iter().map(|(at_ms, value)| FloatSample::new(*at_ms, *value)).collect();
        SeriesOf { labels: labels.to_vec(), samples }
    }

    fn read(all: &[SeriesOf<'_>], series_max: usize) -> Read {
        let (mut known, mut read) = (Known::new(series_max), Read::default());
        all.iter().for_each(|series| mapping().take(series, &mut known, EventTime::from_s(1000), &mut read));
        read
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
    fn metrics_that_no_rule_names_are_told_once() {
        let (mapping, mut known) = (mapping(), Known::new(9));
        let mut told = |labels: &[(&str, &str)]| {
            let mut read = Read::default();
            mapping.take(&series(labels, &[(1000, 1.0)]), &mut known, EventTime::from_s(1000), &mut read);
            assert_eq!(read.left_out, 1);
            read.left_out_metrics
        };
        assert_eq!(told(&[("__name__", "other"), ("vm", "a")]), ["other"]);
        assert_eq!(told(&[("__name__", "other"), ("vm", "b")]), [""; 0]);
        assert_eq!(told(&[("__name__", "more")]), ["more"]);
    }

    #[test]
    fn what_cannot_be_is_refused_and_the_rest_is_read() {
        fn cpu<'a>(labels: &[(&'a str, &'a str)], samples: &[(i64, f64)]) -> SeriesOf<'a> {
            let all: Vec<_> = [("__name__", "cpu")].into_iter().chain(labels.iter().copied()).collect();
            series(&all, samples)
        }
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
    fn series_of_no_workload_are_left_out_where_the_preset_says_so() {
        let preset = parsed(
            "about = \"\"\nworkload = \"{vm}\"\nleaves_out_nameless = true\nplatform = \"openstack\"\n[kpis.memory_bytes]\n\
             query = \"q\"\n[[series.memory_bytes]]\nmetric = \"memory\"\n",
        );
        let mapping = Mapping::new(preset, SourceName::new("remote-write:test").unwrap(), 60);
        let (mut known, mut read) = (Known::new(9), Read::default());
        let mut take = |labels: &[(&str, &str)]| {
            mapping.take(&series(labels, &[(1000, 1.0)]), &mut known, EventTime::from_s(1000), &mut read);
        };
        take(&[("__name__", "memory"), ("vm", "a")]);
        take(&[("__name__", "memory"), ("pod", "static")]);
        take(&[("pod", "static")]);
        assert_eq!((read.samples, read.left_out, read.refused), (1, 1, 1), "a series is to have a metric anyway");
        assert_eq!(read.left_out_metrics, [""; 0], "its metric is wanted");
    }

    #[test]
    fn series_beyond_the_bound_are_told_and_those_known_go_on() {
        fn of(vm: &str, at_ms: i64) -> SeriesOf<'_> {
            series(&[("__name__", "cpu"), ("vm", vm)], &[(at_ms, 1.0)])
        }
        let read = read(&[of("a", 1000), of("b", 1000), of("c", 1000), of("a", 2000)], 2);
        assert_eq!((read.samples, read.beyond), (3, 1));
    }

    fn since(at_ms: i64, value: f64, since: Since) -> SeriesOf<'static> {
        let labels = vec![("__name__", "cpu"), ("vm", "a"), ("mode", "user")];
        SeriesOf { labels, samples: vec![FloatSample { since, ..FloatSample::new(at_ms, value) }] }
    }

    /// The numbers of the samples that are made of series which come one after another.
    fn rates(all: &[SeriesOf<'_>]) -> Vec<f64> {
        let settings = AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 };
        let (mapping, mut known, mut assembly, mut made) = (mapping(), Known::new(9), Assembly::default(), Vec::new());
        for series in all {
            let mut read = Read::default();
            mapping.take(series, &mut known, EventTime::from_s(100_000), &mut read);
            assert_eq!((read.samples, read.why), (1, None));
            read.points.sort_by_key(|point| point.at);
            for point in &read.points {
                assembly.offer(&settings, point, &mut made);
            }
        }
        made.iter().filter_map(|sample| sample.kpis.iter().find_map(|kpi| kpi.value)).collect()
    }

    proptest! {
        /// From the second bin on: the first reading of a total tells no growth, a delta does.
        #[test]
        fn a_delta_and_its_total_give_the_same_rate(
            grown in prop::collection::vec(0.0..100.0f64, 30..60),
            every_s in 5..60_i64,
            begin_s in 0..60_i64,
        ) {
            let every_ms = 1_000 * every_s;
            let (mut at_ms, mut total) = (1_000 * (6_000 + begin_s), 0.0);
            let mut deltas = Vec::new();
            let mut totals = vec![since(at_ms, total, Since::Total { start_ms: 1 })];
            for by in grown {
                total += by;
                deltas.push(since(at_ms + every_ms, by, Since::Delta { start_ms: at_ms }));
                totals.push(since(at_ms + every_ms, total, Since::Total { start_ms: 1 }));
                at_ms += every_ms;
            }
            let (deltas, totals) = (rates(&deltas), rates(&totals));
            let compared = deltas.len().min(totals.len());
            prop_assert!(compared > 0);
            for (of_delta, of_total) in deltas.iter().rev().zip(totals.iter().rev()).take(compared - 1) {
                prop_assert!((of_delta - of_total).abs() <= 1e-3 * (1.0 + of_total), "{deltas:?} {totals:?}");
            }
        }
    }

    #[test]
    fn a_total_that_began_anew_above_its_last_reading_grew_by_all_of_it() {
        let total =
            |at_s: i64, value: f64, start_s: i64| since(at_s * 1000, value, Since::Total { start_ms: start_s * 1000 });
        let all =
            [total(6_000, 50.0, 1), total(6_030, 60.0, 1), total(6_090, 120.0, 6_040), total(6_290, 130.0, 6_040)];
        let rates = rates(&all);
        // Up to where it began anew 10 in 40 s, and then 120 in 50 s.
        assert!((rates[0] - 10.0 / 40.0).abs() < 1e-3 && (rates[1] - 120.0 / 50.0).abs() < 1e-3, "{rates:?}");
    }

    #[test]
    fn deltas_that_cannot_be_are_refused() {
        let delta = |value: f64, at_ms: i64, start_ms: i64| since(at_ms, value, Since::Delta { start_ms });
        let mut level = delta(1.0, 2000, 1000);
        level.labels[0].1 = "memory";
        let mut counted = delta(1.0, 2000, 1000);
        counted.labels[2].1 = "idle";
        let all = [delta(1.0, 2000, 0), delta(1.0, 2000, 2000), delta(-1.0, 2000, 1000), level, counted];
        let read = read(&all, 9);
        assert_eq!(
            (read.samples, read.refused, read.points.len()),
            (1, 4, 1),
            "where series are counted it makes no difference"
        );
    }
}
