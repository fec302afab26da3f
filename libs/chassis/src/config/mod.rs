//! Configuration: one TOML file with a section per service, overridden by the environment.
//!
//! A key that nobody knows is refused, with the nearest known one: a misspelt key that is silently
//! ignored would leave its default in force.

mod document;
mod environment;
mod fleets;
mod groups;
mod knobs;
mod loader;
mod named;
mod nearest;
mod parts;
mod prices;
mod refusal;
mod secret;

pub use fleets::{FleetConfig, FleetsConfig, FleetsSection, fleets};
pub use groups::{GroupConfig, GroupsConfig, GroupsSection, selector};
pub use knobs::KnobSection;
pub use loader::{Loader, defaults_toml, read_strictly};
pub use named::Named;
pub use nearest::{hint, nearest_name};
pub use parts::{PartKind, PartType, Parts};
pub use prices::{InstanceTypeConfig, PricesConfig};
pub use secret::Secret;

use std::path::PathBuf;

/// What is wrong with the configuration, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The file is no TOML.
    #[error("{place}: {problem}")]
    Syntax {
        /// `file:line`.
        place: String,
        /// The parser's words.
        problem: String,
    },
    /// A value has the wrong type or is out of range.
    #[error("{place}: [{section}] {key}: {problem}")]
    Value {
        /// `file:line`, or the environment variable.
        place: String,
        /// Section.
        section: String,
        /// Key within the section, dotted; empty when the section itself is meant.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A key is not known.
    #[error("{place}: [{section}] {key}: unknown key, {hint}")]
    UnknownKey {
        /// `file:line`, or the environment variable.
        place: String,
        /// Section.
        section: String,
        /// Key within the section, dotted.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A section is not known.
    #[error("{place}: [{section}]: unknown section, {hint}")]
    UnknownSection {
        /// `file:line`, or the environment variable.
        place: String,
        /// Section.
        section: String,
        /// The nearest known section, or all of them.
        hint: String,
    },
}

#[cfg(test)]
mod tests;
