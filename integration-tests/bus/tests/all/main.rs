//! All tests of the bus in one binary.

mod acls;
mod conformance;
mod fences;
mod security;
