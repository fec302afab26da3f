//! Sections `[planner.for.NAME]`: keys of `[planner]` for some workloads, on top of the general ones.

use super::Config;
use anyhow::{Context as _, Result, ensure};
use prescale_chassis::config::hint;
use prescale_chassis::{GroupsConfig, read_strictly, selector};
use prescale_domain::policy::rule_book::{Reach, Section};
use prescale_domain::policy::{RuleBook, Rules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::{Table, Value};

/// The key of `[planner]` that sections stand under.
const FOR: &str = "for";
/// A key of `[planner]` that is the same for all workloads.
const OUTCOMES: &str = "outcomes";

/// The sections by name.
pub type SectionsConfig = BTreeMap<String, SectionConfig>;

/// Section `[planner.for.NAME]`. It holds for a workload whose name, source and group are all among those that it gives;
/// a list that is empty lets all through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct SectionConfig {
    /// Sections go on top of each other by this, and then by name; the later count.
    pub priority: i64,
    /// Patterns of workload names, such as `web-*`.
    pub workloads: Vec<String>,
    /// Patterns of sources, such as `fleet:*`.
    pub sources: Vec<String>,
    /// Names of groups of `[grouper.groups]`.
    pub groups: Vec<String>,
    /// Keys of `[planner]`, with what they are for these workloads.
    #[serde(flatten)]
    pub overrides: Table,
}

/// The keys of a section that are its own.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    priority: i64,
    workloads: Vec<String>,
    sources: Vec<String>,
    groups: Vec<String>,
}

const OWN: [&str; 4] = ["priority", "workloads", "sources", "groups"];

impl TryFrom<Table> for SectionConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let (own, overrides): (Table, Table) = table.into_iter().partition(|(key, _)| OWN.contains(&key.as_str()));
        let Own { priority, workloads, sources, groups } = read_strictly(&own)?;
        ensure_of_some(&overrides)?;
        ensure_known(&overrides)?;
        read_strictly::<Config>(&overrides)?;
        Ok(Self { priority, workloads, sources, groups, overrides })
    }
}

/// Refuses what cannot be said of some workloads alone.
fn ensure_of_some(overrides: &Table) -> Result<(), String> {
    if overrides.contains_key(FOR) {
        return Err("for: a section has no sections of its own: give it a priority instead".to_owned());
    }
    if overrides.contains_key(OUTCOMES) {
        return Err("outcomes: it is the same for all workloads: set [planner.outcomes]".to_owned());
    }
    Ok(())
}

/// What is misspelt may be a key of the section's own as well as one of `[planner]`.
fn ensure_known(overrides: &Table) -> Result<(), String> {
    let general = Table::try_from(Config::default()).map_err(|e| e.to_string())?;
    let known = || general.keys().map(String::as_str).filter(|key| ![FOR, OUTCOMES].contains(key)).chain(OWN);
    match overrides.keys().find(|key| !general.contains_key(*key)) {
        Some(key) => Err(format!("{key}: unknown key, {}", hint(key, known()))),
        None => Ok(()),
    }
}

impl SectionConfig {
    fn reach(&self, key: &str, groups: &GroupsConfig) -> Result<Reach> {
        ensure!(
            !(self.workloads.is_empty() && self.sources.is_empty() && self.groups.is_empty()),
            "{key} has neither workloads nor sources nor groups: give patterns, \"*\" for all"
        );
        let mut lists = vec![vec![selector(key, &self.workloads, &self.sources)?]];
        let member = |name: &String| {
            let known = || groups.keys().cloned().collect::<Vec<_>>().join(", ");
            let group = groups.get(name).with_context(|| match groups.len() {
                0 => format!("{key} groups: there is no group {name:?}: make a section [grouper.groups.{name}]"),
                _ => format!("{key} groups: there is no group {name:?}, only {}", known()),
            })?;
            group.members(&format!("[grouper.groups.{name}]"))
        };
        if !self.groups.is_empty() {
            lists.push(self.groups.iter().map(member).collect::<Result<_>>()?);
        }
        Ok(Reach(lists))
    }

    /// The keys that it overrides, dotted, each with its value, in their order.
    pub fn overridden(&self) -> Vec<(String, &Value)> {
        let mut found = Vec::new();
        leaves(&self.overrides, "", &mut found);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

fn leaves<'a>(table: &'a Table, under: &str, found: &mut Vec<(String, &'a Value)>) {
    for (key, value) in table {
        let path = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
        match value {
            Value::Table(deeper) => leaves(deeper, &path, found),
            value => found.push((path, value)),
        }
    }
}

/// The general rules and those of the sections.
pub(super) fn rule_book(config: &Config, groups: &GroupsConfig) -> Result<RuleBook> {
    let general = config.general_rules("[planner]")?;
    if config.sections.is_empty() {
        return Ok(general.into());
    }
    let section = |(name, section): (&String, &SectionConfig)| {
        let reach = section.reach(&format!("[planner.{FOR}.{name}]"), groups)?;
        Ok(Section { name: name.as_str().into(), priority: section.priority, reach })
    };
    let sections = config.sections.iter().map(section).collect::<Result<Vec<_>>>()?;
    let base = base_table(config)?;
    let book = RuleBook::new(general, sections, |names| composed(config, &base, names));
    book.map_err(|e| match e {
        prescale_domain::policy::rule_book::RuleBookError::Rules(e) => e,
        too_many => anyhow::anyhow!("[planner.{FOR}]: {too_many}"),
    })
}

/// The section `[planner]` without those for some workloads.
fn base_table(config: &Config) -> Result<Table> {
    let mut base = Table::try_from(config).context("the section [planner] cannot be written")?;
    base.remove(FOR);
    Ok(base)
}

fn composed(config: &Config, base: &Table, names: &[Arc<str>]) -> Result<Rules> {
    let mut table = base.clone();
    for name in names {
        if let Some(section) = config.sections.get(&**name) {
            put_over(&mut table, &section.overrides);
        }
    }
    let keys: Vec<String> = names.iter().map(|name| format!("[planner.{FOR}.{name}]")).collect();
    let key = keys.join(", then ");
    let config: Config = read_strictly(&table).map_err(|e| anyhow::anyhow!("{key}: {e}"))?;
    config.general_rules(&key)
}

fn put_over(table: &mut Table, overrides: &Table) {
    for (key, value) in overrides {
        match (table.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => put_over(under, over),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
