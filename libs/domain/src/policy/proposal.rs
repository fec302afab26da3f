//! What a policy proposes for a whole workload.

use crate::action::{Evidence, Reason};
use crate::resource::{Direction, Resource};

/// Capacity that the demand needs, over all replicas; `None` for a resource that asks for nothing
/// and stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// CPU, in cores.
    pub cpu_cores: Option<f64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Replicas, whatever their size; not yet a whole number.
    pub replicas: Option<f64>,
}

impl Need {
    /// The need of one resource.
    pub fn of(&self, resource: Resource) -> Option<f64> {
        match resource {
            Resource::Cpu => self.cpu_cores,
            Resource::Memory => self.memory_bytes,
        }
    }

    pub(crate) fn set(&mut self, resource: Resource, amount: f64) {
        match resource {
            Resource::Cpu => self.cpu_cores = Some(amount),
            Resource::Memory => self.memory_bytes = Some(amount),
        }
    }
}

/// What a policy proposes, with its reasoning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// Direction and need; `None` to leave the capacity as it is.
    pub change: Option<(Direction, Need)>,
    /// What is planned for, whether it changes anything or not; nothing where the policy does not say.
    pub planned: Need,
    /// Numbers looked at, one entry a resource that could be judged.
    pub evidence: Vec<Evidence>,
    /// The reasoning.
    pub reasons: Vec<Reason>,
    /// Whether live use demands this increase, so that nothing that limits change may hold it.
    pub demanded: bool,
    /// Scored intervals behind the least proven of the forecasts gone by; `None` when none was.
    pub scored_least: Option<u32>,
}

impl Proposal {
    /// Proposes and plans at least so much of a resource, in its unit, in place of whatever is no increase.
    pub(super) fn grow_to(&mut self, resource: Resource, amount: f64) {
        let at_least = |need: &mut Need| need.set(resource, need.of(resource).unwrap_or(0.0).max(amount));
        let mut need = match self.change {
            Some((Direction::Out, need)) => need,
            _ => Need::default(),
        };
        at_least(&mut need);
        at_least(&mut self.planned);
        self.change = Some((Direction::Out, need));
    }
}
