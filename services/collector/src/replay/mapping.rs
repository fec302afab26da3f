//! Which columns of a trace hold what. It must not know DataFusion: expressions are text here.

use super::form::TextForm;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_domain::kpi::{self, KpiKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Unit of the instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstantUnit {
    /// By the column's type: a text is RFC 3339, a number is seconds, a timestamp is itself.
    #[default]
    Auto,
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
    /// Nanoseconds since 1970.
    Ns,
    /// Hundreds of nanoseconds since 1601, as Windows counts.
    Filetime,
    /// RFC 3339 text.
    Rfc3339,
}

impl InstantUnit {
    /// As it is written in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::S => "s",
            Self::Ms => "ms",
            Self::Us => "us",
            Self::Ns => "ns",
            Self::Filetime => "filetime",
            Self::Rfc3339 => "rfc3339",
        }
    }

    /// How many make a second, and how many seconds before 1970 they begin; `None` where they are no numbers.
    pub(crate) const fn scale(self) -> Option<(i64, i64)> {
        match self {
            Self::Auto | Self::S => Some((1, 0)),
            Self::Ms => Some((1000, 0)),
            Self::Us => Some((1_000_000, 0)),
            Self::Ns => Some((1_000_000_000, 0)),
            Self::Filetime => Some((10_000_000, 11_644_473_600)),
            Self::Rfc3339 => None,
        }
    }
}

/// Section `[collector.replay.mapping]`. Each value is a column's name or an SQL expression over
/// the file's columns, such as `"cpu_usage_pct / 100.0 * cpu_cores"`; names with other characters
/// than letters, digits and `_` stand in double quotes within an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mapping {
    /// Workload id; empty, as all others, where the trace is known by its columns.
    pub workload: String,
    /// Instant of the sample.
    pub instant: String,
    /// Unit of the instant: `auto`, `s`, `ms`, `us`, `ns`, `filetime` (100 ns since 1601) or `rfc3339`.
    pub instant_unit: InstantUnit,
    /// CPU that the workload has, in cores; needs `memory_capacity`.
    pub cpu_capacity: String,
    /// Memory that the workload has, in bytes; needs `cpu_capacity`.
    pub memory_capacity: String,
    /// The KPIs, by name, such as `cpu_cores_used = "pct / 100.0 * cores"`. The name's end gives
    /// kind and unit: `_per_s` a rate, `_total` a counter, anything else a gauge.
    pub kpis: BTreeMap<String, String>,
    /// Section `[collector.replay.mapping.text]`: how a text file is written.
    pub text: TextForm,
}

/// Short names on the command line for the KPIs that the field has a name for.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("cpu", kpi::CPU_CORES_USED),
    ("memory", kpi::MEMORY_BYTES),
    ("disk_read", kpi::DISK_READ_BYTES_PER_S),
    ("disk_write", kpi::DISK_WRITE_BYTES_PER_S),
    ("net_rx", kpi::NETWORK_RECEIVE_BYTES_PER_S),
    ("net_tx", kpi::NETWORK_TRANSMIT_BYTES_PER_S),
    ("requests", kpi::REQUESTS_PER_S),
    ("latency", kpi::LATENCY_MS),
    ("errors", kpi::ERRORS_PER_S),
];

impl Mapping {
    /// Whether nothing is mapped, so that the trace has to be known by its columns.
    pub fn is_empty(&self) -> bool {
        *self == Self { text: self.text.clone(), ..Self::default() }
    }

    /// Every expression over the file's columns.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &str> {
        self.numbers().chain([self.workload.as_str(), self.instant.as_str()])
    }

    /// The expressions that are numbers: KPIs and capacity.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &str> {
        let kpis = self.kpis.values().map(String::as_str);
        kpis.chain([self.cpu_capacity.as_str(), self.memory_capacity.as_str()])
    }

    /// Reads `entity=vm_id,time=ts,cpu=cpu_usage_pct / 100.0`. Keys: `entity`, `time`, `time_unit`
    /// (`s`, `ms`, `us`, `ns`, `filetime`, `rfc3339`), `cpu_capacity`, `memory_capacity`, `cpu`, `memory`,
    /// `disk_read`, `disk_write`, `net_rx`, `net_tx`, `requests`, `latency`, `errors`, or the name of any KPI; of a
    /// text file `separator`, `header`, `decimal`, `zone`, `time_form`, `layout`. Values: a column or an expression; a
    /// comma within parentheses or quotes belongs to it.
    ///
    /// # Errors
    /// When a part is no `key=value`, a key is there twice, or what is needed is missing.
    pub fn parse(text: &str) -> Result<Self> {
        let mut mapping = Self::default();
        for part in parts(text) {
            let (key, value) = part.split_once('=').with_context(|| {
                format!("mapping {part:?}: write key=column, such as entity=vm_id,time=ts,cpu=cores")
            })?;
            mapping.set(key.trim(), value.trim()).with_context(|| format!("mapping {part:?}"))?;
        }
        mapping.check()?;
        Ok(mapping)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        ensure!(!value.is_empty(), "{key} has no column");
        if self.text.set(key, value)? {
            return Ok(());
        }
        let place = match key {
            "entity" | "workload" => &mut self.workload,
            "time" | "instant" => &mut self.instant,
            "cpu_capacity" => &mut self.cpu_capacity,
            "memory_capacity" => &mut self.memory_capacity,
            "time_unit" | "instant_unit" => {
                self.instant_unit = match value {
                    "auto" => InstantUnit::Auto,
                    "s" => InstantUnit::S,
                    "ms" => InstantUnit::Ms,
                    "us" => InstantUnit::Us,
                    "ns" => InstantUnit::Ns,
                    "filetime" => InstantUnit::Filetime,
                    "rfc3339" => InstantUnit::Rfc3339,
                    _ => bail!("{key}={value}: auto, s, ms, us, ns, filetime or rfc3339 are possible"),
                };
                return Ok(());
            }
            _ => self.kpis.entry(long_name(key).to_owned()).or_default(),
        };
        ensure!(place.is_empty(), "{key} is there twice");
        value.clone_into(place);
        Ok(())
    }

    /// Checks that what is needed is there, as far as that can be told without the file.
    ///
    /// # Errors
    /// With the key.
    pub fn check(&self) -> Result<()> {
        self.text.separator_byte()?;
        if self.is_empty() {
            return Ok(());
        }
        for (key, value) in [("workload", &self.workload), ("instant", &self.instant)] {
            ensure!(!value.is_empty(), "[collector.replay.mapping] {key} is missing: name the column that holds it");
        }
        ensure!(!self.kpis.is_empty(), "[collector.replay.mapping] kpis is empty: map at least one KPI");
        ensure!(
            self.cpu_capacity.is_empty() == self.memory_capacity.is_empty(),
            "[collector.replay.mapping] cpu_capacity and memory_capacity: give both or neither; where the trace has \
             only one, a constant does for the other, such as memory_capacity=8589934592.0"
        );
        for (name, value) in &self.kpis {
            ensure!(
                is_kpi_name(name),
                "[collector.replay.mapping] kpis.{name:?}: a KPI's name is of lower-case letters, digits and `_`"
            );
            ensure!(!value.is_empty(), "[collector.replay.mapping] kpis.{name} has no column");
        }
        Ok(())
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entity={},time={}", self.workload, self.instant)?;
        for (key, value) in [("cpu_capacity", &self.cpu_capacity), ("memory_capacity", &self.memory_capacity)] {
            if !value.is_empty() {
                write!(f, ",{key}={value}")?;
            }
        }
        self.kpis.iter().try_for_each(|(name, value)| write!(f, ",{name}={value}"))
    }
}

/// The KPI's name that a short one on the command line stands for; any other name as it is.
pub fn long_name(key: &str) -> &str {
    SHORT_NAMES.iter().find(|(short, _)| *short == key).map_or(key, |(_, long)| long)
}

/// Whether a KPI that is mapped may be called so.
pub(crate) fn is_kpi_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Kind and unit of a KPI, by its name.
pub(crate) fn kind_and_unit(name: &str) -> (KpiKind, &'static str) {
    if name == kpi::CPU_CORES_USED {
        return (KpiKind::Gauge, "cores");
    }
    let kinds = [
        ("_bytes_per_s", KpiKind::Rate, "By/s"),
        ("_per_s", KpiKind::Rate, "1/s"),
        ("_bytes_total", KpiKind::Counter, "By"),
        ("_total", KpiKind::Counter, "1"),
        ("_bytes", KpiKind::Gauge, "By"),
        ("_ms", KpiKind::Gauge, "ms"),
        ("_cores", KpiKind::Gauge, "cores"),
        ("_pct", KpiKind::Gauge, "%"),
    ];
    let found = kinds.into_iter().find(|(ending, _, _)| name.ends_with(ending));
    found.map_or((KpiKind::Gauge, "1"), |(_, kind, unit)| (kind, unit))
}

/// The text cut at commas outside of parentheses and quotes; empty parts are left out.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut start) = (0usize, None, 0);
    let mut parts = Vec::new();
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            (None, _) => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Columns for an error to name, not more than can be read.
pub(super) fn listed(columns: &[&str]) -> String {
    const LISTED_MAX: usize = 40;
    match columns.split_at_checked(LISTED_MAX) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => columns.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_command_lines_form_is_read() {
        let text = "entity=vm_id, time=ts,time_unit=ms,cpu=coalesce(a, 0.0) / 100.0,net_rx=\"in,KB\",queue_length=q,\
                    cpu_capacity=cores,memory_capacity=mem * 1048576.0";
        let mapping = Mapping::parse(text).unwrap();
        assert_eq!((mapping.workload.as_str(), mapping.instant.as_str()), ("vm_id", "ts"));
        assert_eq!(mapping.instant_unit, InstantUnit::Ms);
        assert_eq!(mapping.kpis["cpu_cores_used"], "coalesce(a, 0.0) / 100.0");
        assert_eq!(mapping.kpis["network_receive_bytes_per_s"], "\"in,KB\"");
        assert_eq!(mapping.kpis["queue_length"], "q");
        assert_eq!(mapping.memory_capacity, "mem * 1048576.0");
        let form = Mapping::parse("entity=e,time=t,time_unit=filetime,cpu=c,separator=;,decimal=comma,layout=columns");
        let form = form.unwrap();
        assert_eq!((form.instant_unit, form.text.separator.as_str()), (InstantUnit::Filetime, ";"));
        assert!(Mapping::parse("zone=Europe/Berlin").unwrap().is_empty(), "how it is written maps nothing");
        let equals = Mapping::parse("entity=e,time=t,cpu=case when a = 0 then 1 end").unwrap();
        assert_eq!(equals.kpis["cpu_cores_used"], "case when a = 0 then 1 end");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| format!("{:#}", Mapping::parse(text).unwrap_err());
        assert!(message("entity").contains("key=column"));
        assert!(message("entity=,time=t,cpu=c").contains("entity has no column"));
        assert!(message("entity=e,cpu=c").contains("instant is missing"));
        assert!(message("time=t,cpu=c").contains("workload is missing"));
        assert!(message("entity=e,time=t").contains("at least one KPI"));
        assert!(message("entity=e,time=t,cpu=a,cpu_cores_used=b").contains("twice"));
        assert!(message("entity=e,time=t,time_unit=h,cpu=a").contains("rfc3339"));
        assert!(message("entity=e,time=t,cpu=a,header=maybe").contains("auto, yes or no"));
        assert!(message("entity=e,time=t,cpu=a,cpu_capacity=c").contains("both or neither"));
        assert!(message("entity=e,time=t,CPU=a").contains("CPU"));
    }

    #[test]
    fn names_tell_kind_and_unit() {
        assert_eq!(kind_and_unit("cpu_cores_used"), (KpiKind::Gauge, "cores"));
        assert_eq!(kind_and_unit("memory_bytes"), (KpiKind::Gauge, "By"));
        assert_eq!(kind_and_unit("disk_read_bytes_per_s"), (KpiKind::Rate, "By/s"));
        assert_eq!(kind_and_unit("requests_per_s"), (KpiKind::Rate, "1/s"));
        assert_eq!(kind_and_unit("sent_bytes_total"), (KpiKind::Counter, "By"));
        assert_eq!(kind_and_unit("latency_ms"), (KpiKind::Gauge, "ms"));
        assert_eq!(kind_and_unit("queue_length"), (KpiKind::Gauge, "1"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = Mapping::parse(&text);
        }
    }
}
