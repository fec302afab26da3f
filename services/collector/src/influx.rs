//! Line protocol that Telegraf pushes, or what writes as it does to an InfluxDB of version 1 or 2, into points.

use crate::config::InfluxConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry, Launch};
use crate::receiver::{self, Protocol};
use anyhow::Result;

mod http;
mod points;

#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "influx",
    table: None,
    check: |config| check(&config.influx),
    is_on: |config| config.influx.keys().is_enabled(),
    uses: |_, _| vec![receiver::POINTS],
    run,
};

fn check(config: &InfluxConfig) -> Result<()> {
    receiver::check(&config.keys())
}

/// Receives until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    let protocol = Protocol {
        name: "influx",
        health: inputs::health(launch.context, &ENTRY),
        keys: launch.config.influx.keys(),
        path: "",
        router: http::router,
        listens: |url| Event::InfluxListens { url },
    };
    receiver::run(launch, protocol)
}
