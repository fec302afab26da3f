//! Models on trial beside those that forecast a series.

use super::{Making, Rules, Series};
use crate::job::Kept;
use crate::lineup::{ModelId, Term};
use bitcode::{Decode, Encode};
use prescale_domain::forecast::Family;
use prescale_domain::forecast::trial::{Trial, TrialLosses};

/// A trial of a family on the series.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct OnTrial {
    in_use: ModelId,
    candidate: ModelId,
    trial: Trial,
}

impl OnTrial {
    /// Takes out what both models lost, if anything is to be told.
    pub(super) fn take(&mut self) -> Option<(ModelId, ModelId, TrialLosses)> {
        Some((self.in_use, self.candidate, self.trial.take()?))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.trial.heap_bytes()
    }
}

impl Series {
    /// Closes the open bin for the trials.
    pub(super) fn close_trials(&mut self, rules: Rules<'_>) {
        for on_trial in &mut self.trials {
            on_trial.trial.close(&rules.settings.horizons_bins, &self.demand);
        }
    }

    /// Whether a round of a family's trial can begin with the bin.
    pub(super) fn is_trial_due(&self, rules: Rules<'_>, family: Family, bin: i64) -> bool {
        let Some(term) = rules.lineup.on_trial(family, bin).filter(|term| self.has_seen_enough(term)) else {
            return false;
        };
        let known = self.trials.iter().find(|known| known.candidate == term.model);
        known.is_none_or(|known| known.trial.is_due(bin, &rules.settings.horizons_bins))
    }

    /// Begins the rounds of trials that are due as of the open bin, with what the models gave; ends trials that are over.
    pub(super) fn pair(&mut self, making: &Making<'_>, bin: i64) {
        let Rules { settings, lineup } = making.rules;
        self.trials.retain(|known| {
            lineup.on_trial(known.candidate.family, bin).is_some_and(|term| term.model == known.candidate)
        });
        let is_due = |family: &Family| self.is_trial_due(making.rules, *family, bin);
        let due: Vec<Family> = settings.trained().filter(is_due).collect();
        for family in due {
            let (Some((in_use, Some(of_one))), Some((candidate, Some(of_other)))) =
                (making.from(family), making.on_trial(family))
            else {
                continue;
            };
            let is_it = |known: &OnTrial| known.candidate == *candidate && known.in_use == *in_use;
            let place = self.trials.iter().position(is_it).unwrap_or_else(|| {
                self.trials.retain(|known| known.candidate != *candidate);
                self.trials.push(OnTrial { in_use: *in_use, candidate: *candidate, trial: Trial::default() });
                self.trials.len() - 1
            });
            self.trials[place].trial.begin(bin, of_one, of_other);
        }
    }

    /// Whether a model on trial has seen as much of the series as it needs.
    fn has_seen_enough(&self, term: &Term) -> bool {
        let carried = |(model, kept): &(ModelId, Kept)| (*model == term.model).then_some(kept.bins);
        let bins = if term.is_stateful() { self.networks.iter().find_map(carried) } else { Some(self.demand.bins()) };
        bins.is_some_and(|bins| bins >= term.bins_needed)
    }
}
