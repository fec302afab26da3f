//! Presets: which queries give which KPI, what names a workload, and where its capacity comes from. A preset is a TOML
//! file; those that ship are such files, too.

use super::naming::Template;
use super::pushed::{Rule, WrittenAddUp, WrittenRule};
use crate::replay::mapping::kind_and_unit;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_domain::kpi::KpiKind;
use prescale_domain::point::{AddUp, Measured};
use prescale_domain::sample::Platform;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The presets that ship, by name.
const SHIPPED: [(&str, &str); 3] = [
    ("kubernetes", include_str!("presets/kubernetes.toml")),
    ("libvirt", include_str!("presets/libvirt.toml")),
    ("node", include_str!("presets/node.toml")),
];
/// Stands for the length of time that a value is to describe.
const WINDOW: &str = "window";
/// Definitions may name others so deep.
const DEPTH_MAX: usize = 8;
const CORES: &str = "cores";
const BYTES: &str = "By";

/// What a column of numbers is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// A KPI.
    Kpi {
        /// Its name.
        name: String,
        /// How its values are to be read.
        kind: KpiKind,
        /// Its unit.
        unit: &'static str,
    },
    /// Replicas that the workload has.
    Replicas,
    /// Cores of all of them.
    CpuCores,
    /// Bytes of all of them.
    MemoryBytes,
}

/// A query and what becomes of its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// What it is for.
    pub purpose: Purpose,
    query: String,
    /// How series of one workload become one.
    pub add_up: AddUp,
    /// Whether the preset says so, or it is for want of a word.
    pub says_add_up: bool,
    /// From the query's unit to the column's.
    pub factor: f64,
}

impl Column {
    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        match &self.purpose {
            Purpose::Kpi { name, .. } => name,
            Purpose::Replicas => "capacity.replicas",
            Purpose::CpuCores => "capacity.cpu_cores",
            Purpose::MemoryBytes => "capacity.memory_bytes",
        }
    }

    /// The query whose values describe so many seconds before each instant.
    pub(crate) fn query(&self, window_s: u32) -> String {
        self.query.replace(&format!("${WINDOW}"), &format!("{window_s}s"))
    }
}

/// A preset, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preset {
    /// What names a workload.
    pub workload: Template,
    /// What runs the workloads.
    pub platform: Platform,
    /// KPIs by name, then what the capacity follows from.
    pub columns: Vec<Column>,
    /// What of pushed series is measured; empty where it says nothing of those.
    pub pushed: Vec<Rule>,
}

/// A preset as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// For readers.
    #[serde(rename = "about")]
    _about: String,
    workload: String,
    platform: String,
    #[serde(default)]
    definitions: BTreeMap<String, String>,
    kpis: BTreeMap<String, WrittenKpi>,
    capacity: Option<WrittenCapacity>,
    /// By KPI, or what of the capacity.
    #[serde(default)]
    series: BTreeMap<String, Vec<WrittenRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKpi {
    query: String,
    add_up: Option<WrittenAddUp>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCapacity {
    replicas: Option<String>,
    cpu_cores: String,
    memory_bytes: String,
}

impl Preset {
    /// The preset of this name, or of this file, which `section` names.
    ///
    /// # Errors
    /// When there is none, or it cannot be used, with the place in it.
    pub(crate) fn load(section: &str, name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text).with_context(|| format!("preset {name}"));
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            bail!("[{section}] preset = {name:?}: there are {names}, or give a file that ends in .toml");
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("[{section}] preset: cannot read {name}"))?;
        Self::parse(&text).with_context(|| format!("preset {name}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let written: Written = toml::from_str(text)?;
        ensure!(!written.kpis.is_empty(), "kpis: at least one is needed");
        let workload = written.workload.parse().context("workload")?;
        let platform = Platform::new(&written.platform).context("platform")?;
        let defined = |text: &str| expanded(text, &written.definitions);
        let mut columns = Vec::new();
        for (name, kpi) in &written.kpis {
            let place = || format!("kpis.{name}");
            let (kind, unit) = kind_and_unit(name);
            let factor = factor(unit, kpi.unit.as_deref().unwrap_or(unit)).with_context(place)?;
            let query = defined(&kpi.query).with_context(place)?;
            columns.push(Column {
                purpose: Purpose::Kpi { name: name.clone(), kind, unit },
                query,
                add_up: kpi.add_up.unwrap_or_default().into(),
                says_add_up: kpi.add_up.is_some(),
                factor,
            });
        }
        if let Some(WrittenCapacity { replicas, cpu_cores, memory_bytes }) = written.capacity {
            let parts = [
                (Purpose::Replicas, replicas),
                (Purpose::CpuCores, Some(cpu_cores)),
                (Purpose::MemoryBytes, Some(memory_bytes)),
            ];
            for (purpose, query) in parts {
                let Some(query) = query else { continue };
                let add_up = AddUp::Sum;
                let mut column = Column { purpose, query: String::new(), add_up, says_add_up: false, factor: 1.0 };
                column.query = defined(&query).with_context(|| column.name().to_owned())?;
                columns.push(column);
            }
        }
        let mut pushed = Vec::new();
        for (name, rules) in written.series {
            let (kind, unit) = of_measured(&name);
            for rule in rules {
                let place = || format!("series.{name}");
                let times = factor(unit, rule.unit.as_deref().unwrap_or(unit)).with_context(place)?;
                pushed.push(Rule::new(&name, (kind, unit), rule, times).with_context(place)?);
            }
        }
        Ok(Self { workload, platform, columns, pushed })
    }
}

/// How a KPI's values are to be read, or those of a capacity, and their unit.
fn of_measured(name: &str) -> (KpiKind, &'static str) {
    match Measured::of_name(name.into()) {
        Measured::Kpi(_) => kind_and_unit(name),
        Measured::Replicas => (KpiKind::Gauge, "1"),
        Measured::CpuCores => (KpiKind::Gauge, CORES),
        Measured::MemoryBytes => (KpiKind::Gauge, BYTES),
    }
}

/// The query with `$name` replaced by what is defined under the name; `$window` stays, and so do `$1` and the like.
fn expanded(query: &str, definitions: &BTreeMap<String, String>) -> Result<String> {
    let mut text = query.trim().to_owned();
    for _ in 0..DEPTH_MAX {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        let mut has_changed = false;
        while let Some((before, behind)) = rest.split_once('$') {
            let end = behind.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(behind.len());
            let (name, after) = behind.split_at(end);
            out += before;
            if name.is_empty() || name == WINDOW {
                out += "$";
                out += name;
            } else {
                let known = || definitions.keys().map(String::as_str).chain([WINDOW]).collect::<Vec<_>>().join(", $");
                let definition =
                    definitions.get(name).with_context(|| format!("${name} is not defined: there are ${}", known()))?;
                out = out + "(" + definition.trim() + ")";
                has_changed = true;
            }
            rest = after;
        }
        out += rest;
        if !has_changed {
            return Ok(out);
        }
        text = out;
    }
    bail!("definitions name each other in a circle")
}

/// By what a value in `given` is to be multiplied to be in `own`.
fn factor(own: &str, given: &str) -> Result<f64> {
    let per_s = own.ends_with("/s");
    let known: &[(&str, f64)] = match own.trim_end_matches("/s") {
        CORES => &[(CORES, 1.0), ("millicores", 1e-3)],
        BYTES => &[
            (BYTES, 1.0),
            ("kBy", 1e3),
            ("KiBy", 1024.0),
            ("MBy", 1e6),
            ("MiBy", 1_048_576.0),
            ("GBy", 1e9),
            ("GiBy", 1_073_741_824.0),
        ],
        "ms" => &[("ms", 1.0), ("s", 1e3), ("us", 1e-3)],
        "1" if !per_s => &[("1", 1.0), ("%", 0.01)],
        "1" => &[("1", 1.0)],
        "%" => &[("%", 1.0), ("1", 100.0)],
        _ => &[],
    };
    let ending = if per_s { "/s" } else { "" };
    let found = known.iter().find(|(unit, _)| given.strip_suffix(ending) == Some(unit));
    found.map(|(_, factor)| *factor).with_context(|| {
        let units = known.iter().map(|(unit, _)| format!("{unit}{ending}")).collect::<Vec<_>>().join(", ");
        format!("unit = {given:?}: {units} are possible")
    })
}

/// A preset for tests.
#[cfg(test)]
pub(crate) fn parsed(text: &str) -> Preset {
    Preset::parse(text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_ship_can_be_used() {
        for (name, _) in SHIPPED {
            let preset = Preset::load("collector.prometheus", name).unwrap();
            let has = |wanted: &str| preset.columns.iter().any(|column| column.name() == wanted);
            for column in ["cpu_cores_used", "memory_bytes", "capacity.cpu_cores", "capacity.memory_bytes"] {
                assert!(has(column), "{name} has no {column}");
            }
            for column in &preset.columns {
                let query = column.query(120);
                assert!(!query.contains("$w") && !query.contains("$pod"), "{query}");
                let closed = query.matches('(').count() == query.matches(')').count();
                assert!(closed && query.matches('{').count() == query.matches('}').count(), "{query}");
            }
        }
    }

    const BARE: &str = "about = \"\"\nworkload = \"{vm}\"\nplatform = \"observed-only\"\n";

    fn refused(text: &str) -> String {
        format!("{:#}", Preset::parse(&format!("{BARE}{text}")).unwrap_err())
    }

    #[test]
    fn a_preset_of_ones_own_says_units_and_how_series_add_up() {
        let text = format!(
            "{BARE}[definitions]\nvms = \"up{{job='vm'}}\"\nbusy = \"$vms > 0\"\n[kpis.cpu_cores_used]\nquery = \"rate(a[$window]) * $busy\"\n\
             unit = \"millicores\"\nadd_up = \"max\"\n[kpis.queue_length]\nquery = \"label_replace(q, 'a', '$1', 'b', '(.*)')\"\n"
        );
        let columns = Preset::parse(&text).unwrap().columns;
        assert_eq!((columns[0].name(), columns[0].add_up, columns[0].factor), ("cpu_cores_used", AddUp::Max, 1e-3));
        assert_eq!(columns[0].query(90), "rate(a[90s]) * ((up{job='vm'}) > 0)");
        assert_eq!(columns[1].query(90), "label_replace(q, 'a', '$1', 'b', '(.*)')");
    }

    #[test]
    fn what_cannot_be_used_says_where() {
        assert!(refused("[kpis]\n").contains("at least one"));
        assert!(
            refused("[kpis.memory_bytes]\nquery = \"m\"\nunit = \"MB\"\n")
                .contains("kpis.memory_bytes: unit = \"MB\": By, kBy")
        );
        assert!(refused("[kpis.memory_bytes]\nquery = \"$m\"\n").contains("$m is not defined"));
        let circle = "[definitions]\na = \"$b\"\nb = \"$a\"\n[kpis.memory_bytes]\nquery = \"$a\"\n";
        assert!(refused(circle).contains("circle"));
        assert!(refused("[kpis.memory_bytes]\nqueri = \"m\"\n").contains("queri"));
        assert!(
            format!("{:#}", Preset::load("collector.prometheus", "kubernets").unwrap_err())
                .contains("kubernetes, libvirt, node")
        );
    }

    #[test]
    fn what_of_pushed_series_is_measured_can_be_said() {
        let with = |rule: &str| format!("{BARE}[kpis.memory_bytes]\nquery = \"m\"\n{rule}");
        let text = with("[[series.memory_bytes]]\nmetric = \"m_mib\"\nunit = \"MiBy\"\n");
        assert_eq!(Preset::parse(&text).unwrap().pushed.len(), 1);
        let refused = |rule: &str| format!("{:#}", Preset::parse(&with(rule)).unwrap_err());
        let unit = refused("[[series.memory_bytes]]\nmetric = \"m\"\nunit = \"MB\"\n");
        assert!(unit.contains("series.memory_bytes: unit = \"MB\""), "{unit}");
        let counter = refused("[[series.requests_total]]\nmetric = \"m\"\n");
        assert!(counter.contains("series.requests_total: "), "{counter}");
        let pattern = refused("[[series.memory_bytes]]\nmetric = \"m\"\nonly = { mode = [\"[\"] }\n");
        assert!(pattern.contains("only.mode: \"[\""), "{pattern}");
    }

    #[test]
    fn units_are_multiplied_into_the_kpis_own() {
        let factors =
            [("By/s", "KiBy/s", 1024.0), ("ms", "s", 1e3), ("1", "%", 0.01), ("1/s", "1/s", 1.0), ("%", "1", 100.0)];
        for (own, given, wanted) in factors {
            assert_eq!(factor(own, given).unwrap(), wanted, "{given} as {own}");
        }
        assert!(factor("By/s", "KiBy").is_err());
    }
}
