//! All integration tests in one binary: each heavy crate is linked once.

mod console;
mod edges;
mod tidy;
