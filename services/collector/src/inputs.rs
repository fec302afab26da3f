//! The inputs, in one list: what each is called, what it reads of the configuration, what it does on the bus, and how it
//! runs. What runs, is checked and has rights follows from the list, so an input is its module and its entry.

use crate::config::Config;
use crate::event::Event;
use crate::{fleet, host, influx, kafka_topics, kubernetes, otlp, prometheus, remote_write, replay};
use anyhow::Result;
use prescale_bus::Bus;
use prescale_chassis::config::{PartKind, Parts};
use prescale_chassis::{ComponentHealth, Context, Graph, SourceEntry, Use};
use prescale_contracts::topics;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use toml::Table;

#[cfg(test)]
mod tests;

/// An input.
#[derive(Clone, Copy)]
pub struct InputEntry {
    /// Its name, which is also that of its table in section `[collector]`.
    pub name: &'static str,
    /// Its table; `None` where [`Config`] has a field for it.
    pub table: Option<PartKind>,
    /// Refuses what no type can: ranges, keys that contradict each other.
    pub check: fn(&Config) -> Result<()>,
    /// Whether the configuration asks for it.
    pub is_on: fn(&Config) -> bool,
    /// What it does on the bus beside writing samples, among these stages.
    pub uses: fn(&Config, &Graph) -> Vec<Use>,
    /// Runs it until its end or the shutdown.
    pub run: fn(&Launch<'_>) -> Result<()>,
}

/// What an input is run with.
pub struct Launch<'a> {
    /// The section.
    pub config: &'a Config,
    /// The installation.
    pub context: &'a Context,
    /// The bus.
    pub bus: &'a dyn Bus,
    /// When to end.
    pub stop: &'a CancellationToken,
    /// Who hears of progress and ends.
    pub observe: &'a (dyn Fn(Event) + Sync),
}

/// The inputs that ship.
pub static INPUTS: [InputEntry; 9] = [
    host::ENTRY,
    prometheus::ENTRY,
    remote_write::ENTRY,
    otlp::ENTRY,
    influx::ENTRY,
    kafka_topics::ENTRY,
    kubernetes::ENTRY,
    replay::ENTRY,
    fleet::ENTRY,
];

const SAMPLES: SourceEntry = SourceEntry { id: None, topics: &[topics::RAW_KPIS] };

/// The health of an input.
pub(crate) fn health(context: &Context, input: &InputEntry) -> ComponentHealth {
    context.health.component(&format!("collector.{}", input.name))
}

/// What the collector does on the bus, among these stages.
pub fn uses(config: &Config, graph: &Graph) -> Vec<Use> {
    uses_of(&INPUTS, config, graph)
}

fn uses_of(inputs: &[InputEntry], config: &Config, graph: &Graph) -> Vec<Use> {
    let on = inputs.iter().filter(|input| (input.is_on)(config));
    [Use::Writes(SAMPLES)].into_iter().chain(on.flat_map(|input| (input.uses)(config, graph))).collect()
}

/// The tables of the inputs for which [`Config`] has no field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct OwnTables(Parts);

impl Default for OwnTables {
    fn default() -> Self {
        Self(Parts::defaults(INPUTS.iter().filter_map(|input| input.table)))
    }
}

impl TryFrom<Table> for OwnTables {
    type Error = String;

    fn try_from(rest: Table) -> Result<Self, String> {
        Self::read(&INPUTS, &rest)
    }
}

impl OwnTables {
    /// From what a section has beside the fields of [`Config`].
    ///
    /// # Errors
    /// With the key that no input has, or whose value does not fit.
    pub fn read(inputs: &[InputEntry], rest: &Table) -> Result<Self, String> {
        let kinds: Vec<PartKind> = inputs.iter().filter_map(|input| input.table).collect();
        let fields: Vec<&str> = inputs.iter().filter(|input| input.table.is_none()).map(|input| input.name).collect();
        Parts::read(&kinds, &fields, rest).map(Self)
    }

    /// The table of that name; `None` where there is none, or it is no `C`.
    pub fn get<C: std::any::Any>(&self, name: &str) -> Option<&C> {
        self.0.get(name)
    }
}
