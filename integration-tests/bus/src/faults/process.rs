//! A process of the fault suite, as its test sees it.

use super::copy::CopySettings;
use crate::conformance::fixture::until;
use crate::signals::{self, Signal};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running source or stage; it is killed when this is dropped, and its log shown when the test
/// fails.
#[derive(Debug)]
pub struct CopyProcess {
    child: Child,
    log: PathBuf,
}

impl CopyProcess {
    /// Starts it. What it logs is appended to a file.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(binary: &Path, settings: &CopySettings, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("the log is writable");
        let child = Command::new(binary)
            .args(settings.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the process starts");
        Self { child, log }
    }

    /// Kills it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Lets it stand still (SIGSTOP).
    pub fn pause(&self) {
        signals::send(Signal::Stop, self.child.id());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        signals::send(Signal::Continue, self.child.id());
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.ended()
    }

    /// Waits until it ends of its own accord.
    pub fn ended(&mut self) -> ExitStatus {
        until("the process to end", || self.has_ended())
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is ours")
    }

    /// What it and those before it have logged to its file.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for CopyProcess {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- {}\n{}", self.log.display(), tail.join("\n"));
        }
    }
}
