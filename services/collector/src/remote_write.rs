//! Series that a Prometheus pushes, or what writes as it does: remote write 1.0 and 2.0, into points.

use crate::config::RemoteWriteConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry, Launch};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::{self, Protocol};
use anyhow::Result;
use prescale_domain::time::EventTime;
use wire::Version;

mod http;
mod points;
mod wire;

#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "remote_write",
    table: None,
    check: |config| check(&config.remote_write),
    is_on: |config| config.remote_write.is_enabled(),
    uses: |_, _| vec![receiver::POINTS],
    run,
};

fn check(config: &RemoteWriteConfig) -> Result<()> {
    receiver::check(&config.keys())
}

/// What a message comes to that is not compressed; `None` where it is none of its version, or too large a one.
pub(crate) fn read(
    is_version_two: bool,
    message: &[u8],
    mapping: &Mapping,
    known: &mut Known,
    now: EventTime,
) -> Option<Read> {
    let version = if is_version_two { Version::Two } else { Version::One };
    points::read(mapping, version, message, known, now).ok()
}

/// Receives until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    let protocol = Protocol {
        name: "remote write",
        health: inputs::health(launch.context, &ENTRY),
        keys: launch.config.remote_write.keys(),
        path: http::PATH,
        speaks_http2: false,
        router: http::router,
        listens: |url| Event::RemoteWriteListens { url },
    };
    receiver::run(launch, protocol)
}
