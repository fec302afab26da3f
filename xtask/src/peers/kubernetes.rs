//! Kubernetes' own controllers, scheduler and nodes: the integration tests that need them, and a day of the generated fleet on
//! them, 60 times as fast.

use crate::given::Given;
use crate::{CONTROLLED, cargo, cargo_with};
use anyhow::{Result, ensure};

/// What the test of the fleet plays; by itself it plays the densest minutes.
const HOURS: &str = "24";

/// Runs them, with the binaries that are built from here.
pub(super) fn test(given: &Given) -> Result<()> {
    ensure!(!given.is_of_others(), "kubernetes runs the services' own binaries: leave --binary out");
    cargo(&["build", "--release", "--workspace", "--bins"])?;
    let arguments = ["test", "--release", "--workspace", "--test", "all", "--", "--nocapture", CONTROLLED];
    cargo_with(&arguments, &[("FLEET_HOURS", HOURS.into())])
}
