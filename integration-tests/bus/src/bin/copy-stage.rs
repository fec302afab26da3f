//! A process of the fault suite: a source or a stage, as its arguments say. It stops in good order
//! when its standard input ends, so none outlives the test that started it.

use bus_tests::faults::copy::CopySettings;
use std::io;
use std::process::ExitCode;
use std::thread;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let settings = match CopySettings::from_args(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("copy-stage: {message}");
            return ExitCode::from(64);
        }
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    thread::spawn(move || {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        stop.cancel();
    });
    match settings.run(&shutdown) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::FAILURE
        }
    }
}
