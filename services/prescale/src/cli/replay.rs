//! `prescale replay` as the command line has it.

use super::common::{Format, map_and_limit};
use super::{Failure, load_quietly, say};
use crate::pretty_json;
use crate::replay::{self, Request, ShownDemand, Stamped};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use glob::Pattern;
use prescale_collector::config::{Moment, ReplayConfig};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(
    after_help = "Policies: as-bought, reactive-5m, reactive-1h (what all are compared with), window-max, vpa, holt-winters,
last-week-max, kedastral, foresight, foresight-8-changes, planner (as it is configured), any policy of the
planner by its name, and naive:planner (the planner on the last value's forecast). Knobs follow as
+KEY=VALUE; those of the planner are keys of its section. Policies of one name make a line in the plots.
A policy that chooses instance types (cost) sizes memory as well, so the trace has to have its use; prices
are those of [planner.prices].

Examples:
  prescale replay --data trace.parquet --from 2013-08-01T00:00:00Z --report report --sweep
  prescale replay --data trace.parquet --lead-time 5m --no-forecasts --policies window-max+window_s=1800
  prescale replay --data trace.csv.zst --map entity=vm,time=ts,cpu=cpu_pct/100*cores --format json
  prescale replay --data trace.parquet --policies planner,threshold+threshold.headroom=1.2+quantile=0.9"
)]
pub(super) struct ReplayArgs {
    /// The trace (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The trace's columns: entity=COLUMN,time=COLUMN,cpu=EXPRESSION,... where the file is of no known layout.
    #[arg(long, value_name = "MAPPING")]
    map: Option<String>,
    /// First instant that counts, RFC 3339 or Unix seconds; the trace is read from a warm-up before. Without it,
    /// a warm-up after the trace's beginning.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// End, likewise, or a length after --from such as +7d.
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Length of the warm-up.
    #[arg(long, value_name = "LENGTH", default_value = "7d")]
    warm_up: String,
    /// Times from a decision until it serves.
    #[arg(long, value_name = "LENGTH,...", value_delimiter = ',', default_value = "5m,15m")]
    lead_time: Vec<String>,
    /// The policies; all, if none.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    policies: Vec<String>,
    /// Run the simple rules also with other values of their knob, and the planner with other aims.
    #[arg(long)]
    sweep: bool,
    /// Only workloads with such names, such as 'web-*'.
    #[arg(long, value_name = "PATTERN")]
    workloads: Option<String>,
    /// Do not run the predictor: policies see the last value alone. Those that would do nothing so are refused.
    #[arg(long)]
    no_forecasts: bool,
    /// Let all that is decided out at once, as if there were no governor.
    #[arg(long)]
    no_governor: bool,
    /// Which end of its step a row's instant is.
    #[arg(long, value_enum, default_value_t = StampedArg::Start)]
    stamped: StampedArg,
    /// Which demand policies see: the trace's, or no more of it than the capacity that serves. Scores are by the
    /// trace's, and forecasts are made from it.
    #[arg(long, value_enum, default_value_t = KeepDemand::True)]
    keep_demand: KeepDemand,
    /// Smallest step of a capacity, in cores.
    #[arg(long, value_name = "CORES", default_value_t = 0.01)]
    grain: f64,
    /// Length of the bootstrap's blocks.
    #[arg(long, value_name = "DAYS", default_value_t = 3)]
    block_days: u32,
    /// Folder for report.json, report.html and the plots of what is traded (tradeoff-5m.svg, ...).
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StampedArg {
    /// A row is about the step from its instant on.
    Start,
    /// A row is about the step up to its instant.
    End,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeepDemand {
    /// The trace's.
    True,
    /// What is short shows its capacity.
    Capped,
}

impl ReplayArgs {
    fn request(&self) -> Result<Request> {
        let warm_up_s = length_s("--warm-up", &self.warm_up)?;
        let mut trace = ReplayConfig { file: self.data.clone(), ..ReplayConfig::default() };
        map_and_limit(&mut trace, self.map.as_deref(), self.from.as_deref(), self.to.as_deref())?;
        let scored_from = match trace.from {
            Moment::Open => None,
            Moment::At(at) => Some(at),
            Moment::After { .. } => bail!("--from: give an instant"),
        };
        if let Some(from) = scored_from {
            trace.to = trace.to.after(scored_from).map_or(Moment::Open, Moment::At);
            trace.from = Moment::At(from.plus_s(-i64::from(warm_up_s)));
        }
        let lead_time = |text: &String| length_s("--lead-time", text);
        let pattern = |text: &String| Pattern::new(text).with_context(|| format!("--workloads {text:?}"));
        Ok(Request {
            trace,
            scored_from,
            warm_up_s,
            lead_times_s: self.lead_time.iter().map(lead_time).collect::<Result<_>>()?,
            policies: self.policies.clone(),
            sweep: self.sweep,
            workloads: self.workloads.as_ref().map(pattern).transpose()?,
            forecasts: !self.no_forecasts,
            governor: !self.no_governor,
            stamped: match self.stamped {
                StampedArg::Start => Stamped::Start,
                StampedArg::End => Stamped::End,
            },
            shown: match self.keep_demand {
                KeepDemand::True => ShownDemand::Measured,
                KeepDemand::Capped => ShownDemand::Capped,
            },
            grain_cores: self.grain,
            block_days: self.block_days,
            report: self.report.clone(),
        })
    }
}

/// A length such as 7d, in seconds.
fn length_s(flag: &str, text: &str) -> Result<u32> {
    let seconds = match text {
        "0" => Some(0),
        _ => match format!("+{text}").parse() {
            Ok(Moment::After { seconds }) => u32::try_from(seconds).ok(),
            _ => None,
        },
    };
    seconds.ok_or_else(|| match text.parse::<u32>() {
        Ok(_) => anyhow!("{flag} {text:?} has no unit: write {text}s, {text}m, {text}h or {text}d"),
        Err(_) => anyhow!("{flag} {text:?} is no length: write 300s, 5m, 12h or 7d"),
    })
}

pub(super) fn run(config: Option<&Path>, args: &ReplayArgs) -> Result<(), Failure> {
    let settings = load_quietly(config)?;
    let request = args.request().map_err(Failure::Usage)?;
    replay::check(&settings, &request).map_err(Failure::Usage)?;
    let report = replay::replay(&settings, &request)?;
    match args.format {
        Format::Json => say(&pretty_json(&report)?),
        Format::Text => say(&report.table()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Verb};
    use super::*;
    use clap::Parser as _;

    fn request(args: &[&str]) -> Result<Request, String> {
        let cli = Cli::try_parse_from(["prescale", "replay", "--data", "trace.csv"].iter().chain(args)).unwrap();
        let Verb::Replay(args) = cli.verb else { panic!("replay") };
        args.request().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn lengths_have_units() {
        let read = request(&["--lead-time", "90s,5m,1h", "--warm-up", "2d"]).unwrap();
        assert_eq!((read.lead_times_s.as_slice(), read.warm_up_s), ([90, 300, 3600].as_slice(), 172_800));
        assert_eq!(request(&["--lead-time", "0"]).unwrap().lead_times_s, [0]);
        let refused = |args: &[&str]| request(args).unwrap_err();
        assert_eq!(refused(&["--lead-time", "5m,15"]), "--lead-time \"15\" has no unit: write 15s, 15m, 15h or 15d");
        assert_eq!(refused(&["--warm-up", "7"]), "--warm-up \"7\" has no unit: write 7s, 7m, 7h or 7d");
        assert!(refused(&["--lead-time", "5min"]).contains("is no length: write 300s, 5m, 12h or 7d"));
        let end = refused(&["--from", "2013-08-01T00:00:00Z", "--to", "+7"]);
        assert!(end.contains("--to \"+7\"") && end.contains("such as \"+1d\" (s, m, h, d)"), "{end}");
    }
}
