//! Workload-samples per second on the embedded bus.
//!
//! ```text
//! cargo bench --profile dist -p integration-tests --bench pipeline -- [WORKLOADS] [TICKS]
//! cargo bench --profile dist -p integration-tests --bench pipeline -- --warm [WORKLOADS] [TICKS]
//! cargo bench --profile dist -p integration-tests --bench pipeline -- --live MINUTES [WORKLOADS]
//! cargo bench --profile dist -p integration-tests --bench pipeline -- --restart [WORKLOADS]
//! ```
//!
//! - The first takes samples of workloads that are new through the log alone, with the first stage, and through the
//!   whole pipeline.
//! - `--warm` has a day behind every workload before the clock starts (`--days N` for more): `--distinct N` of them have
//!   lived it in memory, the others are copies. Eight KPIs, a sample a minute, instants spread over the minute.
//! - `--live` does the same, and then writes as slowly as such a fleet does.
//! - `--restart` stops a pipeline with that history, and says how long it takes until it is ready again.

mod cold;
mod live;
mod machine;
mod readback;
mod restart;
mod warm;
mod writer;

use std::process::ExitCode;

const USAGE: &str = "pipeline [--warm | --live MINUTES | --restart] [--days N] [--distinct N] [WORKLOADS] [TICKS]";

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cold,
    Warm,
    Live { minutes: u32 },
    Restart,
}

/// The command line.
struct Args {
    mode: Mode,
    /// Days behind every workload.
    days: u32,
    /// Workloads that differ.
    distinct: u32,
    numbers: Vec<u32>,
}

impl Args {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut args = Self { mode: Mode::Cold, days: 1, distinct: 1000, numbers: Vec::new() };
        while let Some(word) = words.next() {
            let mut number = || words.next()?.parse::<u32>().ok();
            match word.as_str() {
                // What cargo tells every benchmark.
                "--bench" => {}
                "--warm" if args.mode == Mode::Cold => args.mode = Mode::Warm,
                "--warm" => {}
                "--live" => args.mode = Mode::Live { minutes: number()? },
                "--restart" => args.mode = Mode::Restart,
                "--days" => args.days = number()?,
                "--distinct" => args.distinct = number()?,
                other => args.numbers.push(other.parse().ok()?),
            }
        }
        Some(args)
    }

    fn workloads(&self) -> u32 {
        self.numbers.first().copied().unwrap_or(2000).max(1)
    }

    fn ticks(&self) -> u32 {
        self.numbers.get(1).copied().unwrap_or(if self.mode == Mode::Cold { 60 } else { 20 })
    }
}

fn main() -> ExitCode {
    let Some(args) = Args::read(std::env::args().skip(1)) else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(64);
    };
    match args.mode {
        Mode::Cold => cold::run(args.workloads(), args.ticks()),
        Mode::Warm => warm::run(&args),
        Mode::Live { minutes } => live::run(&args, minutes),
        Mode::Restart => restart::run(&args),
    }
    ExitCode::SUCCESS
}
