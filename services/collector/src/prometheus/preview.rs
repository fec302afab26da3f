//! What would be read from a Prometheus, before anything is: see [`crate::preview`].

use super::Asked;
use super::api::{Instants, QueryError};
use super::preset::Column;
use super::table::{Cells, Table};
use crate::clock;
use crate::config::PrometheusConfig;
use crate::preview::{COUNTER_VALUES_MIN, EXCESS, Finding, KpiPreview, Preview, SHOWN_MAX, finding};
use anyhow::Result;
use prescale_contracts::rfc3339;
use prescale_domain::kpi::{self, KpiKind};
use prescale_domain::point::Measured;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;

/// What is looked at: so many seconds until now.
const LOOKED_AT_S: u32 = 3600;
/// How closely the beginning of the history is looked for, in seconds.
const HISTORY_LOOK_S: u32 = 3600;
/// So much less closely where that is more than the server allows.
const HISTORY_LOOK_GROWTH: u32 = 4;

/// Asks the server for the last hour, and how far back it goes.
///
/// # Errors
/// When the configuration cannot be used, or the server does not answer all of it.
pub fn preview(config: &PrometheusConfig) -> Result<Preview> {
    let asked = Asked::new(config)?;
    let now = clock::now().plus_s(-i64::from(config.delay_s));
    let until = EventTime::of_bin(now.bin(config.step_s), config.step_s);
    let count = (LOOKED_AT_S / config.step_s).max(2);
    let back_ms = i64::from(count - 1) * i64::from(config.step_s) * 1000;
    let last_hour = Instants { first_ms: until.as_ms() - back_ms, step_s: config.step_s, count };
    let table = asked.table(last_hour)?;
    let columns = &asked.preset.columns;
    let measured = columns.iter().enumerate().find(|(number, _)| table.column(*number).next().is_some());
    let history_from = match measured.map(|(_, column)| column).or(columns.first()) {
        Some(column) => history_from(&asked, column, config, until)?.map(rfc3339),
        None => None,
    };
    Ok(told((&asked.source, config), columns, &table, history_from))
}

/// The oldest instant of the history that has a value of a column: to the hour, or as closely as the server allows.
fn history_from(
    asked: &Asked,
    column: &Column,
    config: &PrometheusConfig,
    until: EventTime,
) -> Result<Option<EventTime>, QueryError> {
    let counted = format!("count({})", column.query(config.rate_window_s.max(config.history_step_s)));
    let mut step_s = HISTORY_LOOK_S;
    loop {
        let count = config.history_s / step_s + 1;
        let back_ms = i64::from(count - 1) * i64::from(step_s) * 1000;
        let series = match asked.api.range(&counted, Instants { first_ms: until.as_ms() - back_ms, step_s, count }) {
            Err(QueryError::TooMuch(_)) if count > 2 => {
                step_s *= HISTORY_LOOK_GROWTH;
                continue;
            }
            Err(QueryError::Refused(_)) => return Ok(None),
            answer => answer?,
        };
        return Ok(series.iter().filter_map(|s| s.points.first()).map(|(at_ms, _)| EventTime::from_ms(*at_ms)).min());
    }
}

fn told(
    (source, config): (&SourceName, &PrometheusConfig),
    columns: &[Column],
    table: &Table<'_>,
    history_from: Option<String>,
) -> Preview {
    let workloads = table.workloads().len();
    let workloads_with_capacity = table.capacities().filter(Option::is_some).count();
    let mut preview = Preview {
        source: source.to_string(),
        preset: config.preset.clone(),
        looked_at: "the last hour".to_owned(),
        workloads,
        examples: table.workloads().take(SHOWN_MAX).map(ToString::to_string).collect(),
        workloads_with_capacity,
        history_from,
        kpis: Vec::new(),
        findings: Vec::new(),
    };
    for (number, column) in columns.iter().enumerate() {
        if let Measured::Kpi(name) = &column.measured {
            let kpi = kpi_preview((name.as_str(), column.unit), table, number);
            preview.findings.extend(findings(column, &kpi, table, number));
            preview.kpis.push(kpi);
        }
        preview.findings.extend(added_up(column, table, number));
    }
    preview.findings.extend(of_the_whole(config, &preview, table));
    preview.findings.extend(excess(columns, table));
    preview
}

fn kpi_preview((name, unit): (&str, &str), table: &Table<'_>, number: usize) -> KpiPreview {
    let (mut workloads, mut series_max, mut present, mut places) = (0, 0, 0, 0);
    let (mut least, mut sum, mut greatest) = (f64::INFINITY, 0.0, f64::NEG_INFINITY);
    for (_, cells) in table.column(number) {
        workloads += 1;
        series_max = series_max.max(cells.series);
        places += cells.places();
        for value in table.values(number, cells) {
            present += 1;
            (least, sum, greatest) = (least.min(value), sum + value, greatest.max(value));
        }
    }
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    KpiPreview {
        name: name.to_owned(),
        unit: unit.to_owned(),
        workloads,
        series_max,
        present_share: share(present, places),
        values: (present > 0).then(|| [least, sum / present as f64, greatest]),
    }
}

fn findings(column: &Column, kpi: &KpiPreview, table: &Table<'_>, number: usize) -> Vec<Finding> {
    let name = &kpi.name;
    let mut found = Vec::new();
    if table.is_refused(number) {
        return found;
    }
    if kpi.workloads == 0 && column.is_optional {
        return found;
    }
    if kpi.workloads == 0 {
        found.push(finding(
            format!("{name}: no series"),
            format!("is what exports it scraped? The preset asks for: {}", metrics_in(&column.query(LOOKED_AT_S))),
        ));
        return found;
    }
    if kpi.present_share < 0.5 {
        let percent = kpi.present_share * 100.0;
        found.push(finding(
            format!("{name}: {percent:.0} % of the instants have a value"),
            "raise step_s, or rate_window_s to at least twice the scrape interval".to_owned(),
        ));
    }
    let only_grows = |values: Vec<f64>| {
        values.len() >= COUNTER_VALUES_MIN
            && values.windows(2).all(|pair| pair[0] <= pair[1])
            && values.first() < values.last()
    };
    let growing = table.column(number).filter(|(_, cells)| only_grows(table.values(number, cells).collect())).count();
    if column.kind != KpiKind::Counter && 10 * growing >= 9 * kpi.workloads {
        found.push(finding(
            format!("{name}: the values of {growing} of {} workloads only ever grow: a counter?", kpi.workloads),
            "ask for its rate: rate(...[$window])".to_owned(),
        ));
    }
    found
}

/// Series that are added up although nobody said that they are parts of one thing.
fn added_up(column: &Column, table: &Table<'_>, number: usize) -> Option<Finding> {
    let most = table.column(number).map(|(_, cells)| cells.series_at_once()).max().unwrap_or(0);
    (most > 1 && !column.says_add_up).then(|| {
        finding(
            format!("{}: up to {most} series of one workload are added up", column.name()),
            "put sum by (...) around the query if they are its parts, max by (...) if one thing is scraped twice"
                .to_owned(),
        )
    })
}

/// What is wrong with all of it.
fn of_the_whole(config: &PrometheusConfig, preview: &Preview, table: &Table<'_>) -> Vec<Finding> {
    let refused = |(column, why): (&Column, &str)| {
        finding(
            format!("{} cannot be asked for: {why}", column.name()),
            format!("mend its query: {}", one_line(&column.query(LOOKED_AT_S))),
        )
    };
    let mut found: Vec<Finding> = table.refused().map(refused).collect();
    let left_out = table.left_out();
    if left_out.series > 0 {
        found.push(finding(
            format!("{} series belong to no workload: {}", left_out.series, left_out.why),
            "give a preset of your own whose workload names labels that they have".to_owned(),
        ));
    }
    let without = preview.workloads - preview.workloads_with_capacity;
    if without > 0 {
        found.push(finding(
            format!("the capacity of {without} of {} workloads is not known", preview.workloads),
            "they are forecast and not sized: see [capacity] of the preset, or give them limits or requests".to_owned(),
        ));
    }
    if preview.history_from.is_none() {
        found.push(finding(
            format!("nothing in the last {} days", config.history_s / 86_400),
            "is the url that of the server which scrapes, and the tenant right?".to_owned(),
        ));
    }
    found
}

/// Use far above what there is.
fn excess(columns: &[Column], table: &Table<'_>) -> Vec<Finding> {
    let greatest = |number: usize, cells: &Cells| table.values(number, cells).fold(0.0, f64::max);
    let number_of = |wanted: &str| columns.iter().position(|column| column.name() == wanted);
    let pairs = [(kpi::CPU_CORES_USED, Measured::CpuCores), (kpi::MEMORY_BYTES, Measured::MemoryBytes)];
    let mut found = Vec::new();
    for (name, capacity) in pairs {
        let (Some(used), Some(had)) = (number_of(name), number_of(capacity.name())) else { continue };
        let capacities: BTreeMap<_, _> =
            table.column(had).map(|(workload, cells)| (workload, greatest(had, cells))).collect();
        let times = |(workload, cells): (&WorkloadId, &Cells)| {
            let capacity = capacities.get(workload).filter(|capacity| **capacity > 0.0)?;
            Some(greatest(used, cells) / capacity)
        };
        let beyond: Vec<f64> = table.column(used).filter_map(times).filter(|times| *times > EXCESS).collect();
        if let Some(most) = beyond.iter().copied().reduce(f64::max) {
            found.push(finding(
                format!("{name}: {} workloads use up to {most:.0} times their capacity: another unit?", beyond.len()),
                "say in the preset what unit the query gives (unit = \"millicores\", \"KiBy\", ...)".to_owned(),
            ));
        }
    }
    found
}

/// The metrics that a query names with labels or a length of time, each once; the query itself where there are none.
fn metrics_in(query: &str) -> String {
    // What stands in quotation marks names none.
    let unquoted = query.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut metrics: Vec<&str> = Vec::new();
    for (at, _) in unquoted.match_indices(['{', '[']) {
        let metric = unquoted[..at].rsplit(|c: char| !is_of_name(c)).next().unwrap_or_default();
        if !metric.is_empty() && !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    if metrics.is_empty() { one_line(query) } else { metrics.join(", ") }
}

fn one_line(query: &str) -> String {
    query.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::api::Series;
    use super::super::preset;
    use super::*;

    const PRESET: &str = r#"
about = "for tests"
workload = "{vm}"
platform = "observed-only"
[kpis.cpu_cores_used]
query = "cpu"
[kpis.memory_bytes]
query = "memory"
[kpis.run_queue]
query = "queue"
[capacity]
cpu_cores = "cores"
memory_bytes = "bytes"
"#;

    fn series(vm: &str, value: impl Fn(i64) -> f64) -> Series {
        let labels = BTreeMap::from([("vm".to_owned(), vm.to_owned())]);
        Series { labels, points: (0..60).map(|minute| (60_000 * minute, value(minute))).collect() }
    }

    #[test]
    fn what_looks_wrong_is_said_with_what_to_do() {
        let preset = preset::parsed(PRESET);
        let instants = Instants { first_ms: 0, step_s: 60, count: 60 };
        let mut table = Table::new(&preset, instants);
        table.take(0, vec![series("a", |minute| 400.0 + (minute % 3) as f64), series("b", |_| f64::NAN)]);
        table.take(
            1,
            vec![series("a", |minute| 1e9 + minute as f64), Series { labels: BTreeMap::new(), points: Vec::new() }],
        );
        table.take(3, vec![series("a", |_| 2.0), series("a", |_| 2.0)]);
        table.take(4, vec![series("a", |_| 8e9)]);
        table.refuse(2, "parse error".to_owned());
        let config = PrometheusConfig::default();
        let preview = told((&config.source().unwrap(), &config), &preset.columns, &table, None);
        assert_eq!((preview.workloads, preview.workloads_with_capacity), (2, 1));
        assert_eq!(preview.kpis[0].values, Some([400.0, 401.0, 402.0]));
        assert_eq!(preview.kpis[0].present_share, 0.5);
        let whats: Vec<&str> = preview.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            whats,
            [
                "memory_bytes: the values of 1 of 1 workloads only ever grow: a counter?",
                "capacity.cpu_cores: up to 2 series of one workload are added up",
                "run_queue cannot be asked for: parse error",
                "1 series belong to no workload: a series has no label \"vm\"",
                "the capacity of 1 of 2 workloads is not known",
                "nothing in the last 14 days",
                "cpu_cores_used: 1 workloads use up to 100 times their capacity: another unit?",
            ]
        );
    }

    #[test]
    fn a_long_query_is_told_by_its_metrics() {
        let query = "sum by (a) (max by (a, b) (rate(reads_total{c!=\"\"}[60s])) *\n on (b) group_left () (owner{x=~\"d[a-z]+1[0-9]\"} or up:all[5m] or owner{}))";
        assert_eq!(metrics_in(query), "reads_total, owner, up:all");
        assert_eq!(metrics_in("max by (vm)\n (level)"), "max by (vm) (level)");
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let preset = preset::parsed(PRESET);
        let instants = Instants { first_ms: 0, step_s: 60, count: 60 };
        let mut table = Table::new(&preset, instants);
        for (number, level) in [1.0, 1e9, 0.5, 4.0, 8e9].into_iter().enumerate() {
            table.take(number, vec![series("a", |minute| level * (1.0 + (minute % 5) as f64 / 10.0))]);
        }
        let config = PrometheusConfig::default();
        let preview = told(
            (&config.source().unwrap(), &config),
            &preset.columns,
            &table,
            Some("2026-03-02T00:00:00Z".to_owned()),
        );
        assert_eq!(preview.findings, []);
    }
}
