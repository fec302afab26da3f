//! The verbs of the command line and what each of them calls.
//!
//! Exit codes: 0 done, 1 failed, 64 bad usage or configuration.

mod anomalies;
mod args;
mod backtest;
mod common;
mod incidents;
mod model;
mod preview;
mod replay;

use crate::account::{self, StageAccount};
use crate::acls;
use crate::bus_commands::{self, GroupInput, Tail};
use crate::dead_letters::{self, Listing};
use crate::services::{SERVICES, graph, installation};
use crate::settings::Settings;
use crate::{check_config, pretty_json, retraining, state_report, topics, up};
use anyhow::{Context as _, Result};
use args::{
    AccountArgs, AclsArgs, BusVerb, Cli, DlqListArgs, DlqReplayArgs, DlqVerb, ExplainArgs, RetrainingArgs, ScopeArgs,
    StartFrom, TailArgs, TopicsVerb, UpArgs, Verb,
};
use clap::Parser as _;
use common::Format;
use prescale_bus::dlq::ReplayRequest;
use prescale_bus::kafka::acls::AclTool;
use prescale_bus::{Bus, ReadFrom, TopicSpec};
use prescale_chassis::StageEntry;
use prescale_chassis::explain::{BACK_WHOLE, ExplainError, Question, explained};
use prescale_chassis::orders::{self, Wish};
use prescale_chassis::ready::ask_ready;
use prescale_chassis::service::EXIT_USAGE;
use prescale_chassis::{HealthRegistry, Loader, open_bus, shutdown, telemetry, with_registry};
use prescale_contracts::parse_rfc3339;
use prescale_domain::governor::Effect;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How a command failed.
enum Failure {
    /// The configuration or the usage is wrong.
    Usage(anyhow::Error),
    /// It could not do what it was asked for.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe while help is printed is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            eprintln!("prescale: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("prescale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_it = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_it))
}

fn run(cli: Cli) -> Result<(), Failure> {
    let config = cli.config.as_deref();
    match cli.verb {
        Verb::Up(args) => up(config, &args),
        Verb::Preview(args) => preview::run(config, &args),
        Verb::CheckConfig => check(config),
        Verb::Topics { verb: TopicsVerb::Acls(args) } => acls(config, &args),
        Verb::Topics { verb: TopicsVerb::Plan { format } } => plan_topics(config, format),
        Verb::Topics { verb: TopicsVerb::Apply } => apply_topics(config),
        Verb::Bus { verb: BusVerb::Tail(args) } => tail(config, &args),
        Verb::Bus { verb: BusVerb::Lag { format } } => lag(config, format),
        Verb::Dlq { verb: DlqVerb::List(args) } => dlq_list(config, &args),
        Verb::Dlq { verb: DlqVerb::Replay(args) } => dlq_replay(config, &args),
        Verb::Explain(args) => explain(config, &args),
        Verb::Pause(args) => {
            let effect = if args.scale_in_only { Effect::PauseScaleIn } else { Effect::Pause };
            order(config, &args.scope, effect, &args.why)
        }
        Verb::Resume(args) => order(config, &args.scope, Effect::Resume, &args.why),
        Verb::Account(args) => account(config, &args),
        Verb::Backtest(args) => backtest::run(config, &args),
        Verb::Anomalies(args) => anomalies::run(config, &args),
        Verb::Replay(args) => replay::run(config, &args),
        Verb::Incidents(args) => incidents::run(config, &args),
        Verb::Model { verb } => model::run(config, &verb),
        Verb::Retraining(args) => retraining(config, &args),
        Verb::Health(health) => Ok(ask_ready(&health.address, health.tls().as_ref())?),
    }
}

/// The configuration, checked.
fn load(config: Option<&Path>) -> Result<Settings, Failure> {
    let read = || -> Result<Settings> {
        let loader = Loader::new(config)?;
        let settings = Settings::read(&SERVICES, &loader)?;
        settings.check(&SERVICES).map_err(|refusal| loader.placed(refusal))?;
        Ok(settings)
    };
    read().map_err(Failure::Usage)
}

/// The configuration and the bus, for the verbs that read what records say.
fn open(config: Option<&Path>) -> Result<(Settings, Arc<dyn Bus>), Failure> {
    let (settings, bus) = open_bytes(config)?;
    let registry = &settings.schema_registry;
    let bus = with_registry(bus, &settings.bus, registry, &HealthRegistry::default(), &CancellationToken::new())?;
    Ok((settings, bus))
}

/// The configuration, for the verbs that end by themselves: they log warnings alone.
fn load_quietly(config: Option<&Path>) -> Result<Settings, Failure> {
    quietly(load(config)?)
}

/// Begins to log warnings alone.
fn quietly(mut settings: Settings) -> Result<Settings, Failure> {
    settings.telemetry.log_level = "warn".to_owned();
    telemetry::init_logs(&settings.telemetry).map_err(Failure::Usage)?;
    Ok(settings)
}

/// The configuration and the bus with the records' bytes as they lie there.
fn open_bytes(config: Option<&Path>) -> Result<(Settings, Arc<dyn Bus>), Failure> {
    let settings = load_quietly(config)?;
    let bus = open_bus(&settings.bus)?;
    Ok((settings, bus))
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes()).context("cannot write the output")?)
}

fn up(config: Option<&Path>, args: &UpArgs) -> Result<(), Failure> {
    let loader = Loader::new(config).map_err(|e| Failure::Usage(e.into()))?;
    let mut settings = Settings::read(&SERVICES, &loader).map_err(|e| Failure::Usage(e.into()))?;
    let checked = args.apply(&mut settings).and_then(|()| settings.check(&SERVICES));
    checked.map_err(|refusal| Failure::Usage(loader.placed(refusal)))?;
    telemetry::init_logs(&settings.telemetry).map_err(Failure::Usage)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    Ok(up::up(&SERVICES, &settings, args.until_done, &shutdown)?)
}

fn check(config: Option<&Path>) -> Result<(), Failure> {
    let settings = load(config)?;
    let (in_force, overrides) = (check_config::in_force(&SERVICES, &settings)?, check_config::overrides(&settings));
    say(&format!("{in_force}{overrides}{}", state_report::report(&SERVICES, &settings)))
}

/// The bus, and the topics that it should have.
fn open_topics(config: Option<&Path>) -> Result<(Arc<dyn Bus>, Vec<TopicSpec>), Failure> {
    let (settings, bus) = open_bytes(config)?;
    let wanted = topics::specs(&graph(&SERVICES, &settings), settings.bus.partitions, settings.bus.replication);
    Ok((bus, wanted))
}

fn plan_topics(config: Option<&Path>, format: Format) -> Result<(), Failure> {
    let (bus, wanted) = open_topics(config)?;
    say(&topics::plan(bus.as_ref(), &wanted, format == Format::Json)?)
}

fn apply_topics(config: Option<&Path>) -> Result<(), Failure> {
    let (bus, wanted) = open_topics(config)?;
    let planned = topics::plan(bus.as_ref(), &wanted, false)?;
    bus.ensure_topics(&wanted).context("the topics were not all made")?;
    say(&planned)
}

fn acls(config: Option<&Path>, args: &AclsArgs) -> Result<(), Failure> {
    let settings = load(config)?;
    let kafka = &settings.bus.kafka;
    let mut services = acls::service_acls(&SERVICES, &installation(&settings), &settings, &kafka.topic_prefix);
    if let Some(only) = &args.service {
        let known = services.iter().map(|s| s.service).collect::<Vec<_>>().join(", ");
        services.retain(|s| s.service == only);
        if services.is_empty() {
            return Err(Failure::Usage(anyhow::anyhow!("--service {only:?} is none of {known}")));
        }
    }
    let tool =
        AclTool { bootstrap_servers: kafka.bootstrap_servers.clone(), command_config: args.command_config.clone() };
    say(&acls::rendered(&services, &tool, &args.principal_prefix, args.format == Format::Json)?)
}

fn tail(config: Option<&Path>, args: &TailArgs) -> Result<(), Failure> {
    let (_, bus) = open(config)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let what = Tail {
        topic: args.topic.clone(),
        from: match args.from {
            StartFrom::Earliest => ReadFrom::Earliest,
            StartFrom::Latest => ReadFrom::Latest,
            StartFrom::Back(records) => ReadFrom::Back(records),
        },
        workload: args.workload.clone(),
        limit: args.limit,
        follow: args.follow,
        as_json: args.format == Format::Json,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    bus_commands::tail(bus.as_ref(), &what, &mut out, &shutdown)?;
    Ok(out.flush().context("cannot write the output")?)
}

fn lag(config: Option<&Path>, format: Format) -> Result<(), Failure> {
    let (settings, bus) = open_bytes(config)?;
    let context = installation(&settings);
    let input = |stage: &StageEntry| GroupInput { group: context.group(stage.stage), topic: stage.input };
    let inputs: Vec<GroupInput> = context.graph.stages().iter().map(input).collect();
    say(&bus_commands::lag(bus.as_ref(), &inputs, format == Format::Json)?)
}

fn dlq_list(config: Option<&Path>, args: &DlqListArgs) -> Result<(), Failure> {
    let (_, bus) = open(config)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let listing = Listing {
        topic: args.topic.clone(),
        filter: args.selection.filter(),
        records: args.records,
        as_json: args.format == Format::Json,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    dead_letters::list(bus.as_ref(), &listing, &mut out, &shutdown)?;
    Ok(out.flush().context("cannot write the output")?)
}

fn dlq_replay(config: Option<&Path>, args: &DlqReplayArgs) -> Result<(), Failure> {
    let (_, bus) = open_bytes(config)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let request = ReplayRequest {
        topic: dead_letters::topic_named(&args.topic).to_owned(),
        filter: args.selection.filter(),
        limit: args.limit,
        dry_run: args.dry_run,
        from_start: args.from_start,
    };
    say(&dead_letters::replay(bus.as_ref(), &request, &shutdown)?)
}

fn explain(config: Option<&Path>, args: &ExplainArgs) -> Result<(), Failure> {
    let (settings, bus) = open(config)?;
    let rules = settings.rules().map_err(Failure::Usage)?;
    let fleets = prescale_chassis::fleets(&settings.governor.fleets).map_err(Failure::Usage)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let instant = |text: &String| {
        parse_rfc3339(text).with_context(|| format!("--at {text:?}: give an instant such as 2026-03-01T12:00:00Z"))
    };
    let question = Question {
        workload: &args.workload,
        at: args.at.as_ref().map(instant).transpose().map_err(Failure::Usage)?,
        actions_max: args.actions,
        back_records: args.back.unwrap_or(BACK_WHOLE),
    };
    let explanation = explained(bus.as_ref(), (&rules, &fleets), &question, &shutdown)
        .map_err(|error| with_remedy(error, args.back.is_some()))?;
    match args.format {
        Format::Json => say(&pretty_json(&explanation.json()?)?),
        Format::Text => say(&explanation.text()),
    }
}

/// `reads_part` is whether no more than a part of the log was read.
fn with_remedy(error: ExplainError, reads_part: bool) -> anyhow::Error {
    let why = match error {
        ExplainError::Unknown(why) => why,
        ExplainError::Failed(error) => return error,
    };
    let all = if reads_part { ", without --back all of the log is read" } else { "" };
    anyhow::anyhow!("{why}: `prescale bus tail raw-kpis --limit 20` shows the names in use{all}")
}

fn order(config: Option<&Path>, scope: &ScopeArgs, effect: Effect, why: &str) -> Result<(), Failure> {
    let scope = scope.scope().map_err(Failure::Usage)?;
    let (_, bus) = open(config)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let by = std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned());
    let wish = Wish { scope, effect, why: why.to_owned(), by };
    say(&orders::order(bus.as_ref(), wish, &shutdown)?)
}

fn retraining(config: Option<&Path>, args: &RetrainingArgs) -> Result<(), Failure> {
    let (settings, bus) = open(config)?;
    let predictor = settings.predictor.settings().map_err(Failure::Usage)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let open = retraining::open(bus.as_ref(), &predictor, &shutdown)?;
    match args.format {
        Format::Json => say(&pretty_json(&retraining::as_json(&open))?),
        Format::Text => say(&retraining::as_text(&open)),
    }
}

fn account(config: Option<&Path>, args: &AccountArgs) -> Result<(), Failure> {
    let (settings, bus) = open_bytes(config)?;
    let shutdown = shutdown::on_signals().context("cannot set up the signal handlers")?;
    let accounts = account::account(bus.as_ref(), &installation(&settings), &shutdown)?;
    match args.format {
        Format::Json => say(&pretty_json(&accounts)?)?,
        Format::Text => say(&account::table(&accounts))?,
    }
    let faults: Vec<String> = accounts.iter().flat_map(StageAccount::faults).collect();
    if faults.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow::anyhow!(faults.join("; ")))) }
}
