//! All integration tests in one binary: each heavy crate is linked once.

mod command;
mod console;
mod edges;
mod scenario;
mod services;
mod tidy;
