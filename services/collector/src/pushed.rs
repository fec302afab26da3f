//! What the points that were pushed would be read as: samples are made of them as the assembler makes them.

use crate::config::Config;
use crate::preview::{Preview, Samples, finding};
use crate::prometheus::preset::Preset;
use anyhow::Result;
use prescale_contracts::rfc3339;
use prescale_domain::point::Point;
use prescale_domain::source::SourceName;
use prescale_domain::stream::assembly::{Assembly, AssemblySettings, Taken};
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};

/// Where a preset of pushed series is named that no section of an input names.
const SECTION: &str = "collector.remote_write";

/// Points that were pushed, as samples are made of them.
pub struct Pushed {
    settings: AssemblySettings,
    sources: BTreeMap<SourceName, OfSource>,
}

/// Those of one source.
#[derive(Default)]
struct OfSource {
    /// By partition, as the stage has them: each has a clock of its own.
    assemblies: BTreeMap<u32, Assembly>,
    samples: Samples,
    points: u64,
    late: u64,
    ahead: u64,
    measured: BTreeSet<String>,
    /// What series of a workload measure the same, by their names.
    series: BTreeMap<(String, String), BTreeSet<String>>,
    first: Option<EventTime>,
}

impl Pushed {
    /// With these settings of the assembler.
    pub fn new(settings: AssemblySettings) -> Self {
        Self { settings, sources: BTreeMap::new() }
    }

    /// Takes a point of a partition, in the order of the log.
    pub fn take(&mut self, partition: u32, point: &Point) {
        let of = self.sources.entry(point.source.clone()).or_default();
        let mut made = Vec::new();
        match of.assemblies.entry(partition).or_default().offer(&self.settings, point, &mut made) {
            Taken::Late => of.late += 1,
            Taken::FromTheFuture => of.ahead += 1,
            Taken::Kept | Taken::Duplicate | Taken::Passed => {}
        }
        made.iter().for_each(|sample| of.samples.take(sample));
        of.points += 1;
        of.first = Some(of.first.map_or(point.at, |first| first.min(point.at)));
        let measured = point.measured.name().to_owned();
        of.series.entry((measured.clone(), point.workload.to_string())).or_default().insert(point.series.to_string());
        of.measured.insert(measured);
    }

    /// What each source's points come to, for the preset that is named, or else that of the input which is configured to
    /// write them, which says what is to be pushed.
    ///
    /// # Errors
    /// When there is no such preset.
    pub fn told(self, preset: Option<&str>, config: &Config) -> Result<Vec<Preview>> {
        let told = |(source, of): (SourceName, OfSource)| -> Result<Preview> {
            let preset = preset.or_else(|| config.preset_of_pushed(&source)).unwrap_or_default();
            let rules = if preset.is_empty() { Vec::new() } else { Preset::load(SECTION, preset)?.pushed };
            let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for rule in &rules {
                wanted.entry(rule.measured.name()).or_default().push(&rule.metric);
            }
            Ok(of.told(&source, preset, &wanted))
        };
        self.sources.into_iter().map(told).collect()
    }
}

impl OfSource {
    fn told(self, source: &SourceName, preset: &str, wanted: &BTreeMap<&str, Vec<&str>>) -> Preview {
        let looked_at = format!("{} points on the log", self.points);
        let mut preview = self.samples.told(source.as_str(), looked_at);
        preset.clone_into(&mut preview.preset);
        preview.history_from = self.first.map(rfc3339);
        for kpi in &mut preview.kpis {
            let of_kpi = self.series.iter().filter(|((measured, _), _)| *measured == kpi.name);
            kpi.series_max = of_kpi.map(|(_, series)| series.len() as u32).max().unwrap_or(1);
        }
        for (name, metrics) in wanted.iter().filter(|(name, _)| !self.measured.contains(**name)) {
            preview.findings.push(finding(
                format!("{name}: no points"),
                format!("is it sent? The preset takes it from: {}", metrics.join(", ")),
            ));
        }
        if self.samples.count() == 0 {
            preview.findings.push(finding(
                format!("of {} points no sample was made yet", self.points),
                "a step's sample is made when newer points come: ask again a few minutes later".to_owned(),
            ));
        }
        if self.late > 0 {
            preview.findings.push(finding(
                format!("{} of {} points came too late", self.late, self.points),
                "raise [assembler] lateness_s, or give senders that lag a name or a tenant of their own".to_owned(),
            ));
        }
        if self.ahead > 0 {
            preview.findings.push(finding(
                format!("{} of {} points are far ahead of all others", self.ahead, self.points),
                "check the senders' clocks".to_owned(),
            ));
        }
        preview
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{InfluxConfig, KafkaTopicConfig};
    use prescale_domain::kpi::KpiKind;
    use prescale_domain::point::{AddUp, Measured};
    use prescale_domain::sample::Platform;
    use prescale_domain::workload::WorkloadId;

    fn whats(preview: &Preview) -> Vec<&str> {
        preview.findings.iter().map(|finding| finding.what.as_str()).collect()
    }

    /// The points of workload `web`: at each minute `values` of as many series.
    fn points(values: &[(&str, Option<f64>)]) -> Vec<Point> {
        let point = |minute: i64, nth: usize, measured: &str, value: Option<f64>| Point {
            workload: WorkloadId::new("web").unwrap(),
            source: SourceName::new("remote-write:main").unwrap(),
            at: EventTime::from_s(1_700_000_040 + 60 * minute),
            step_s: 60,
            series: format!("{nth}").into(),
            measured: Measured::of_name(measured.into()),
            kind: KpiKind::Gauge,
            unit: "By".into(),
            is_total: false,
            add_up: AddUp::Sum,
            value,
            platform: Platform::OBSERVED_ONLY,
        };
        let of = |minute| {
            let all = values.iter().enumerate();
            all.map(move |(nth, (measured, value))| point(minute, nth, measured, *value)).collect::<Vec<_>>()
        };
        (0..10).flat_map(of).collect()
    }

    #[test]
    fn pushed_points_are_told_by_source_with_what_is_missing_and_late() {
        let settings = AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 };
        let mut pushed = Pushed::new(settings);
        let points = points(&[("memory_bytes", Some(1e9)), ("memory_bytes", Some(2e9))]);
        let late = Point { series: "late".into(), ..points[0].clone() };
        points.iter().chain([&late]).for_each(|point| pushed.take(0, point));
        let told = pushed.told(Some("node"), &Config::default()).unwrap();
        let [preview] = &told[..] else { panic!("{told:?}") };
        assert_eq!(
            (preview.source.as_str(), preview.preset.as_str(), preview.workloads),
            ("remote-write:main", "node", 1)
        );
        assert_eq!((preview.kpis[0].series_max, preview.kpis[0].values), (3, Some([3e9, 3e9, 3e9])));
        let whats = whats(preview);
        for what in ["cpu_cores_used: no points", "capacity.memory_bytes: no points", "1 of 21 points came too late"] {
            assert!(whats.contains(&what), "{whats:?}");
        }
        assert!(!whats.contains(&"memory_bytes: no points"), "{whats:?}");
        let cpu = preview.findings.iter().find(|finding| finding.what == "cpu_cores_used: no points").unwrap();
        assert!(cpu.remedy.contains("node_cpu_seconds_total"), "{cpu:?}");
        let mut pushed = Pushed::new(settings);
        pushed.take(0, &late);
        assert!(pushed.told(Some("nodes"), &Config::default()).is_err());
    }

    #[test]
    fn what_lies_on_another_partition_is_not_late_by_this_ones() {
        let settings = AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 };
        let points = points(&[("memory_bytes", Some(1e9))]);
        let whats_of = |partition_of: fn(usize) -> u32| {
            let mut pushed = Pushed::new(settings);
            for (turn, name) in ["web", "db"].into_iter().enumerate() {
                let of = |point: &Point| Point { workload: WorkloadId::new(name).unwrap(), ..point.clone() };
                points.iter().for_each(|point| pushed.take(partition_of(turn), &of(point)));
            }
            let told = pushed.told(Some("node"), &Config::default()).unwrap();
            told.iter().flat_map(whats).map(str::to_owned).collect::<Vec<_>>()
        };
        let is_late = |what: &String| what.contains("came too late");
        assert!(whats_of(|_| 0).iter().any(is_late), "one partition has them by their instants");
        assert!(!whats_of(|turn| turn as u32).iter().any(is_late));
        let mut pushed = Pushed::new(settings);
        pushed.take(0, &points[0]);
        let told = pushed.told(Some("node"), &Config::default()).unwrap();
        assert!(whats(&told[0]).contains(&"of 1 points no sample was made yet"), "{told:?}");
    }

    #[test]
    fn each_source_is_held_against_the_preset_of_its_input() {
        let influx =
            InfluxConfig { listen: "127.0.0.1:0".to_owned(), tenant: "shop".to_owned(), ..InfluxConfig::default() };
        let topic = KafkaTopicConfig { preset: "otel-host".to_owned(), ..KafkaTopicConfig::default() };
        let kafka_topics = BTreeMap::from([("theirs".to_owned(), topic)]);
        let config = Config { influx, kafka_topics, ..Config::default() };
        let mut pushed = Pushed::new(AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 });
        let point = points(&[("memory_bytes", Some(1e9))]).remove(0);
        for source in ["influx:main/shop", "kafka-topic:theirs", "remote-write:main"] {
            pushed.take(0, &Point { source: SourceName::new(source).unwrap(), ..point.clone() });
        }
        let told = pushed.told(None, &config).unwrap();
        let presets: Vec<&str> = told.iter().map(|preview| preview.preset.as_str()).collect();
        assert_eq!(presets, ["telegraf", "otel-host", ""], "remote write is off");
    }
}
