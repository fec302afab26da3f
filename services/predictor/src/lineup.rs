//! Which model of a family is in use from when on: what a series must know of the models. Knows neither
//! weights nor files.

use bitcode::{Decode, Encode};
use prescale_domain::forecast::Family;
use prescale_inference::Kind;

/// First bin of the term of a model that nothing came before.
pub const FROM_THE_BEGINNING: i64 = i64::MIN;

/// A model by its family and the bin of the grid with which its term begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ModelId {
    /// The family.
    pub family: Family,
    /// First bin of the term, or [`FROM_THE_BEGINNING`].
    pub from_bin: i64,
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

/// The terms of all families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineup {
    /// By family and beginning, ascending.
    terms: Vec<Term>,
}

impl Lineup {
    /// These terms.
    pub fn new(mut terms: Vec<Term>) -> Self {
        terms.sort_by_key(|term| term.model);
        Self { terms }
    }

    /// The term of a family that holds a bin; `None` for a family without a model.
    pub fn at(&self, family: Family, bin: i64) -> Option<&Term> {
        let before = self.terms.partition_point(|term| term.model <= ModelId { family, from_bin: bin });
        self.terms[..before].last().filter(|term| term.model.family == family)
    }

    /// The term of a model.
    pub fn term(&self, model: ModelId) -> Option<&Term> {
        self.terms.binary_search_by_key(&model, |term| term.model).ok().map(|place| &self.terms[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_lasts_until_the_next_one_of_the_family() {
        let term = |family, from_bin| Term {
            model: ModelId { family, from_bin },
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
        assert_eq!(lineup.term(ModelId { family: Family::Svr, from_bin: 10 }), Some(&term(Family::Svr, 10)));
        assert_eq!(lineup.term(ModelId { family: Family::Svr, from_bin: 11 }), None);
    }
}
