//! All tests of the bus in one binary.

mod conformance;
mod simulation;
