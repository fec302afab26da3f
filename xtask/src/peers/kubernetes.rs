//! A day of the generated fleet against Kubernetes' own API server and controllers, 60 times as fast: the test of the ordinary
//! suite that plays some minutes of it.

use crate::given::Given;
use crate::{cargo, cargo_with};
use anyhow::{Result, ensure};

const TEST: &str = "kubernetes::day::what_there_is_agrees_with_what_is_decided_within_a_minute";
const HOURS: &str = "24";

/// Plays it, with the binaries that are built from here.
pub(super) fn test(given: &Given) -> Result<()> {
    ensure!(!given.is_of_others(), "kubernetes runs the services' own binaries: leave --binary out");
    cargo(&["build", "--release", "--workspace", "--bins"])?;
    let arguments = ["test", "--release", "--package", "integration-tests", "--test", "all", "--"];
    let arguments = [&arguments[..], &["--exact", "--nocapture", TEST][..]].concat();
    cargo_with(&arguments, &[("FLEET_HOURS", HOURS.into())])
}
