//! What the integration tests share: a browser, stores, and harnesses that need a place of their own.

pub mod actuators;
pub mod chromium;
pub mod fingerprints;
pub mod influxdb2;
pub mod installation;
pub mod kubernetes;
pub mod open_loop;
pub mod openstack;
pub mod pipeline;
pub mod processes;
pub mod stores;
pub mod warm;
