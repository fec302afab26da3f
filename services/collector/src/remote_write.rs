//! Series that a Prometheus pushes, or what writes as it does: remote write 1.0 and 2.0, into points.

use crate::config::{RemoteWriteConfig, ReplicasConfig};
use crate::event::Event;
use crate::inputs::{self, InputEntry, Launch};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::series::SeriesOf;
use crate::receiver::{self, Protocol};
use anyhow::Result;
use prescale_domain::time::EventTime;
use replicas::Chooser;
use wire::Version;

mod http;
mod points;
mod replicas;
mod wire;

#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "remote_write",
    table: None,
    check: |config| check(&config.remote_write),
    is_on: |config| config.remote_write.keys().is_enabled(),
    uses: |_, _| vec![receiver::POINTS],
    run,
};

fn check(config: &RemoteWriteConfig) -> Result<()> {
    config.replicas.check()?;
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
    let mut chooser = Chooser::new(ReplicasConfig::default());
    points::read(mapping, version, message, known, &mut chooser, now).ok()
}

/// Gives each series of a message of version 1.0 to `take`; `None` where it is no such message.
pub(crate) fn each_series_of_1<'a>(message: &'a [u8], mut take: impl FnMut(&SeriesOf<'a>)) -> Option<()> {
    let decoded = wire::each_series(Version::One, message, |series, _| {
        take(&*series);
        true
    });
    decoded.ok()
}

/// Receives until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    let config = &launch.config.remote_write;
    let chooser = Chooser::new(config.replicas.clone());
    let protocol = Protocol {
        name: "remote write",
        health: inputs::health(launch.context, &ENTRY),
        keys: config.keys(),
        path: http::PATH,
        router: |intake| http::router(intake, chooser),
        listens: |url| Event::RemoteWriteListens { url },
    };
    receiver::run(launch, protocol)
}
