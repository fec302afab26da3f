//! Metrics that an OpenTelemetry Collector or SDK pushes: OTLP over gRPC and over HTTP, with protobuf and JSON, into points.
//!
//! A data point is a sample of the series that its metric's name, the attributes of its resource and its own make: names
//! and attributes stay as OpenTelemetry writes them, and a preset's rules select by them as by labels. Both protocols are
//! served on one port.

use crate::config::OtlpConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry, Launch};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::{self, Intake, Protocol};
use anyhow::Result;
use axum::Router;
use axum::routing::post;
use message::{Form, Sent};
use prescale_domain::time::EventTime;
use std::sync::Arc;

mod grpc;
mod http;
mod message;
mod points;

#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "otlp",
    table: None,
    check: |config| check(&config.otlp),
    is_on: |config| config.otlp.keys().is_enabled(),
    uses: |_, _| vec![receiver::POINTS],
    run,
};

fn check(config: &OtlpConfig) -> Result<()> {
    receiver::check(&config.keys())
}

/// Receives until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    let protocol = Protocol {
        name: "otlp",
        health: inputs::health(launch.context, &ENTRY),
        keys: launch.config.otlp.keys(),
        path: "",
        router,
        listens: |url| Event::OtlpListens { url },
    };
    receiver::run(launch, protocol)
}

/// What a message comes to that did not come as a request, be it protobuf or JSON.
///
/// # Errors
/// With why it cannot be read.
pub(crate) fn read(
    bytes: &[u8],
    is_json: bool,
    mapping: &Mapping,
    known: &mut Known,
    now: EventTime,
) -> Result<Read, String> {
    let form = if is_json { Form::Json } else { Form::Protobuf };
    let sent = Sent { bytes, form, is_packed: false };
    match message::read(sent, usize::MAX, mapping, known, now) {
        Ok(Some(read)) => Ok(read),
        Ok(None) => Err("it has more data points than are read at a time".to_owned()),
        Err(refusal) => Err(refusal.message.trim_end().to_owned()),
    }
}

/// The whole application.
fn router(intake: Arc<Intake>) -> Router {
    Router::new().route(http::PATH, post(http::export)).route(grpc::PATH, post(grpc::export)).with_state(intake)
}
