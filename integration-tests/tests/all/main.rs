//! All integration tests in one binary: each heavy crate is linked once.

mod account;
mod alertmanager;
mod archiver;
mod cases;
mod circles;
mod command;
mod console;
mod edges;
mod feedback;
mod governor;
mod input_faults;
mod kafka_topics;
mod kubernetes;
mod models;
mod orders;
mod outcomes;
mod prometheus;
mod reading;
mod rules;
mod scaler;
mod scenario;
mod services;
mod snapshots;
mod tidy;
mod warm;
