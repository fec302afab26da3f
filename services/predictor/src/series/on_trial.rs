//! Models on trial beside those that forecast a series.

use super::{Making, Rules, Series};
use crate::job::{Carried, Kept};
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
    /// Begins the state of a family's model on trial where it carries one and has none. Gives the model.
    pub(super) fn begin_candidate(&mut self, rules: Rules<'_>, family: Family, bin: i64) -> Option<ModelId> {
        let term = rules.lineup.on_trial(family, bin)?;
        if term.is_stateful() && self.networks.iter().all(|(model, _)| *model != term.model) {
            self.networks.reserve_exact(1);
            self.networks.push((term.model, Kept::from(&Carried::default())));
        }
        Some(term.model)
    }

    /// The families of which a round of a trial can begin with the bin, and their models on trial that see a window.
    pub(super) fn paired(&self, rules: Rules<'_>, bin: i64) -> (Vec<Family>, Vec<ModelId>) {
        let is_due = |family: &Family| self.is_trial_due(rules, *family, bin);
        let families: Vec<Family> = rules.settings.trained().filter(is_due).collect();
        let windowed = |family: &Family| rules.lineup.on_trial(*family, bin).filter(|term| !term.is_stateful());
        let candidates = families.iter().filter_map(windowed).map(|term| term.model).collect();
        (families, candidates)
    }

    /// Closes the open bin for the trials.
    pub(super) fn close_trials(&mut self, rules: Rules<'_>) {
        for on_trial in &mut self.trials {
            on_trial.trial.close(&rules.settings.horizons_bins, &self.demand);
        }
    }

    /// Whether a round of a family's trial can begin with the bin.
    fn is_trial_due(&self, rules: Rules<'_>, family: Family, bin: i64) -> bool {
        let Some(term) = rules.lineup.on_trial(family, bin).filter(|term| self.has_seen_enough(term)) else {
            return false;
        };
        if !self.is_in_term(rules, family, bin) {
            return false;
        }
        let known = self.trials.iter().find(|known| known.candidate == term.model);
        known.is_none_or(|known| known.trial.is_due(bin, &rules.settings.horizons_bins))
    }

    /// Whether a family's forecasts as of the open bin are those of the term that holds it: while the one before goes on, a
    /// version on trial would be held against another one than on other series.
    fn is_in_term(&self, rules: Rules<'_>, family: Family, bin: i64) -> bool {
        let in_term = rules.lineup.at(family, bin).map(|term| term.model);
        in_term.is_some() && self.serving(rules, family) == in_term
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
