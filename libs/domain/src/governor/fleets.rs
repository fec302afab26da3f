//! Which fleet a workload belongs to: that of the first pattern that holds, or else its source.

use crate::selector::Selector;
use crate::workload::{WORKLOAD_ID_BYTES_MAX, WorkloadId};

/// A fleet by patterns.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetPattern {
    /// Its name.
    pub name: WorkloadId,
    /// Which workloads are of it.
    pub members: Selector,
}

/// The fleets that are named by patterns. Every other workload is of the fleet of its source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleets(Vec<FleetPattern>);

impl Fleets {
    /// Of these patterns; the first that holds counts.
    pub fn new(patterns: Vec<FleetPattern>) -> Self {
        Self(patterns)
    }

    /// The fleet that a workload of a source belongs to.
    pub fn of(&self, workload: &WorkloadId, source: &str) -> WorkloadId {
        let holds = |p: &&FleetPattern| p.members.holds(workload, source);
        self.0.iter().find(holds).map_or_else(|| of_source(source), |pattern| pattern.name.clone())
    }
}

/// A source's name as that of a fleet: without control characters, and no longer than a name may be.
fn of_source(source: &str) -> WorkloadId {
    let mut name: String = source.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    while name.len() > WORKLOAD_ID_BYTES_MAX {
        name.pop();
    }
    WorkloadId::new(&name).unwrap_or_else(|_| WorkloadId::of_static("unnamed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::workload;

    #[test]
    fn the_first_pattern_that_holds_names_the_fleet_and_else_the_source() {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let pattern = |name: &str, workloads: &[&str], sources: &[&str]| FleetPattern {
            name: workload(name),
            members: Selector::new(&texts(workloads), &texts(sources)).unwrap(),
        };
        let fleets = Fleets::new(vec![pattern("a", &["web-*"], &["x:*"]), pattern("b", &["web-*", "db"], &[])]);
        let of = |name: &str, source: &str| fleets.of(&workload(name), source).to_string();
        assert_eq!(of("web-1", "x:1"), "a");
        assert_eq!(of("web-1", "y:1"), "b");
        assert_eq!(of("db", "x:1"), "b");
        assert_eq!(of("batch", "x:1"), "x:1");
        assert_eq!(of("batch", "x\n1"), "x?1");
        assert_eq!(of("batch", &"é".repeat(200)).len(), 252);
        assert_eq!(of("batch", ""), "unnamed");
    }
}
