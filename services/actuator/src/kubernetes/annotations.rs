//! What objects say of themselves, and what is written onto them, under `prescale.io/`.

/// `"true"` where the object's capacity may be changed, `"false"` where never.
pub(super) use prescale_kubernetes::workload::ENABLED;

/// `"true"` where any action on the object is a dry run.
pub(super) const DRY_RUN: &str = "prescale.io/dry-run";
/// Fewest replicas.
pub(super) const REPLICAS_MIN: &str = "prescale.io/replicas-min";
/// Most replicas.
pub(super) const REPLICAS_MAX: &str = "prescale.io/replicas-max";
/// On an autoscaler: id of the action that has raised its least number of replicas.
pub(super) const ACTION: &str = "prescale.io/action";
/// On an autoscaler: when that action was decided, in milliseconds since the Unix epoch.
pub(super) const DECIDED_AT: &str = "prescale.io/decided-at-ms";
/// On an autoscaler: its own least number of replicas, while it is raised.
pub(super) const MIN_BEFORE: &str = "prescale.io/min-before";
