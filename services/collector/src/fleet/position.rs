//! Where the fleet stands, and which fleet it is.

use super::hearing::Heard;
use anyhow::{Context as _, Result, ensure};
use bitcode::{Decode, Encode};
use prescale_domain::fleet::{FleetSettings, FleetState};

/// First byte of a position: how the rest is laid out.
const LAYOUT: u8 = 1;

/// What is stored with the fleet's samples.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Position {
    /// How far the fleet has come.
    pub state: FleetState,
    /// Which results of actions it has heard of.
    pub heard: Heard,
    /// Samples written since it was made.
    pub samples_written: u64,
}

/// What makes one fleet another.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Identity {
    workloads: u32,
    step_s: u32,
    seed: u64,
    missing_samples_share: f64,
    missing_values_share: f64,
}

impl Identity {
    fn of(settings: &FleetSettings) -> Self {
        Self {
            workloads: settings.workloads,
            step_s: settings.step_s,
            seed: settings.seed,
            missing_samples_share: settings.missing_samples_share,
            missing_values_share: settings.missing_values_share,
        }
    }
}

/// As bytes for the bus to keep.
pub(crate) fn encode(settings: &FleetSettings, position: Position) -> Vec<u8> {
    let mut bytes = vec![LAYOUT];
    bytes.extend(bitcode::encode(&(Identity::of(settings), position)));
    bytes
}

/// The position from the bytes that were kept.
///
/// # Errors
/// When a fleet with other settings wrote them, or another build.
pub(crate) fn decode(bytes: &[u8], settings: &FleetSettings) -> Result<Position> {
    let name = &settings.name;
    let read = bytes.split_first().filter(|(layout, _)| **layout == LAYOUT);
    let stored = read.and_then(|(_, rest)| bitcode::decode::<(Identity, Position)>(rest).ok());
    let (identity, position) = stored.with_context(|| {
        format!("the position of fleet {name:?} is of another build: set [collector.fleet] name to another name")
    })?;
    let now = Identity::of(settings);
    ensure!(
        identity == now,
        "fleet {name:?} was made with other settings ({identity:?}, now {now:?}): set them back, or set \
         [collector.fleet] name to another name for a new fleet"
    );
    Ok(position)
}
