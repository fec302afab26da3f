//! A Kafka with a topic that a sender writes to.

use crate::cargo_with;
use crate::given::{Given, built};
use crate::process::Program;
use anyhow::Result;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The first time its libraries are fetched.
const STARTS_WITHIN: Duration = Duration::from_secs(600);

/// A Kafka; where it was started for this it ends when this is dropped.
pub(super) struct Kafka {
    /// Where clients connect.
    pub(super) servers: String,
    _program: Option<Program>,
}

impl Kafka {
    /// The one that was given, where the topic must be or come by itself; or one that has it.
    pub(super) fn with_topic(given: &Given, folder: &Path, topic: &str) -> Result<Self> {
        if let Some(servers) = &given.kafka {
            return Ok(Self { servers: servers.clone(), _program: None });
        }
        cargo_with(&["build", "--release", "--package", "bus-tests", "--bin", "test-broker"], &[])?;
        let mut command = Command::new(built("test-broker")?);
        // It ends when its standard input does, which is when this program does.
        command.arg(topic).stdin(Stdio::piped());
        let log = folder.join("test-broker.log");
        let _ = fs::remove_file(&log);
        let mut program = Program::new(command, log);
        program.start()?;
        let servers = program.until_says(STARTS_WITHIN, |said| said.lines().find_map(address_in))?.to_string();
        Ok(Self { servers, _program: Some(program) })
    }
}

/// The address in a line, where something else may stand as well: what fetches the libraries leaves colours behind.
fn address_in(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    words.find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_behind_colours() {
        let address = "127.0.0.1:44955".parse().ok();
        assert_eq!(
            (address_in("\u{1b}[0m\u{1b}[0m127.0.0.1:44955"), address_in("127.0.0.1:44955\n")),
            (address, address)
        );
        assert_eq!(address_in("at 12:30:45.123 it began"), None);
    }
}
