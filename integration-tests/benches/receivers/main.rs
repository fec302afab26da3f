//! What it costs to take what is pushed.
//!
//! ```text
//! cargo bench --profile dist -p integration-tests --bench receivers -- [WORKLOADS] [MINUTES]
//! ```
//!
//! - A remote write request of 10,000 series is decoded, by the receiver's own reader and by prost into plain types.
//! - Points of 8 KPIs of each workload are pushed over HTTP, minute by minute, as fast as they are taken: through the
//!   receiver, the embedded log and the assembler. What each thread took of the CPU is said, the senders' too.

mod decode;
mod message;
mod points;
mod threads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Ok(numbers) = words.map(|word| word.parse::<u32>()).collect::<Result<Vec<_>, _>>() else {
        eprintln!("usage: receivers [WORKLOADS] [MINUTES]");
        return ExitCode::from(64);
    };
    let number = |place: usize, default: u32| numbers.get(place).copied().unwrap_or(default).max(1);
    decode::run();
    points::run(number(0, 5_000), number(1, 20));
    ExitCode::SUCCESS
}
