//! Signals to processes that a test has started.

use std::process::Command;

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End at once.
    Kill,
    /// End in good order.
    Terminate,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

/// Sends a signal. The process must be a child that was not waited for yet: then nobody else has
/// its id. One that has ended already is left alone.
///
/// # Panics
/// When there is no `sh`.
pub fn send(signal: Signal, process_id: u32) {
    let name = match signal {
        Signal::Kill => "KILL",
        Signal::Terminate => "TERM",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
    };
    let command = r#"kill -s "$0" "$1" 2>/dev/null || true"#;
    Command::new("sh").args(["-c", command, name, &process_id.to_string()]).status().expect("sh starts");
}
