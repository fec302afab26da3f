//! `prescale anomalies` as the command line has it.

use super::common::{Format, map_and_limit};
use super::{Failure, load_quietly, say};
use crate::anomalies::{self, Request};
use crate::pretty_json;
use clap::Args;
use prescale_collector::config::ReplayConfig;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale anomalies --data trace.parquet
  prescale anomalies --data trace.parquet --map entity=server,time=t,cpu=m00,memory=m01,queue=m02 --csv scores.csv
  prescale anomalies --data trace.csv.zst --from 2013-08-01T00:00:00Z --to +14d --format json")]
pub(super) struct AnomaliesArgs {
    /// The trace (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The trace's columns: entity=COLUMN,time=COLUMN,cpu=EXPRESSION,... where the file is of no known layout.
    #[arg(long, value_name = "MAPPING")]
    map: Option<String>,
    /// First instant read, RFC 3339 or Unix seconds.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// End, likewise, or a length such as +7d.
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// File for the score, the p-value and the KPIs to blame of each workload and bin.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(config: Option<&Path>, args: &AnomaliesArgs) -> Result<(), Failure> {
    let settings = load_quietly(config)?;
    let mut trace = ReplayConfig { file: args.data.clone(), ..ReplayConfig::default() };
    map_and_limit(&mut trace, args.map.as_deref(), args.from.as_deref(), args.to.as_deref()).map_err(Failure::Usage)?;
    let report = anomalies::anomalies(&settings, &Request { trace, scores: args.csv.clone() })?;
    match args.format {
        Format::Json => say(&pretty_json(&report)?),
        Format::Text => say(&report.table()),
    }
}
