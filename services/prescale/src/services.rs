//! The services, in one list: what each is called, what it reads of the configuration, which stages it has, what else
//! it does on the bus, and how it runs. `up`, topics, rights, settings, lag and accounting follow from it.

#[cfg(test)]
mod deployment;
mod section;
#[cfg(test)]
mod tests;

pub use section::Section;

use crate::settings::Settings;
use anyhow::{Context as _, Result, ensure};
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Graph, SourceEntry, StageEntry, Use, orders, service_main_reading};
use prescale_collector::Event;
use prescale_contracts::topics;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Stages as the bus runs them.
pub type Factories = Vec<Arc<dyn StageFactory>>;

/// A service.
#[derive(Clone, Copy)]
pub struct ServiceEntry {
    /// Its name, which is also that of its section of the configuration.
    pub name: &'static str,
    /// Its section of the configuration.
    pub section: Section,
    /// The stages that it runs; none where the configuration asks for none.
    pub stages: fn(&Settings) -> Vec<StageEntry>,
    /// How the bus makes those that keep a state.
    pub factories: fn(&Settings) -> Result<Factories>,
    /// What else it does on the bus, among these stages. A service without a stage and without any of it is off.
    pub uses: fn(&Settings, &Graph) -> Vec<Use>,
    /// Runs it until the shutdown.
    pub run: fn(&Launch<'_>) -> Result<()>,
}

/// What a service is run with.
pub struct Launch<'a> {
    /// The whole configuration, of which it takes what it needs.
    pub settings: &'a Settings,
    /// The installation.
    pub context: &'a Context,
    /// The bus.
    pub bus: &'a Arc<dyn Bus>,
    /// When to end.
    pub stop: &'a CancellationToken,
    /// Who hears what it has to tell.
    pub tell: &'a (dyn Fn(Told) + Sync),
}

/// What services tell those who started them.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What became of a source of the collector.
    Collected(Event),
    /// Where the scaler listens.
    Scaler(String),
    /// Where the console listens.
    Console(String),
}

impl Launch<'_> {
    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(self.bus)
    }
}

impl ServiceEntry {
    /// Whether the configuration asks for it.
    pub fn is_on(&self, settings: &Settings, graph: &Graph) -> bool {
        !(self.stages)(settings).is_empty() || !(self.uses)(settings, graph).is_empty()
    }
}

/// The services that ship, in the order of the data.
pub static SERVICES: [ServiceEntry; 12] = [
    ServiceEntry {
        name: "collector",
        section: section::of!(collector, |s| s.collector.check()),
        stages: |_| Vec::new(),
        factories: no_state,
        uses: |s, graph| prescale_collector::inputs::uses(&s.collector, graph),
        run: |l| {
            let observe = |event| (l.tell)(Told::Collected(event));
            prescale_collector::run_observed(&l.settings.collector, l.context, l.bus(), l.stop, &observe)
        },
    },
    ServiceEntry {
        name: "assembler",
        section: section::of!(assembler, |s| s.assembler.settings().map(drop)),
        stages: |s| {
            let is_on = s.assembler.enabled || s.collector.writes_points();
            if is_on { vec![prescale_assembler::STAGE] } else { Vec::new() }
        },
        factories: |s| Ok(vec![prescale_assembler::factory(&s.assembler)?]),
        uses: nothing_else,
        run: |l| prescale_assembler::run(&l.settings.assembler, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "fingerprinter",
        section: section::of!(fingerprinter, |s| {
            let features = s.fingerprinter.settings()?.features;
            prescale_fingerprinter::sql::query::FeatureQuery::new(&features).context("[fingerprinter.features]")?;
            Ok(())
        }),
        stages: |_| vec![prescale_fingerprinter::STAGE],
        factories: |s| Ok(vec![prescale_fingerprinter::factory(&s.fingerprinter)?]),
        uses: nothing_else,
        run: |l| prescale_fingerprinter::run(&l.settings.fingerprinter, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "predictor",
        section: section::of!(predictor, |s| {
            prescale_predictor::stage::Factory::new(s.predictor.settings()?)?;
            Ok(())
        }),
        stages: |s| s.predictor.stages(),
        factories: |s| prescale_predictor::factories(&s.predictor),
        uses: nothing_else,
        run: |l| prescale_predictor::run(&l.settings.predictor, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "planner",
        section: section::of!(planner, check_planner),
        stages: |_| vec![prescale_planner::STAGE],
        factories: |s| Ok(vec![prescale_planner::factory(&s.planner, s.named())?]),
        uses: nothing_else,
        run: |l| prescale_planner::run(&l.settings.planner, l.settings.named(), l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "governor",
        section: section::of!(governor, |s| s.governor.rules().map(drop)),
        stages: |_| vec![prescale_governor::STAGE],
        factories: |s| Ok(vec![prescale_governor::factory(&s.governor, s.bus.partitions)?]),
        uses: nothing_else,
        run: |l| prescale_governor::run(&l.settings.governor, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "actuator",
        section: section::of!(actuator, |s| prescale_actuator::stage::Factory::new(&s.actuator).map(drop)),
        stages: |_| vec![prescale_actuator::STAGE],
        factories: |s| Ok(vec![prescale_actuator::factory(&s.actuator)?]),
        uses: |s, _| prescale_actuator::uses(&s.actuator),
        run: |l| prescale_actuator::run(&l.settings.actuator, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "detector",
        section: section::of!(detector, |s| s.detector.check(&s.grouper.groups)),
        stages: |s| s.detector.stages(),
        factories: |s| prescale_detector::factories(&s.detector, s.named()),
        uses: nothing_else,
        run: |l| prescale_detector::run(&l.settings.detector, l.settings.named(), l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "grouper",
        section: section::of!(grouper, |s| {
            s.grouper.groups()?;
            s.grouper.patience_bins().map(drop)
        }),
        stages: |s| s.grouper.stages(),
        factories: |s| prescale_grouper::factories(&s.grouper),
        uses: nothing_else,
        run: |l| prescale_grouper::run(&l.settings.grouper, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "archiver",
        section: section::of!(archiver, |s| s.archiver.check()),
        stages: |s| s.archiver.stages(),
        factories: no_state,
        uses: nothing_else,
        run: |l| prescale_archiver::run(&l.settings.archiver, l.context, l.bus(), l.stop),
    },
    ServiceEntry {
        name: "scaler",
        section: Section::own::<prescale_scaler::Config>(|s| scaler(s).check()),
        stages: |_| Vec::new(),
        factories: no_state,
        uses: |s, _| {
            let reads = prescale_scaler::READS.map(|topic| Use::Reads(topic.to_owned()));
            if scaler(s).is_enabled() { Vec::from(reads) } else { Vec::new() }
        },
        run: |l| {
            let bound = |url| (l.tell)(Told::Scaler(url));
            prescale_scaler::run_reporting(&scaler(l.settings), l.context, l.bus(), l.stop, bound)
        },
    },
    ServiceEntry {
        name: "console",
        section: section::of!(console, |s| {
            s.console.checked_address()?;
            s.console.tls.read("console.tls")?;
            Ok(())
        }),
        stages: |_| Vec::new(),
        factories: no_state,
        uses: console_uses,
        run: run_console,
    },
];

/// Operators' orders, from the console and from the command line.
pub const ORDERS: SourceEntry = SourceEntry { id: Some(orders::SOURCE), topics: &[topics::PROPOSALS] };

/// For services that only run stages.
pub fn nothing_else(_settings: &Settings, _graph: &Graph) -> Vec<Use> {
    Vec::new()
}

/// For services without a stage, and for those whose stages keep no state.
pub fn no_state(_settings: &Settings) -> Result<Factories> {
    Ok(Vec::new())
}

fn scaler(settings: &Settings) -> Cow<'_, prescale_scaler::Config> {
    settings.own.get("scaler").map_or_else(Cow::default, Cow::Borrowed)
}

fn console_uses(_settings: &Settings, graph: &Graph) -> Vec<Use> {
    let shown = prescale_console::READS.map(|topic| Use::Reads(topic.to_owned()));
    let dead_letters = graph.inputs().into_iter().map(|topic| Use::Reads(topics::dlq_of(topic)));
    let watched = graph.stages().iter().copied().map(Use::Watches);
    shown.into_iter().chain(dead_letters).chain(watched).chain([Use::Writes(ORDERS)]).collect()
}

fn check_planner(settings: &Settings) -> Result<()> {
    settings.planner.terms(&settings.grouper.groups)?;
    for rate in settings.planner.rated() {
        let is_forecast = settings.predictor.resources.iter().any(|resource| resource == rate);
        ensure!(is_forecast, "[planner.rates.{rate}]: it is not forecast: add {rate:?} to [predictor] resources");
    }
    Ok(())
}

fn run_console(launch: &Launch<'_>) -> Result<()> {
    let Settings { console, planner, .. } = launch.settings;
    let scheme = console.scheme();
    let bound = |address: SocketAddr| (launch.tell)(Told::Console(format!("{scheme}://{address}")));
    let planner = (planner, launch.settings.named());
    prescale_console::run_reporting(console, planner, launch.context, launch.bus(), launch.stop, bound)
}

/// The stages of these services, by what the configuration asks for, and the sources that write beside them.
pub fn graph(services: &[ServiceEntry], settings: &Settings) -> Graph {
    let stages: Vec<StageEntry> = services.iter().flat_map(|service| (service.stages)(settings)).collect();
    let graph = Graph::new(&stages);
    let uses = services.iter().flat_map(|service| (service.uses)(settings, &graph));
    let mut sources: Vec<SourceEntry> = Vec::new();
    for one in uses {
        if let Use::Writes(source) = one
            && !sources.contains(&source)
        {
            sources.push(source);
        }
    }
    graph.with_sources(sources)
}

/// The installation with all of its stages, as those see it who look at the services from outside.
pub fn installation(settings: &Settings) -> Context {
    Context::new(&settings.bus).with_graph(graph(&SERVICES, settings))
}

/// Runs one of the services that ship as this process, with the stages of all of them in view.
pub fn service_process(name: &'static str) -> ExitCode {
    let Some(service) = SERVICES.iter().find(|service| service.name == name) else {
        eprintln!("there is no service {name:?}");
        return ExitCode::FAILURE;
    };
    service_main_reading(
        name,
        |loader| Ok((service, Settings::read(&SERVICES, loader)?)),
        |(service, settings): &(&'static ServiceEntry, Settings), context, bus, stop| {
            let context = context.clone().with_graph(graph(&SERVICES, settings));
            let tell = |told| {
                if let Told::Console(url) = told {
                    tracing::info!("console at {url}");
                }
            };
            (service.run)(&Launch { settings, context: &context, bus: &bus, stop, tell: &tell })
        },
    )
}
