//! All integration tests in one binary: each heavy crate is linked once.

mod edges;
mod tidy;
