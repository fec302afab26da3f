//! `prescale incidents` as the command line has it.

use super::common::{Format, map_and_limit};
use super::{Failure, load_quietly, say};
use crate::incidents::{self, Generated, Request, Source};
use crate::pretty_json;
use clap::Args;
use prescale_collector::config::ReplayConfig;
use std::path::{Path, PathBuf};

/// Days in which nothing counts, of a generated fleet and of a trace.
const WARM_UP_DAYS: (u32, u32) = (7, 2);

#[derive(Debug, Args)]
#[command(after_help = "The rules are those of [detector]. Examples:
  prescale incidents --generated --workloads 200 --days 21
      what happens to a generated fleet by kind, how much of it is found and when, and what is told when nothing happens
  prescale incidents --generated --sweep
      the same by other alarm rules
  prescale incidents --data trace.parquet --map entity=vm_id,time=ts,cpu=cpu_usage
      how many incidents a trace would have had, before and after grouping")]
pub(super) struct IncidentsArgs {
    /// A trace (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern).
    #[arg(long, value_name = "FILE", required_unless_present = "generated", conflicts_with = "generated")]
    data: Option<PathBuf>,
    /// The trace's columns: entity=COLUMN,time=COLUMN,cpu=EXPRESSION,... where the file is of no known layout.
    #[arg(long, value_name = "MAPPING", requires = "data")]
    map: Option<String>,
    /// First instant read, RFC 3339 or Unix seconds.
    #[arg(long, value_name = "INSTANT", requires = "data")]
    from: Option<String>,
    /// End, likewise, or a length such as +7d.
    #[arg(long, value_name = "INSTANT", requires = "data")]
    to: Option<String>,
    /// A generated fleet instead, to which things happen.
    #[arg(long)]
    generated: bool,
    /// Its workloads.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "generated", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    workloads: u32,
    /// Its days, the warm-up included.
    #[arg(long, value_name = "DAYS", default_value_t = 21, requires = "generated", value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// All of it follows from it.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "generated")]
    seed: u64,
    /// Minutes from one thing that happens to the next.
    #[arg(long, value_name = "MINUTES", default_value_t = 120, requires = "generated", value_parser = clap::value_parser!(u32).range(15..=10_000))]
    every: u32,
    /// Days from the beginning in which nothing counts; 7 of a generated fleet and 2 of a trace, if not given.
    #[arg(long, value_name = "DAYS")]
    warm_up_days: Option<u32>,
    /// Try other alarm rules beside those that are configured.
    #[arg(long)]
    sweep: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(config: Option<&Path>, args: &IncidentsArgs) -> Result<(), Failure> {
    let settings = load_quietly(config)?;
    let (source, warm_up_days) = match &args.data {
        Some(file) => {
            let mut trace = ReplayConfig { file: file.clone(), ..ReplayConfig::default() };
            map_and_limit(&mut trace, args.map.as_deref(), args.from.as_deref(), args.to.as_deref())
                .map_err(Failure::Usage)?;
            (Source::Trace(Box::new(trace)), WARM_UP_DAYS.1)
        }
        None => {
            let generated = Generated {
                workloads: args.workloads,
                days: args.days,
                seed: args.seed,
                incident_every_s: 60 * args.every,
            };
            (Source::Generated(generated), WARM_UP_DAYS.0)
        }
    };
    let warm_up_days = args.warm_up_days.unwrap_or(warm_up_days);
    let report = incidents::incidents(&settings, &Request { source, warm_up_days, sweep: args.sweep })?;
    match args.format {
        Format::Json => say(&pretty_json(&report)?),
        Format::Text => say(&report.table()),
    }
}
