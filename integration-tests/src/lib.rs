//! What the integration tests share: a browser, and harnesses that need a place of their own.

pub mod bus_conformance;
pub mod chromium;
pub mod counters;
pub mod kafka_broker;
pub mod pipeline;
