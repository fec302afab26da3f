//! `prescale preview`: what would be read from a Prometheus, a trace, a topic of others or what is pushed, before anything
//! is.

use super::args::PreviewArgs;
use super::common::{Format, map_and_limit};
use super::{Failure, quietly, say};
use crate::pretty_json;
use crate::services::SERVICES;
use crate::settings::Settings;
use anyhow::{Context as _, Result, anyhow, bail};
use prescale_bus::{CaughtUp, ReadFrom};
use prescale_chassis::{HealthRegistry, open_bus, with_registry};
use prescale_collector::preview::{KpiPreview, Preview};
use prescale_collector::prometheus::preview::preview;
use prescale_collector::pushed::Pushed;
use prescale_collector::replay::preview::of_trace;
use prescale_collector::topic_preview::of_topic;
use prescale_contracts::{Contract, topics};
use prescale_domain::point::Point;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);

pub(super) fn run(config: Option<&Path>, args: &PreviewArgs) -> Result<(), Failure> {
    let mut settings = Settings::load(&SERVICES, config).map_err(|e| Failure::Usage(e.into()))?;
    let collector = &mut settings.collector;
    let asked = &mut collector.prometheus;
    if let Some(url) = &args.prometheus {
        asked.url.clone_from(url);
    }
    if let Some(preset) = args.preset.as_ref().filter(|_| !args.pushed) {
        asked.preset.clone_from(preset);
    }
    asked.kpis.extend(args.kpis.iter().cloned());
    if let Some(file) = &args.replay {
        collector.replay.file.clone_from(file);
    }
    map_and_limit(&mut collector.replay, args.map.as_deref(), args.from.as_deref(), args.to.as_deref())
        .map_err(Failure::Usage)?;
    let is_named = args.pushed || args.kafka_topic.is_some();
    let is_trace = args.replay.is_some() || (!is_named && !asked.is_enabled() && collector.replay.is_enabled());
    if !is_named && !is_trace && !asked.is_enabled() {
        return Err(Failure::Usage(anyhow!(
            "give --prometheus URL, --replay FILE, --kafka-topic NAME or --pushed, or [collector.prometheus] url"
        )));
    }
    settings.check(&SERVICES).map_err(Failure::Usage)?;
    let settings = quietly(settings)?;
    if args.pushed {
        let found = pushed(&settings, args.preset.as_deref())?;
        return match args.format {
            Format::Json => say(&pretty_json(&found)?),
            Format::Text => say(&found.iter().map(text).collect::<Vec<_>>().join("\n")),
        };
    }
    let found = match &args.kafka_topic {
        Some(name) => of_topic(name, &settings.collector, &settings.bus.kafka, settings.assembler.settings()?)?,
        None if is_trace => of_trace(&settings.collector.replay)?,
        None => preview(&settings.collector.prometheus)?,
    };
    match args.format {
        Format::Json => say(&pretty_json(&found)?),
        Format::Text => say(&text(&found)),
    }
}

/// What lies on the topic of points, by source.
fn pushed(settings: &Settings, preset: Option<&str>) -> Result<Vec<Preview>> {
    let registry = &settings.schema_registry;
    let stop = CancellationToken::new();
    let bus = with_registry(open_bus(&settings.bus)?, &settings.bus, registry, &HealthRegistry::default(), &stop)?;
    let topic = topics::RAW_POINTS;
    let mut reader = bus.reader(topic, ReadFrom::Earliest).with_context(|| {
        format!("cannot read topic {topic:?}: has anything been pushed? Switch a receiver on, such as [collector.remote_write]")
    })?;
    let mut points = Pushed::new(settings.assembler.settings()?);
    loop {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
        for record in &records {
            // What cannot be decoded goes to the dead letters when it is read.
            if let Some(point) = record.value.as_deref().and_then(|value| Point::decode(value).ok()) {
                points.take(record.partition, &point);
            }
        }
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    let found = points.told(preset, &settings.collector)?;
    if found.is_empty() {
        bail!("nothing lies on topic {topic:?}: what is pushed is kept for a day; look at what the senders say");
    }
    Ok(found)
}

fn text(found: &Preview) -> String {
    let mut text = match found.preset.as_str() {
        "" => format!("{}:\n", found.source),
        preset => format!("{}, as preset {preset} reads it:\n", found.source),
    };
    let names = found.examples.join(", ");
    let more = if found.workloads > found.examples.len() { ", ..." } else { "" };
    let mut line = |label: &str, what: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {label:<10} {what}");
    };
    line("workloads", format!("{} in {}: {names}{more}", found.workloads, found.looked_at));
    line("capacity", format!("known for {}", found.workloads_with_capacity));
    line("history", found.history_from.as_ref().map_or("none".to_owned(), |from| format!("since {from} at least")));
    text += "\n  KPI                             workloads  present       least        mean    greatest  unit\n";
    for KpiPreview { name, unit, workloads, present_share, values, .. } in &found.kpis {
        let percent = present_share * 100.0;
        let values = match values {
            Some([least, mean, greatest]) => {
                format!("{:>11} {:>11} {:>11}", short(*least), short(*mean), short(*greatest))
            }
            None => format!("{:>11} {:>11} {:>11}", "-", "-", "-"),
        };
        let _ = writeln!(text, "  {name:<32} {workloads:>8}  {percent:>5.0} % {values}  {unit}");
    }
    if found.findings.is_empty() {
        text += "\nNothing looks wrong.\n";
        return text;
    }
    text += "\nWhat looks wrong:\n";
    for finding in &found.findings {
        let _ = writeln!(text, "- {}\n    {}", finding.what, finding.remedy);
    }
    text
}

/// A number in three or four digits.
fn short(value: f64) -> String {
    if value == 0.0 || (0.01..10_000.0).contains(&value.abs()) { format!("{value:.3}") } else { format!("{value:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_collector::preview::Finding;

    #[test]
    fn a_preview_is_a_page() {
        let kpi = |name: &str, values| KpiPreview {
            name: name.to_owned(),
            unit: "cores".to_owned(),
            workloads: 2,
            series_max: 1,
            present_share: 0.98,
            values,
        };
        let mut found = Preview {
            source: "prometheus:main".to_owned(),
            preset: "node".to_owned(),
            looked_at: "the last hour".to_owned(),
            workloads: 2,
            examples: vec!["a:9100".to_owned()],
            workloads_with_capacity: 1,
            history_from: None,
            kpis: vec![kpi("cpu_cores_used", Some([0.0, 1.5, 12345.0])), kpi("memory_bytes", None)],
            findings: Vec::new(),
        };
        let page = text(&found);
        assert!(page.contains("2 in the last hour: a:9100, ...\n") && page.contains("Nothing looks wrong"), "{page}");
        assert!(page.contains("98 %       0.000       1.500      1.23e4  cores\n"), "{page}");
        assert!(page.starts_with("prometheus:main, as preset node reads it:\n"), "{page}");
        found.preset.clear();
        assert!(text(&found).starts_with("prometheus:main:\n"));
        found.findings.push(Finding { what: "no series".to_owned(), remedy: "scrape it".to_owned() });
        assert!(text(&found).contains("- no series\n    scrape it\n"));
    }
}
