//! Names of topics and groups that are the bus's own, without the installation's prefix.

/// Group of the clients that ask or read without being a member of one; its positions are not used.
pub(super) const READERS: &str = "readers";

/// Topic that keeps the positions of sources.
pub(super) const SOURCE_POSITIONS: &str = "prescale-source-positions";

/// What the names of the groups begin with that hold the claims to a group's instances' names.
pub(super) fn name_prefix(group: &str) -> String {
    format!("{group}.name.")
}
