//! Which model of a family is in use from when on: what a series must know of the models. Knows neither
//! weights nor files.

use bitcode::{Decode, Encode};
use prescale_domain::forecast::Family;
use prescale_inference::Kind;

/// First bin of the term of a model that nothing came before.
pub const FROM_THE_BEGINNING: i64 = i64::MIN;

/// A model by its family and the bin of the grid with which its term, or its trial, begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ModelId {
    /// The family.
    pub family: Family,
    /// First bin of the term, or [`FROM_THE_BEGINNING`].
    pub from_bin: i64,
    /// Whether it is on trial: it runs beside the one in use, and forecasts nothing that is published.
    pub is_candidate: bool,
}

impl ModelId {
    /// A model whose term begins with a bin.
    pub const fn in_use(family: Family, from_bin: i64) -> Self {
        Self { family, from_bin, is_candidate: false }
    }

    /// A model whose trial begins with a bin.
    pub const fn on_trial(family: Family, from_bin: i64) -> Self {
        Self { family, from_bin, is_candidate: true }
    }
}

/// A model and its term, which ends where the family's next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Which.
    pub model: ModelId,
    /// How it sees the past.
    pub kind: Kind,
    /// Bins that it must have seen of a series before its forecasts are of use.
    pub bins_needed: u64,
}

impl Term {
    /// Whether its state is carried from bin to bin.
    pub fn is_stateful(&self) -> bool {
        matches!(self.kind, Kind::Stateful { .. })
    }
}

/// A model on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The model, whose trial begins with the bin that its name says.
    pub term: Term,
    /// First bin after the trial; [`i64::MAX`] while it goes on.
    pub until_bin: i64,
}

/// The terms of all families, and their trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineup {
    /// By family and beginning, ascending.
    terms: Vec<Term>,
    /// Likewise.
    trials: Vec<Trial>,
}

impl Lineup {
    /// These terms.
    pub fn new(mut terms: Vec<Term>) -> Self {
        terms.sort_by_key(|term| term.model);
        Self { terms, trials: Vec::new() }
    }

    /// The same with these trials.
    pub fn with_trials(self, mut trials: Vec<Trial>) -> Self {
        trials.sort_by_key(|trial| trial.term.model);
        Self { trials, ..self }
    }

    /// The model of a family that is on trial in a bin: of several the one that came last.
    pub fn on_trial(&self, family: Family, bin: i64) -> Option<&Term> {
        let of_bin = |trial: &&Trial| {
            let ModelId { family: of, from_bin, .. } = trial.term.model;
            of == family && (from_bin..trial.until_bin).contains(&bin)
        };
        self.trials.iter().rfind(of_bin).map(|trial| &trial.term)
    }

    /// The term of a family that holds a bin; `None` for a family without a model.
    pub fn at(&self, family: Family, bin: i64) -> Option<&Term> {
        let before = self.terms.partition_point(|term| term.model <= ModelId::in_use(family, bin));
        self.terms[..before].last().filter(|term| term.model.family == family)
    }

    /// The term of a model, or its trial.
    pub fn term(&self, model: ModelId) -> Option<&Term> {
        if model.is_candidate {
            return self.trials.iter().map(|trial| &trial.term).find(|term| term.model == model);
        }
        self.terms.binary_search_by_key(&model, |term| term.model).ok().map(|place| &self.terms[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_lasts_until_the_next_one_of_the_family() {
        let term = |family, from_bin| Term {
            model: ModelId::in_use(family, from_bin),
            kind: Kind::Windowed { bins: 12 },
            bins_needed: 12,
        };
        let lineup =
            Lineup::new(vec![term(Family::Svr, 10), term(Family::Lstm, 20), term(Family::Lstm, FROM_THE_BEGINNING)]);
        let from = |family, bin| lineup.at(family, bin).map(|term| term.model.from_bin);
        assert_eq!(from(Family::Lstm, 19), Some(FROM_THE_BEGINNING));
        assert_eq!((from(Family::Lstm, 20), from(Family::Lstm, 2000)), (Some(20), Some(20)));
        assert_eq!((from(Family::Svr, 9), from(Family::Svr, 10)), (None, Some(10)));
        assert_eq!((from(Family::Gru, 0), from(Family::RandomForest, 99)), (None, None));
        assert_eq!(lineup.term(ModelId::in_use(Family::Svr, 10)), Some(&term(Family::Svr, 10)));
        assert_eq!(lineup.term(ModelId::in_use(Family::Svr, 11)), None);
    }

    #[test]
    fn a_trial_ends_with_its_last_bin_or_with_the_next_one() {
        let trial = |from_bin, until_bin| Trial {
            term: Term {
                model: ModelId::on_trial(Family::Svr, from_bin),
                kind: Kind::Windowed { bins: 12 },
                bins_needed: 12,
            },
            until_bin,
        };
        let lineup = Lineup::new(Vec::new()).with_trials(vec![trial(30, i64::MAX), trial(10, 20)]);
        let on_trial = |bin| lineup.on_trial(Family::Svr, bin).map(|term| term.model.from_bin);
        assert_eq!(
            [9, 10, 19, 20, 29, 30, 99].map(on_trial),
            [None, Some(10), Some(10), None, None, Some(30), Some(30)]
        );
        assert_eq!((lineup.on_trial(Family::Gru, 15), lineup.at(Family::Svr, 15)), (None, None));
        assert!(lineup.term(ModelId::on_trial(Family::Svr, 10)).is_some());
        assert_eq!(lineup.term(ModelId::in_use(Family::Svr, 10)), None);
    }
}
