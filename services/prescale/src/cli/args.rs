//! What the command line takes.

use super::anomalies::AnomaliesArgs;
use super::backtest::BacktestArgs;
use super::common::{Format, map_and_limit};
use super::incidents::IncidentsArgs;
use super::model::ModelVerb;
use super::replay::ReplayArgs;
use crate::settings::Settings;
use anyhow::{Result, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use prescale_bus::dlq::LetterFilter;
use prescale_chassis::explain::ACTIONS_SHOWN;
use prescale_chassis::ready::AskTls;
use prescale_collector::config::{KubernetesConfig, ReplayConfig};
use prescale_domain::governor::Scope;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Parser)]
#[command(
    name = "prescale",
    version,
    about = "Autoscaling ahead of the load: forecasts demand and plans capacity before it is needed.",
    after_help = "Exit codes: 0 done, 1 failed, 64 bad usage or configuration."
)]
pub(super) struct Cli {
    /// Configuration; otherwise PRESCALE_CONFIG, then ./prescale.toml, then the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run every service in this process, with the console on http://127.0.0.1:8080.
    Up(UpArgs),
    /// Say what would be read from a Prometheus, a trace, a topic of others or what is pushed, and what looks wrong, before
    /// anything is.
    Preview(PreviewArgs),
    /// Check the configuration and print what is in force.
    CheckConfig,
    /// The topics that the pipeline needs.
    Topics {
        #[command(subcommand)]
        verb: TopicsVerb,
    },
    /// Read what is on the bus.
    Bus {
        #[command(subcommand)]
        verb: BusVerb,
    },
    /// The dead letter queues: records that a stage could not use.
    Dlq {
        #[command(subcommand)]
        verb: DlqVerb,
    },
    /// Say why a workload's capacity is what it is.
    Explain(ExplainArgs),
    /// Score every forecaster on a trace, as it would have run.
    Backtest(BacktestArgs),
    /// Say how unusual each workload of a trace was, bin by bin.
    Anomalies(AnomaliesArgs),
    /// Compare policies on a trace, each with a capacity that follows its decisions.
    Replay(Box<ReplayArgs>),
    /// Say how many alerts there would be on a trace, or how well those of a generated fleet find what happens to it.
    Incidents(IncidentsArgs),
    /// The models of trained families: check them, see which are in use, and change that.
    Model {
        #[command(subcommand)]
        verb: ModelVerb,
    },
    /// The trained families whose forecasts got worse for good, and what they should be trained anew on.
    Retraining(RetrainingArgs),
    /// Let nothing change, in all fleets, one fleet or one workload, until it is resumed.
    Pause(PauseArgs),
    /// Lift the order that was given for the same.
    Resume(ResumeArgs),
    /// Read the whole log and account for every record of every stage.
    Account(AccountArgs),
    /// Ask a service whether it is ready.
    Health(HealthArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale health --address 127.0.0.1:9095
  prescale health --ca-file ca.crt --certificate-file me.crt --key-file me.key
      a port with [telemetry.tls] client_ca_file")]
pub(super) struct HealthArgs {
    /// Its telemetry address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9095")]
    pub(super) address: String,
    /// Ask over TLS, and check the service's certificate against these (PEM).
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate (PEM) to show.
    #[arg(long, value_name = "FILE", requires_all = ["ca_file", "key_file"])]
    certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

impl HealthArgs {
    pub(super) fn tls(&self) -> Option<AskTls> {
        let own = self.certificate_file.clone().zip(self.key_file.clone());
        self.ca_file.clone().map(|ca_file| AskTls { ca_file, own })
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale up
      live KPIs of this host and a generated fleet of 50 workloads
  prescale up --prometheus http://prometheus:9090 --preset kubernetes
      what a Prometheus has: the last 14 days first, then live; `prescale preview` shows beforehand what that is
  prescale up --replay trace.parquet --speed max --until-done
      a trace, as fast as it goes; ends with the account of its rows
  prescale up --replay trace.csv.zst --map entity=vm,time=ts,cpu=cpu_pct/100*cores --speed 60
      a minute of the trace each second")]
pub(super) struct UpArgs {
    /// File of the embedded log.
    #[arg(long, value_name = "FILE")]
    pub(super) bus: Option<PathBuf>,
    /// Address of the console.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) listen: Option<String>,
    /// Workloads of the generated fleet; 0 for none.
    #[arg(long, value_name = "N")]
    pub(super) fleet: Option<u32>,
    /// Leave this host's own KPIs out.
    #[arg(long)]
    pub(super) no_host: bool,
    /// Read what a Prometheus has instead of the host and the fleet: where its API begins, without /api/v1.
    #[arg(long, value_name = "URL", conflicts_with = "replay")]
    pub(super) prometheus: Option<String>,
    /// What to ask it: cloudwatch-export, kubernetes, libvirt, node, otel-host, otel-kubernetes, telegraf, or a file of
    /// one's own (.toml).
    #[arg(long, value_name = "PRESET", requires = "prometheus")]
    pub(super) preset: Option<String>,
    /// One more KPI, such as 'requests=rate(orders_total[$window])'; several times for several.
    #[arg(long = "kpi", value_name = "NAME=QUERY", requires = "prometheus", value_parser = named_query)]
    pub(super) kpis: Vec<(String, String)>,
    /// Replay a trace (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern) instead of
    /// the host and the fleet.
    #[arg(long, value_name = "FILE")]
    pub(super) replay: Option<PathBuf>,
    /// The trace's columns: entity=COLUMN,time=COLUMN,cpu=EXPRESSION,... where the file is of no known layout. How it
    /// is written: time_unit=, time_form=, zone=, separator=, header=, decimal=, layout=columns.
    #[arg(long, value_name = "MAPPING", requires = "replay")]
    pub(super) map: Option<String>,
    /// `max`, or how many times faster than it was recorded.
    #[arg(long, value_name = "SPEED", requires = "replay")]
    pub(super) speed: Option<String>,
    /// First instant replayed, RFC 3339 or Unix seconds.
    #[arg(long, value_name = "INSTANT", requires = "replay")]
    pub(super) from: Option<String>,
    /// End of the replay, likewise, or a length such as +1d.
    #[arg(long, value_name = "INSTANT", requires = "replay")]
    pub(super) to: Option<String>,
    /// Stop when the replay is through, with an account of its rows.
    #[arg(long, requires = "replay")]
    pub(super) until_done: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale preview --prometheus http://prometheus:9090 --preset kubernetes
  prescale preview --format json
      what [collector.prometheus] names, or else the trace that [collector.replay] does
  prescale preview --replay trace.csv.zst --map entity=vm,time=ts,cpu=cpu_pct/100*cores
  prescale preview --kafka-topic metrics
      the newest messages of [collector.kafka_topics.metrics]; says which right is missing, where one is
  prescale preview --pushed
      what lies on topic raw-points of the configured bus, as the assembler makes samples of it")]
pub(super) struct PreviewArgs {
    /// Where its API begins, without /api/v1; otherwise what the configuration says.
    #[arg(long, value_name = "URL")]
    pub(super) prometheus: Option<String>,
    /// What to ask it: cloudwatch-export, kubernetes, libvirt, node, otel-host, otel-kubernetes, telegraf, or a file of
    /// one's own (.toml).
    #[arg(long, value_name = "PRESET")]
    pub(super) preset: Option<String>,
    /// One more KPI, such as 'requests=rate(orders_total[$window])'; several times for several.
    #[arg(long = "kpi", value_name = "NAME=QUERY", value_parser = named_query)]
    pub(super) kpis: Vec<(String, String)>,
    /// A trace instead (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prometheus", "preset", "kpis"])]
    pub(super) replay: Option<PathBuf>,
    /// The trace's columns, as for `prescale up`.
    #[arg(long, value_name = "MAPPING")]
    pub(super) map: Option<String>,
    /// First instant of the trace, RFC 3339 or Unix seconds.
    #[arg(long, value_name = "INSTANT")]
    pub(super) from: Option<String>,
    /// Its end, likewise, or a length such as +1d.
    #[arg(long, value_name = "INSTANT")]
    pub(super) to: Option<String>,
    /// A topic of others instead, by its name in [collector.kafka_topics].
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["prometheus", "preset", "kpis", "replay", "map", "from", "to", "pushed"]
    )]
    pub(super) kafka_topic: Option<String>,
    /// What was pushed and lies on the bus instead; --preset says what should be there.
    #[arg(long, conflicts_with_all = ["prometheus", "kpis", "replay", "map", "from", "to"])]
    pub(super) pushed: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

impl UpArgs {
    /// Puts the arguments over the configuration.
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<()> {
        let was_fed = is_fed(settings);
        let collector = &mut settings.collector;
        if let Some(file) = &self.replay {
            collector.replay.file = file.clone();
            collector.host.enabled = false;
            collector.fleet.enabled = false;
        } else if let Some(url) = &self.prometheus {
            collector.prometheus.url.clone_from(url);
            collector.host.enabled = false;
            collector.fleet.enabled = false;
        } else if !was_fed {
            // What `up` shows when nobody said what to show.
            collector.fleet.enabled = true;
        }
        if let Some(preset) = &self.preset {
            collector.prometheus.preset.clone_from(preset);
        }
        collector.prometheus.kpis.extend(self.kpis.iter().cloned());
        match self.fleet {
            Some(0) => collector.fleet.enabled = false,
            Some(workloads) => {
                collector.fleet.enabled = true;
                collector.fleet.workloads = workloads;
            }
            None => {}
        }
        if self.no_host {
            collector.host.enabled = false;
        }
        self.apply_to_replay(&mut collector.replay)?;
        if let Some(path) = &self.bus {
            settings.bus.embedded.path.clone_from(path);
        }
        if let Some(listen) = &self.listen {
            settings.console.listen.clone_from(listen);
        }
        let shown = &settings.collector;
        if !shown.host.enabled && !shown.fleet.enabled && !is_fed(settings) {
            bail!(
                "there is nothing to collect: leave --no-host out, or give --prometheus URL, --replay FILE, --fleet N, set `listen` of [collector.remote_write], [collector.otlp] or [collector.influx], name topics in [collector.kafka_topics], or a cluster in [collector.kubernetes]"
            );
        }
        Ok(())
    }

    fn apply_to_replay(&self, replay: &mut ReplayConfig) -> Result<()> {
        map_and_limit(replay, self.map.as_deref(), self.from.as_deref(), self.to.as_deref())?;
        if let Some(speed) = &self.speed {
            replay.speed = speed.parse().map_err(|e: String| anyhow!("--speed {speed:?}: {e}"))?;
        }
        Ok(())
    }
}

/// A KPI's name and its query.
fn named_query(text: &str) -> Result<(String, String), String> {
    let (name, query) = text.split_once('=').ok_or("write NAME=QUERY")?;
    Ok((name.trim().to_owned(), query.trim().to_owned()))
}

/// Whether the KPIs of others come in.
fn is_fed(settings: &Settings) -> bool {
    let collector = &settings.collector;
    collector.replay.is_enabled()
        || collector.prometheus.is_enabled()
        || collector.writes_points()
        || !collector.kafka_topics.is_empty()
        || collector.own.get::<KubernetesConfig>("kubernetes").is_some_and(KubernetesConfig::is_enabled)
        || settings.assembler.enabled
}

#[derive(Debug, Subcommand)]
pub(super) enum TopicsVerb {
    /// Print what `apply` would do.
    Plan {
        /// How.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make the topics that are missing.
    Apply,
    /// Print the least rights on Kafka that each service needs.
    Acls(AclsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale topics acls --command-config admin.properties | sh
      with kafka-acls.sh on the PATH; the services log in as prescale-collector, prescale-planner, ...
  prescale topics acls --principal-prefix User:CN=autoscaler- --service planner
  prescale topics acls --format json")]
pub(super) struct AclsArgs {
    /// What the principals begin with; the service's name follows.
    #[arg(long, value_name = "PREFIX", default_value = "User:prescale-")]
    pub(super) principal_prefix: String,
    /// File with the properties that kafka-acls.sh logs in with, for the commands.
    #[arg(long, value_name = "FILE")]
    pub(super) command_config: Option<String>,
    /// Only this service; `operator` is whoever uses this command line.
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// How.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum BusVerb {
    /// Print the records of a topic.
    Tail(TailArgs),
    /// Print how far each stage is behind.
    Lag {
        /// How.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale bus tail actions --follow
  prescale bus tail raw-kpis --workload web-1 --from 1000 --format json
  prescale bus tail raw-kpis.dlq --from earliest")]
pub(super) struct TailArgs {
    /// Topic, also a dead letter queue such as raw-kpis.dlq.
    pub(super) topic: String,
    /// Only this workload.
    #[arg(long, value_name = "NAME")]
    pub(super) workload: Option<String>,
    /// `earliest`, `latest`, or so many records before the end of each partition.
    #[arg(long, value_name = "START", default_value = "10")]
    pub(super) from: StartFrom,
    /// Stop after so many records.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Wait for more at the end.
    #[arg(long)]
    pub(super) follow: bool,
    /// How; JSON is one object a line.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum DlqVerb {
    /// Print what is in the queues: letters by topic, stage and reason.
    List(DlqListArgs),
    /// Write letters back to the topic that they came from, each once.
    Replay(DlqReplayArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale dlq list
  prescale dlq list raw-kpis --reason undecodable --records")]
pub(super) struct DlqListArgs {
    /// Only this topic's queue.
    pub(super) topic: Option<String>,
    #[command(flatten)]
    pub(super) selection: DlqSelection,
    /// The letters themselves: key, reason, and the value where it can be decoded.
    #[arg(long)]
    pub(super) records: bool,
    /// How; letters are one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "A letter goes back with its bytes and headers as they were. Which ones went is remembered:
another run, also after a kill, repeats none of them. The run ends where the queue ended when it began; a
letter that fails again is in the queue again, with its new reason, for the next run.

Examples:
  prescale dlq replay raw-kpis --dry-run
  prescale dlq replay raw-kpis --reason unknown_schema --limit 1000")]
pub(super) struct DlqReplayArgs {
    /// Topic that the letters came from.
    pub(super) topic: String,
    #[command(flatten)]
    pub(super) selection: DlqSelection,
    /// Replay at most so many.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// Only say how many it would be.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Replay also what was replayed before.
    #[arg(long)]
    pub(super) from_start: bool,
}

#[derive(Debug, Args)]
pub(super) struct DlqSelection {
    /// Only letters with this reason, as `dlq list` names it.
    #[arg(long, value_name = "CODE")]
    pub(super) reason: Option<String>,
    /// Only letters that this stage rejected.
    #[arg(long, value_name = "STAGE")]
    pub(super) stage: Option<String>,
}

impl DlqSelection {
    pub(super) fn filter(&self) -> LetterFilter {
        LetterFilter { code: self.reason.clone(), stage: self.stage.clone() }
    }
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Whose capacity.
    pub(super) workload: String,
    /// Most actions shown, the newest first.
    #[arg(long, value_name = "N", default_value_t = ACTIONS_SHOWN)]
    pub(super) actions: usize,
    /// Records of the workload's partition that are read back of each topic, for an answer sooner: what was not read is
    /// then said; all that the log holds if none.
    #[arg(long, value_name = "N")]
    pub(super) back: Option<u64>,
    /// As of this instant, RFC 3339; the newest decision if none. Decisions are made again with the rules of today: a
    /// warning says where the log holds others.
    #[arg(long, value_name = "INSTANT")]
    pub(super) at: Option<String>,
    /// How.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "It takes effect within seconds, holds increases that live use demands as well, and lasts until
it is resumed, also over restarts. What was admitted and is not carried out yet is withdrawn.

Examples:
  prescale pause --why 'migration of the metrics'
  prescale pause --fleet web --scale-in-only
  prescale pause --workload web-1")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
    /// Hold only what takes capacity away.
    #[arg(long)]
    pub(super) scale_in_only: bool,
    /// Why, for those who see it stand.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) why: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Orders for a fleet or a workload stand on their own: resuming all does not lift them.

Examples:
  prescale resume
  prescale resume --fleet web")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) why: String,
}

#[derive(Debug, Args)]
pub(super) struct ScopeArgs {
    /// Only this fleet: a name of [governor.fleets], or a source such as fleet:demo.
    #[arg(long, value_name = "NAME", conflicts_with = "workload")]
    fleet: Option<String>,
    /// Only this workload.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
}

impl ScopeArgs {
    pub(super) fn scope(&self) -> Result<Scope> {
        let text = match (&self.fleet, &self.workload) {
            (Some(fleet), _) => format!("fleet:{fleet}"),
            (None, Some(workload)) => format!("workload:{workload}"),
            (None, None) => return Ok(Scope::all()),
        };
        Ok(Scope::parse(&text)?)
    }
}

#[derive(Debug, Args)]
pub(super) struct RetrainingArgs {
    /// How.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct AccountArgs {
    /// How.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Where a tail begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartFrom {
    Earliest,
    Latest,
    Back(u64),
}

impl FromStr for StartFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => text.parse().map(Self::Back).map_err(|_| "give earliest, latest, or a number of records".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn up(args: &[&str]) -> (UpArgs, Settings) {
        let cli = Cli::try_parse_from(["prescale", "up"].iter().chain(args)).unwrap();
        let Verb::Up(args) = cli.verb else { panic!("up") };
        (args, Settings::default())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn up_alone_shows_the_host_and_a_fleet() {
        let (args, mut settings) = up(&[]);
        args.apply(&mut settings).unwrap();
        assert!(settings.collector.host.enabled && settings.collector.fleet.enabled);
    }

    #[test]
    fn a_replay_takes_the_place_of_what_is_live() {
        let (args, mut settings) = up(&["--replay", "a.parquet", "--speed", "max", "--to", "+1d"]);
        args.apply(&mut settings).unwrap();
        assert!(!settings.collector.host.enabled && !settings.collector.fleet.enabled);
        assert_eq!(settings.collector.replay.speed, "max".parse().unwrap());
        let (args, mut settings) = up(&["--replay", "a.parquet", "--fleet", "7"]);
        args.apply(&mut settings).unwrap();
        assert_eq!((settings.collector.fleet.enabled, settings.collector.fleet.workloads), (true, 7));
    }

    #[test]
    fn what_is_pushed_is_enough() {
        let (args, mut settings) = up(&["--no-host"]);
        settings.collector.remote_write.listen = "127.0.0.1:0".to_owned();
        args.apply(&mut settings).unwrap();
        assert!(!settings.collector.host.enabled && !settings.collector.fleet.enabled);
    }

    #[test]
    fn a_scope_is_all_unless_one_is_named() {
        let scope = |args: &[&str]| {
            let cli = Cli::try_parse_from(["prescale", "pause"].iter().chain(args)).unwrap();
            let Verb::Pause(args) = cli.verb else { panic!("pause") };
            args.scope.scope().unwrap().to_string()
        };
        assert_eq!(scope(&["--why", "x"]), "all");
        assert_eq!(scope(&["--fleet", "fleet:demo", "--scale-in-only"]), "fleet:fleet:demo");
        assert_eq!(scope(&["--workload", "web-1"]), "workload:web-1");
        assert!(Cli::try_parse_from(["prescale", "pause", "--fleet", "a", "--workload", "b"]).is_err());
        assert!(Cli::try_parse_from(["prescale", "resume", "--scale-in-only"]).is_err());
    }

    #[test]
    fn nothing_to_collect_and_options_without_a_replay_are_refused() {
        let (args, mut settings) = up(&["--no-host", "--fleet", "0"]);
        assert!(args.apply(&mut settings).unwrap_err().to_string().contains("nothing to collect"));
        assert!(Cli::try_parse_from(["prescale", "up", "--speed", "max"]).is_err());
        assert!(Cli::try_parse_from(["prescale", "bus", "tail", "actions", "--from", "yesterday"]).is_err());
    }
}
