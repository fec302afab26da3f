//! Liveness and readiness of the components in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A busy component that has not beaten for so long is taken for stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
struct State {
    not_ready: Option<String>,
    busy_since: Option<Instant>,
}

/// The components of this process. Clones share the same components.
#[derive(Clone, Debug, Default)]
pub struct HealthRegistry {
    components: Arc<Mutex<BTreeMap<String, State>>>,
}

/// One component's handle.
#[derive(Clone, Debug)]
pub struct ComponentHealth {
    registry: HealthRegistry,
    name: String,
}

impl HealthRegistry {
    /// Registers a component; until [`ComponentHealth::ready`] it counts as starting.
    pub fn component(&self, name: &str) -> ComponentHealth {
        let state = State { not_ready: Some("starting".to_owned()), busy_since: None };
        self.lock().insert(name.to_owned(), state);
        ComponentHealth { registry: self.clone(), name: name.to_owned() }
    }

    /// Components that are not ready, each with the reason, by name.
    pub fn not_ready(&self) -> Vec<(String, String)> {
        self.lock().iter().filter_map(|(name, s)| Some((name.clone(), s.not_ready.clone()?))).collect()
    }

    /// Components that are busy and have not beaten for longer than `limit`, each with how long.
    pub fn stuck(&self, limit: Duration) -> Vec<(String, Duration)> {
        let silent = |s: &State| s.busy_since.map(|at| at.elapsed()).filter(|silence| *silence > limit);
        self.lock().iter().filter_map(|(name, s)| Some((name.clone(), silent(s)?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ComponentHealth {
    /// It serves.
    pub fn ready(&self) {
        self.change(|s| s.not_ready = None);
    }

    /// It does not serve, with the reason and what to do.
    pub fn failed(&self, why: impl Into<String>) {
        let why = why.into();
        self.change(|s| s.not_ready = Some(why));
    }

    /// It is at work and makes progress. From here on it must beat again, or declare itself idle,
    /// within [`STUCK_AFTER`].
    pub fn alive(&self) {
        self.change(|s| s.busy_since = Some(Instant::now()));
    }

    /// It has nothing to do and need not beat.
    pub fn idle(&self) {
        self.change(|s| s.busy_since = None);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.registry.lock().get_mut(&self.name) {
            change(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_not_ready_until_it_says_so() {
        let registry = HealthRegistry::default();
        let planner = registry.component("planner");
        let actuator = registry.component("actuator");
        assert_eq!(registry.not_ready().len(), 2);
        planner.ready();
        actuator.failed("cloud unreachable");
        assert_eq!(registry.not_ready(), [("actuator".to_owned(), "cloud unreachable".to_owned())]);
        actuator.ready();
        assert!(registry.not_ready().is_empty());
    }

    #[test]
    fn only_a_busy_component_can_be_stuck() {
        let registry = HealthRegistry::default();
        let planner = registry.component("planner");
        assert!(registry.stuck(Duration::ZERO).is_empty(), "never beaten: idle");
        planner.alive();
        assert!(registry.stuck(Duration::from_secs(3600)).is_empty());
        while registry.stuck(Duration::ZERO).is_empty() {
            std::thread::yield_now();
        }
        planner.idle();
        assert!(registry.stuck(Duration::ZERO).is_empty());
    }
}
