//! The models of families that are not configured any more. What was learnt of how they miss is kept, so it must be known
//! whose it is when such a family comes back: a model that the configuration names has no other number than the next one.

use crate::lineup::ModelId;
use bitcode::{Decode, Encode};
use prescale_domain::forecast::Family;

/// A model, and the SHA-256 that tells it from every other.
pub type Identity = (ModelId, String);

/// The models that the families had that have gone.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Parted(Vec<Identity>);

impl Parted {
    /// Hears that there are the models `now` where `before` were in use until then. Gives the newest model of each
    /// family that is back with others than it had.
    pub fn change(&mut self, before: &[Identity], now: &[Identity]) -> Vec<ModelId> {
        let (back, mut gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(model, _)| newest(now, model.family).is_some());
        gone.extend(before.iter().filter(|(model, _)| newest(now, model.family).is_none()).cloned());
        self.0 = gone;
        let is_of_others = |known: &&Identity| newest(before, known.0.family).is_none() && !now.contains(known);
        let mut begun: Vec<ModelId> =
            back.iter().filter(is_of_others).filter_map(|(model, _)| newest(now, model.family)).collect();
        begun.dedup();
        begun
    }
}

fn newest(models: &[Identity], family: Family) -> Option<ModelId> {
    models.iter().map(|(model, _)| *model).filter(|model| model.family == family).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(family: Family, from_bin: i64, sha256: &str) -> Identity {
        (ModelId::in_use(family, from_bin), sha256.to_owned())
    }

    #[test]
    fn a_family_is_back_with_what_it_had_or_with_others() {
        let gru = model(Family::Gru, i64::MIN, "g");
        let lstm = [model(Family::Lstm, i64::MIN, "a"), model(Family::Lstm, 20, "b")];
        let with_lstm = |lstm: &[Identity]| [std::slice::from_ref(&gru), lstm].concat();
        let without = vec![gru.clone()];
        let mut parted = Parted::default();
        assert_eq!(parted.change(&with_lstm(&lstm), &without), []);
        assert_eq!(parted.change(&without, &without), [], "it is remembered from start to start");
        let mut same = parted.clone();
        let promoted = [&lstm[..], &[model(Family::Lstm, 40, "c")]].concat();
        assert_eq!(same.change(&without, &with_lstm(&promoted)), [], "a later version has a number of its own");
        assert_eq!(same, Parted::default());
        let others = [model(Family::Lstm, i64::MIN, "x"), model(Family::Lstm, 20, "y")];
        assert_eq!(parted.change(&without, &with_lstm(&others)), [others[1].0]);
        assert_eq!(parted.change(&with_lstm(&others), &with_lstm(&others)), [], "it is told once");
    }

    #[test]
    fn a_family_that_has_made_forecasts_since_is_not_begun_anew() {
        let (before, since) = (model(Family::Svr, i64::MIN, "a"), model(Family::Svr, 20, "b"));
        let mut parted = Parted::default();
        assert_eq!(parted.change(&[before], &[]), []);
        // Its term began while the predictor ran.
        assert_eq!(parted.change(std::slice::from_ref(&since), std::slice::from_ref(&since)), []);
        assert_eq!(parted, Parted::default());
    }
}
