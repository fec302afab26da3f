//! The planner and the governor as a contender: the one place that calls their code.

use prescale_domain::evaluation::Terms;
use prescale_domain::governor::{FleetRecord, Fleets, Governor, GovernorRules, Heard, Proposer, Ruling, Said};
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// What is decided by: the planner's rules, the governor's, and the fleets.
#[derive(Clone)]
pub(super) struct Basis {
    pub terms: Terms,
    /// `None` to let everything out at once.
    pub governor: Option<Arc<GovernorRules>>,
    pub fleets: Arc<Fleets>,
    /// Partitions of the bus.
    pub partitions: u32,
}

/// The planner on every partition, and the governor of all fleets.
pub(super) struct Planner {
    basis: Basis,
    prediction_id: Arc<str>,
    /// By partition.
    proposers: Vec<Proposer>,
    /// A proposal's tag is the number of its workload.
    governor: Governor<usize>,
    #[cfg(test)]
    pub(super) heard: Vec<(u32, Prediction, Option<Vec<FleetRecord>>)>,
    #[cfg(test)]
    pub(super) admitted: Vec<prescale_domain::action::Action>,
}

impl Planner {
    pub(super) fn new(basis: Basis) -> Self {
        Self {
            prediction_id: "replay".into(),
            proposers: (0..basis.partitions).map(|_| Proposer::default()).collect(),
            governor: Governor::default(),
            basis,
            #[cfg(test)]
            heard: Vec::new(),
            #[cfg(test)]
            admitted: Vec::new(),
        }
    }

    /// The workloads that are to have another capacity now, and which. A decrease that the governor lets wait comes
    /// with a later prediction, which may be another workload's.
    pub(super) fn decide(&mut self, workload: usize, partition: u32, prediction: Prediction) -> Vec<(usize, Capacity)> {
        let desk = (&self.basis.terms, self.basis.fleets.as_ref(), partition);
        let prediction_id = (&self.prediction_id, prediction.made_at);
        let proposed = self.proposers[partition as usize].step(desk, &prediction, prediction_id);
        let said = proposed.map(|proposed| proposed.said);
        let mut decided = Vec::new();
        for record in said.iter().flatten() {
            for ruling in self.ruled((workload, prediction.made_at), record.clone()) {
                if let Ruling::Admitted { tag, action } = ruling {
                    decided.push((tag, action.desired.clone()));
                    #[cfg(test)]
                    self.admitted.push(*action);
                }
            }
        }
        #[cfg(test)]
        self.heard.push((partition, prediction, said));
        decided
    }

    fn ruled(
        &mut self,
        (workload, as_of): (usize, EventTime),
        FleetRecord { key, said }: FleetRecord,
    ) -> Vec<Ruling<usize>> {
        let Some(rules) = &self.basis.governor else { return ungoverned(workload, said) };
        let partitions = self.basis.partitions;
        let heard = match said {
            Said::Proposal(proposal) => self.governor.propose(rules, partitions, &key, (workload, *proposal), as_of),
            Said::View(view) => self.governor.view(rules, partitions, &key, &view),
            Said::Order(_) | Said::Held(_) => Heard::Stale,
        };
        match heard {
            Heard::Used { rulings, .. } => rulings,
            Heard::Stale => Vec::new(),
        }
    }
}

fn ungoverned(workload: usize, said: Said) -> Vec<Ruling<usize>> {
    match said {
        Said::Proposal(proposal) => vec![Ruling::Admitted { tag: workload, action: Box::new(proposal.action) }],
        Said::View(_) | Said::Order(_) | Said::Held(_) => Vec::new(),
    }
}
