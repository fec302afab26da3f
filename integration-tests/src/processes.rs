//! The project's binaries as processes: where they are, and how a test waits for them and ends them.

use bus_tests::conformance::fixture::until_within;
use bus_tests::signals::{self, Signal};
use prescale_bus::Bus;
use prescale_chassis::{Context, StageEntry};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Longest wait for anything; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(300);

/// A binary of this workspace, beside the one that runs now.
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    let folder = this.parent().and_then(Path::parent).expect("it lies in a folder below the binaries");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release --workspace --bins` first", path.display());
    path
}

/// Asks again and again until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_within(PATIENCE, what, || holds().then_some(()));
}

/// Sends SIGTERM and waits for the end.
pub fn terminate(child: &mut Child) -> ExitStatus {
    signals::send(Signal::Terminate, child.id());
    child.wait().expect("it ends")
}

/// Records that have ever been on a topic; 0 when there is no such topic.
pub fn count(bus: &dyn Bus, topic: &str) -> i64 {
    bus.lag("nobody", topic).map_or(0, |lags| lags.iter().map(|l| l.end).sum())
}

/// Whether each of the stages has read all there is.
pub fn is_worked_off(bus: &dyn Bus, context: &Context, stages: &[StageEntry]) -> bool {
    let lag = |s: &StageEntry| bus.lag(&context.group(s.stage), s.input).expect("the lag is readable");
    stages.iter().all(|stage| lag(stage).iter().all(|l| l.behind() == 0))
}
