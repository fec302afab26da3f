//! Presets: which queries give which KPI, what names a workload, and where its capacity comes from. A preset is a TOML
//! file; those that ship are such files, too.

use super::naming::Naming;
use super::pushed::{Rule, WrittenAddUp, WrittenRule};
use crate::replay::mapping::{is_kpi_name, kind_and_unit, long_name};
use anyhow::{Context as _, Result, bail, ensure};
use prescale_domain::kpi::{KpiKind, KpiName, maximum_of};
use prescale_domain::point::{AddUp, Measured};
use prescale_domain::sample::Platform;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The presets that ship, by name.
const SHIPPED: [(&str, &str); 7] = [
    ("cloudwatch-export", include_str!("presets/cloudwatch-export.toml")),
    ("kubernetes", include_str!("presets/kubernetes.toml")),
    ("libvirt", include_str!("presets/libvirt.toml")),
    ("node", include_str!("presets/node.toml")),
    ("otel-host", include_str!("presets/otel-host.toml")),
    ("otel-kubernetes", include_str!("presets/otel-kubernetes.toml")),
    ("telegraf", include_str!("presets/telegraf.toml")),
];
/// Stands for the length of time that a value is to describe.
const WINDOW: &str = "window";
/// Stands for a query of the user's.
const QUERY: &str = "query";
/// Definitions may name others so deep.
const DEPTH_MAX: usize = 8;
/// A query has at most so many bytes, with all that its definitions come to.
const QUERY_BYTES_MAX: usize = 1 << 18;
const CORES: &str = "cores";
const BYTES: &str = "By";

/// A query and what becomes of its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// What it measures.
    pub measured: Measured,
    /// How its values are to be read.
    pub kind: KpiKind,
    /// Its unit.
    pub unit: &'static str,
    query: String,
    /// How series of one workload become one.
    pub add_up: AddUp,
    /// Whether the preset says so, or it is for want of a word.
    pub says_add_up: bool,
    /// From the query's unit to the column's.
    pub factor: f64,
    /// Whether there are workloads that are not to have it: their samples do not name it.
    pub is_optional: bool,
}

impl Column {
    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        self.measured.name()
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
    pub workload: Naming,
    /// Whether pushed series that it cannot name are of no workload, as a pod without a controller, and left out; otherwise
    /// they are refused.
    pub leaves_out_nameless: bool,
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
    workload: OneOrSeveral,
    #[serde(default)]
    leaves_out_nameless: bool,
    platform: String,
    /// What a query of the user's becomes, which stands for `$query` in it.
    own: Option<String>,
    #[serde(default)]
    definitions: BTreeMap<String, String>,
    kpis: BTreeMap<String, WrittenKpi>,
    capacity: Option<WrittenCapacity>,
    /// By KPI, or what of the capacity.
    #[serde(default)]
    series: BTreeMap<String, Vec<WrittenRule>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKpi {
    query: String,
    add_up: Option<WrittenAddUp>,
    unit: Option<String>,
    #[serde(default)]
    optional: bool,
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
        Self::load_with(section, name, &BTreeMap::new())
    }

    /// The same with KPIs of the user's, by name, each with its query; they go before the preset's of the same name.
    ///
    /// # Errors
    /// Likewise, or when one of those cannot be used.
    pub(crate) fn load_with(section: &str, name: &str, own: &BTreeMap<String, String>) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text, own).with_context(|| format!("preset {name}"));
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            bail!("[{section}] preset = {name:?}: there are {names}, or give a file that ends in .toml");
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("[{section}] preset: cannot read {name}"))?;
        Self::parse(&text, own).with_context(|| format!("preset {name}"))
    }

    /// The preset of this text, with KPIs of the user's.
    ///
    /// # Errors
    /// When it cannot be used, with the place in it.
    pub(crate) fn parse(text: &str, own: &BTreeMap<String, String>) -> Result<Self> {
        let mut written: Written = toml::from_str(text)?;
        written.take_own(own)?;
        ensure!(!written.kpis.is_empty(), "kpis: at least one is needed");
        let names: &[String] = match &written.workload {
            OneOrSeveral::One(name) => std::slice::from_ref(name),
            OneOrSeveral::Several(names) => names,
        };
        let workload = Naming::of(names).context("workload")?;
        let platform = Platform::new(&written.platform).context("platform")?;
        let mut columns = Vec::new();
        for (name, kpi) in &written.kpis {
            columns.push(kpi.column(name, &written.definitions).with_context(|| format!("kpis.{name}"))?);
        }
        if let Some(capacity) = &written.capacity {
            capacity.add_to(&mut columns, &written.definitions)?;
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
        Ok(Self { workload, leaves_out_nameless: written.leaves_out_nameless, platform, columns, pushed })
    }

    /// The same for bins of `bin_s` that are longer than a step of `step_s`, both in seconds: a level is its mean over the
    /// bin, by values a step apart, and of what is sized the greatest such value is asked for as well, with rates over
    /// `window_s`. The mean of a rate is that over the bin, and a capacity is that at its end.
    pub(crate) fn of_bins(&self, bin_s: u32, step_s: u32, window_s: u32) -> Self {
        let mut preset = self.clone();
        if bin_s <= step_s {
            return preset;
        }
        // What is at its beginning belongs to the bin before.
        let over_bin =
            |function: &str, query: &str| format!("{function}((\n{query}\n)[{}s:{step_s}s])", bin_s.saturating_sub(1));
        for column in self.columns.iter().filter(|column| matches!(column.measured, Measured::Kpi(_))) {
            let is_new = |name: &&str| self.columns.iter().all(|other| other.name() != *name);
            if let Some(name) = maximum_of(column.name()).filter(is_new) {
                let query = over_bin("max_over_time", &column.query(window_s));
                preset.columns.push(Column { measured: Measured::Kpi(KpiName::new(name)), query, ..column.clone() });
            }
        }
        for column in preset.columns.iter_mut().take(self.columns.len()) {
            if matches!(column.measured, Measured::Kpi(_)) && !column.query.contains(&format!("${WINDOW}")) {
                column.query = over_bin("avg_over_time", &column.query);
            }
        }
        preset
    }
}

impl Written {
    /// Takes in KPIs of the user's, each as the preset has them.
    fn take_own(&mut self, own: &BTreeMap<String, String>) -> Result<()> {
        for (name, query) in own {
            let name = long_name(name);
            ensure!(is_kpi_name(name), "kpis.{name:?}: a KPI's name is of lower-case letters, digits and `_`");
            ensure!(!query.trim().is_empty(), "kpis.{name}: it has no query");
            let query = match &self.own {
                Some(text) => text.replace(&format!("${QUERY}"), &format!("({})", query.trim())),
                None => query.clone(),
            };
            let add_up = match kind_and_unit(name) {
                (KpiKind::Rate | KpiKind::Counter, _) => Some(WrittenAddUp::Sum),
                (KpiKind::Gauge, "ms" | "%") => Some(WrittenAddUp::Mean),
                (KpiKind::Gauge, _) => None,
            };
            self.kpis.insert(name.to_owned(), WrittenKpi { query, add_up, unit: None, optional: false });
        }
        Ok(())
    }
}

impl WrittenKpi {
    fn column(&self, name: &str, definitions: &BTreeMap<String, String>) -> Result<Column> {
        let (kind, unit) = kind_and_unit(name);
        Ok(Column {
            measured: Measured::Kpi(KpiName::new(name)),
            kind,
            unit,
            query: expanded(&self.query, definitions)?,
            add_up: self.add_up.unwrap_or_default().into(),
            says_add_up: self.add_up.is_some(),
            factor: factor(unit, self.unit.as_deref().unwrap_or(unit))?,
            is_optional: self.optional,
        })
    }
}

impl WrittenCapacity {
    fn add_to(&self, columns: &mut Vec<Column>, definitions: &BTreeMap<String, String>) -> Result<()> {
        let parts = [
            (Measured::Replicas, self.replicas.as_ref()),
            (Measured::CpuCores, Some(&self.cpu_cores)),
            (Measured::MemoryBytes, Some(&self.memory_bytes)),
        ];
        for (measured, query) in parts {
            let Some(query) = query else { continue };
            let (kind, unit) = of_measured(measured.name());
            let query = expanded(query, definitions).with_context(|| measured.name().to_owned())?;
            let (add_up, says_add_up, factor, is_optional) = (AddUp::Sum, false, 1.0, false);
            columns.push(Column { measured, kind, unit, query, add_up, says_add_up, factor, is_optional });
        }
        Ok(())
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
                ensure!(
                    out.len() <= QUERY_BYTES_MAX,
                    "with its definitions it has more than {QUERY_BYTES_MAX} bytes: do they name each other in a circle?"
                );
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
    Preset::parse(text, &BTreeMap::new()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
                let left = query.split('$').skip(1).find(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
                assert_eq!(left, None, "{query}");
                let closed = query.matches('(').count() == query.matches(')').count();
                assert!(closed && query.matches('{').count() == query.matches('}').count(), "{query}");
            }
        }
    }

    /// By preset, the series of one workload: metric, a label beside those that name it, and what is measured, if
    /// anything.
    #[test]
    fn series_that_are_pushed_are_known_by_the_names_that_their_senders_use() {
        let otel = [("k8s.namespace.name", "shop"), ("k8s.statefulset.name", "db")];
        let (telegraf, host) = ([("host", "vm-1")], [("host.name", "vm-1")]);
        let promoted = [("host_name", "vm-1"), ("instance", "collector:8889")];
        let cases = [
            ("otel-host", &host[..], "system.cpu.time", ("state", "user"), Some("cpu_cores_used")),
            ("otel-host", &host[..], "system.cpu.time", ("state", "idle"), None),
            ("otel-host", &host[..], "system.cpu.logical.count", ("os.type", "linux"), Some("capacity.cpu_cores")),
            ("otel-host", &promoted[..], "system_cpu_logical_count", ("job", "c"), Some("capacity.cpu_cores")),
            ("otel-host", &host[..], "system.disk.io", ("direction", "read"), Some("disk_read_bytes_per_s")),
            ("otel-host", &promoted[..], "system_memory_usage_bytes", ("state", "used"), Some("memory_bytes")),
            ("otel-host", &promoted[..], "system_memory_usage_bytes", ("state", "free"), None),
            ("otel-host", &host[..], "system.memory.limit", ("os.type", "linux"), Some("capacity.memory_bytes")),
            ("otel-kubernetes", &otel[..], "k8s.pod.cpu.time", ("k8s.pod.name", "db-0"), Some("cpu_cores_used")),
            ("otel-kubernetes", &otel[..], "k8s.pod.network.io", ("direction", "none"), None),
            ("telegraf", &telegraf[..], "cpu_usage_user", ("cpu", "cpu0"), Some("cpu_cores_used")),
            ("telegraf", &telegraf[..], "cpu_usage_user", ("cpu", "cpu-total"), None),
            ("telegraf", &telegraf[..], "diskio_read_bytes", ("name", "sda1"), None),
            ("telegraf", &telegraf[..], "net_bytes_recv", ("interface", "eth0"), Some("network_receive_bytes_per_s")),
        ];
        for (name, of_workload, metric, label, wanted) in cases {
            let preset = Preset::load("collector.remote_write", name).unwrap();
            let labels: BTreeMap<&str, &str> = of_workload.iter().copied().chain([label]).collect();
            let value = |label: &str| labels.get(label).copied();
            let workload = preset.workload.filled(value).unwrap();
            assert!(workload == "vm-1" || workload == "shop/StatefulSet/db", "{workload}");
            let rules = preset.pushed.iter().filter(|rule| rule.metric == metric && rule.holds(value));
            let measured: Vec<&str> = rules.map(|rule| rule.measured.name()).collect();
            assert_eq!(measured, wanted.into_iter().collect::<Vec<_>>(), "{name}: {metric} {label:?}");
        }
    }

    const BARE: &str = "about = \"\"\nworkload = \"{vm}\"\nplatform = \"observed-only\"\n";

    fn refused(text: &str) -> String {
        format!("{:#}", Preset::parse(&format!("{BARE}{text}"), &BTreeMap::new()).unwrap_err())
    }

    #[test]
    fn a_preset_of_ones_own_says_units_and_how_series_add_up() {
        let text = format!(
            "{BARE}[definitions]\nvms = \"up{{job='vm'}}\"\nbusy = \"$vms > 0\"\n[kpis.cpu_cores_used]\nquery = \"rate(a[$window]) * $busy\"\n\
             unit = \"millicores\"\nadd_up = \"max\"\n[kpis.queue_length]\nquery = \"label_replace(q, 'a', '$1', 'b', '(.*)')\"\n"
        );
        let columns = parsed(&text).columns;
        assert_eq!((columns[0].name(), columns[0].add_up, columns[0].factor), ("cpu_cores_used", AddUp::Max, 1e-3));
        assert_eq!(columns[0].query(90), "rate(a[90s]) * ((up{job='vm'}) > 0)");
        assert_eq!(columns[1].query(90), "label_replace(q, 'a', '$1', 'b', '(.*)')");
    }

    #[test]
    fn of_bins_levels_are_means_and_what_is_sized_has_its_maximum() {
        let text = format!(
            "{BARE}[kpis.cpu_cores_used]\nquery = \"rate(a[$window])\"\n[kpis.memory_bytes]\nquery = \"m\"\nunit = \"KiBy\"\n\
             [kpis.queue_length]\nquery = \"q\"\n[capacity]\ncpu_cores = \"c\"\nmemory_bytes = \"b\"\n"
        );
        let preset = parsed(&text);
        let asked = |preset: &Preset| -> Vec<(String, String)> {
            let of = |column: &Column| (column.name().to_owned(), column.query(300).replace('\n', ""));
            preset.columns.iter().map(of).collect()
        };
        let of_bins = preset.of_bins(300, 60, 120);
        let wanted = [
            ("cpu_cores_used", "rate(a[300s])"),
            ("memory_bytes", "avg_over_time((m)[299s:60s])"),
            ("queue_length", "avg_over_time((q)[299s:60s])"),
            ("capacity.cpu_cores", "c"),
            ("capacity.memory_bytes", "b"),
            ("cpu_cores_used_max", "max_over_time((rate(a[120s]))[299s:60s])"),
            ("memory_bytes_max", "max_over_time((m)[299s:60s])"),
        ];
        assert_eq!(asked(&of_bins), wanted.map(|(name, query)| (name.to_owned(), query.to_owned())));
        assert_eq!((of_bins.columns[6].factor, of_bins.columns[6].unit), (1024.0, "By"));
        assert_eq!(preset.of_bins(60, 60, 120), preset, "a bin is a step");
        let own = parsed(&format!("{text}[kpis.memory_bytes_max]\nquery = \"mine\"\n")).of_bins(300, 60, 120);
        assert_eq!(own.columns.iter().filter(|column| column.name() == "memory_bytes_max").count(), 1);
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
        let swells = format!("[definitions]\na = \"{}\"\n[kpis.memory_bytes]\nquery = \"$a\"\n", "$a ".repeat(99));
        assert!(refused(&swells).contains("more than 262144 bytes"));
        assert!(refused("[kpis.memory_bytes]\nqueri = \"m\"\n").contains("queri"));
        assert!(
            format!("{:#}", Preset::load("collector.prometheus", "kubernets").unwrap_err())
                .contains("kubernetes, libvirt, node, otel-host, otel-kubernetes, telegraf")
        );
    }

    #[test]
    fn what_of_pushed_series_is_measured_can_be_said() {
        let with = |rule: &str| format!("{BARE}[kpis.memory_bytes]\nquery = \"m\"\n{rule}");
        let text = with("[[series.memory_bytes]]\nmetric = \"m_mib\"\nunit = \"MiBy\"\n");
        assert_eq!(parsed(&text).pushed.len(), 1);
        let refused = |rule: &str| format!("{:#}", Preset::parse(&with(rule), &BTreeMap::new()).unwrap_err());
        let unit = refused("[[series.memory_bytes]]\nmetric = \"m\"\nunit = \"MB\"\n");
        assert!(unit.contains("series.memory_bytes: unit = \"MB\""), "{unit}");
        let counter = refused("[[series.requests_total]]\nmetric = \"m\"\n");
        assert!(counter.contains("series.requests_total: "), "{counter}");
        let pattern = refused("[[series.memory_bytes]]\nmetric = \"m\"\nonly = { mode = [\"[\"] }\n");
        assert!(pattern.contains("only.mode: \"[\""), "{pattern}");
    }

    #[test]
    fn one_line_adds_a_kpi_to_a_preset() {
        let text = format!(
            "{BARE}own = \"$query * $owner\"\n[definitions]\nowner = \"o\"\n[kpis.requests_per_s]\nquery = \"theirs\"\n"
        );
        let with = |name: &str, query: &str| Preset::parse(&text, &BTreeMap::from([(name.into(), query.into())]));
        let columns = with("requests_per_s", "rate(mine[$window])").unwrap().columns;
        let [column] = &columns[..] else { panic!("{columns:?}") };
        assert_eq!(column.query(60), "(rate(mine[60s])) * (o)");
        assert_eq!((column.add_up, column.says_add_up), (AddUp::Sum, true));
        let columns = with("latency", "mine").unwrap().columns;
        assert_eq!(columns[0].name(), "latency_ms");
        assert_eq!((columns.len(), columns[0].add_up, columns[0].is_optional), (2, AddUp::Mean, false));
        let refused = |name: &str, query: &str| format!("{:#}", with(name, query).unwrap_err());
        assert!(refused("Requests", "q").contains("lower-case"));
        assert!(refused("requests_per_s", " ").contains("no query"));
        assert!(refused("requests_per_s", "$nothing").contains("$nothing is not defined"));
        let bare = text.replace("own = \"$query * $owner\"\n", "");
        let own = BTreeMap::from([("queue_length".to_owned(), "mine".to_owned())]);
        assert_eq!(Preset::parse(&bare, &own).unwrap().columns[0].query(60), "mine");
    }

    #[test]
    fn a_workload_may_be_named_in_several_ways() {
        let of = |workload: &str| {
            let rest = "platform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"m\"\noptional = true\n";
            Preset::parse(&format!("about = \"\"\nworkload = {workload}\n{rest}"), &BTreeMap::new())
        };
        let preset = of("[\"{host_name}\", \"{host.name}\"]").unwrap();
        let named = preset.workload.filled(|label| (label == "host.name").then_some("vm-1"));
        assert_eq!((named.as_deref(), preset.columns[0].is_optional), (Ok("vm-1"), true));
        assert!(format!("{:#}", of("[]").unwrap_err()).contains("workload: it is empty"));
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

    proptest! {
        #[test]
        fn no_text_panics(
            text in "\\PC{0,60}", workload in "[a-z{}. ]{0,12}", query in "[a-b$_{}() ]{0,20}", own in "[a-z$ ]{0,12}",
        ) {
            let _ = Preset::parse(&text, &BTreeMap::new());
            let text = format!(
                "about = \"\"\nworkload = \"{workload}\"\nplatform = \"openstack\"\nown = \"{own}\"\n[definitions]\n\
                 a = \"{query}\"\nb = \"{own}\"\n[kpis.memory_bytes]\nquery = \"{query}\"\n"
            );
            let own = BTreeMap::from([("requests".to_owned(), query)]);
            if let Ok(preset) = Preset::parse(&text, &own) {
                prop_assert_eq!(preset.columns.len(), 2);
            }
        }
    }
}
