//! `prescale preview`: what would be read from a Prometheus, before anything is.

use super::args::PreviewArgs;
use super::common::Format;
use super::{Failure, quietly, say};
use crate::pretty_json;
use crate::services::SERVICES;
use crate::settings::Settings;
use anyhow::anyhow;
use prescale_collector::prometheus::preview::{KpiPreview, Preview, preview};
use std::fmt::Write;
use std::path::Path;

pub(super) fn run(config: Option<&Path>, args: &PreviewArgs) -> Result<(), Failure> {
    let mut settings = Settings::load(&SERVICES, config).map_err(|e| Failure::Usage(e.into()))?;
    let asked = &mut settings.collector.prometheus;
    if let Some(url) = &args.prometheus {
        asked.url.clone_from(url);
    }
    if let Some(preset) = &args.preset {
        asked.preset.clone_from(preset);
    }
    asked.kpis.extend(args.kpis.iter().cloned());
    if !asked.is_enabled() {
        return Err(Failure::Usage(anyhow!("give --prometheus URL, or [collector.prometheus] url")));
    }
    settings.check(&SERVICES).map_err(Failure::Usage)?;
    let settings = quietly(settings)?;
    let found = preview(&settings.collector.prometheus)?;
    match args.format {
        Format::Json => say(&pretty_json(&found)?),
        Format::Text => say(&text(&found)),
    }
}

fn text(found: &Preview) -> String {
    let mut text = format!("{}, as preset {} reads it:\n", found.source, found.preset);
    let names = found.examples.join(", ");
    let more = if found.workloads > found.examples.len() { ", ..." } else { "" };
    let mut line = |label: &str, what: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {label:<10} {what}");
    };
    line("workloads", format!("{} in the last hour: {names}{more}", found.workloads));
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
    use prescale_collector::prometheus::preview::Finding;

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
        found.findings.push(Finding { what: "no series".to_owned(), remedy: "scrape it".to_owned() });
        assert!(text(&found).contains("- no series\n    scrape it\n"));
    }
}
