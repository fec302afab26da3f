//! `prescale backtest` as the command line has it.

use super::common::{Format, map_and_limit};
use super::{Failure, load_quietly, say};
use crate::backtest::{self, Request};
use crate::pretty_json;
use clap::Args;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::mapping::long_name;
use prescale_domain::forecast::GRID_STEP_S;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  prescale backtest --data trace.parquet --map entity=vm_id,time=ts,cpu=cpu_usage_pct/100.0*cores --report report
  prescale backtest --data trace.csv.zst --models gru,seasonal-naive,last-value --from 2013-08-01T00:00:00Z --to +7d
  prescale backtest --data trace.parquet --kpis cpu --every-bins 12 --format json
  prescale backtest --data trace.parquet --anomalies   what leaving incidents out of what is learnt is worth")]
pub(super) struct BacktestArgs {
    /// The trace (Parquet, or text such as CSV, plain, gzip or zstd; a file, a folder or a pattern).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The trace's columns: entity=COLUMN,time=COLUMN,cpu=EXPRESSION,... where the file is of no known layout.
    #[arg(long, value_name = "MAPPING")]
    map: Option<String>,
    /// Families to score one by one, beside the predictor as it is configured; those that it lists, if none.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    models: Vec<String>,
    /// KPIs to forecast: cpu, memory or any name; the configured resources, if none.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    kpis: Vec<String>,
    /// First instant read, RFC 3339 or Unix seconds.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// End, likewise, or a length such as +7d.
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Days of each series, from its beginning, that are not scored.
    #[arg(long, value_name = "DAYS", default_value_t = 1.0)]
    warm_up_days: f64,
    /// Score only each so-manieth bin of 5 minutes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    every_bins: u32,
    /// Length of the bootstrap's blocks.
    #[arg(long, value_name = "DAYS", default_value_t = 1)]
    block_days: u32,
    /// Run the predictor as configured twice more: with anomalies left out of what is learnt, and with them in it.
    #[arg(long)]
    anomalies: bool,
    /// Folder for report.json and report.html.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(config: Option<&Path>, args: &BacktestArgs) -> Result<(), Failure> {
    let settings = load_quietly(config)?;
    let mut trace = ReplayConfig { file: args.data.clone(), ..ReplayConfig::default() };
    map_and_limit(&mut trace, args.map.as_deref(), args.from.as_deref(), args.to.as_deref()).map_err(Failure::Usage)?;
    if !(0.0..=3660.0).contains(&args.warm_up_days) {
        return Err(Failure::Usage(anyhow::anyhow!("--warm-up-days {}: 0 to 3660 are possible", args.warm_up_days)));
    }
    let request = Request {
        trace,
        families: args.models.clone(),
        kpis: args.kpis.iter().map(|name| long_name(name).to_owned()).collect(),
        warm_up_bins: (args.warm_up_days * 86_400.0 / f64::from(GRID_STEP_S)).round() as u32,
        every_bins: args.every_bins,
        block_days: args.block_days,
        is_of_anomalies: args.anomalies,
        report: args.report.clone(),
    };
    let report = backtest::backtest(&settings, &request)?;
    match args.format {
        Format::Json => say(&pretty_json(&report)?),
        Format::Text => say(&report.table()),
    }
}
