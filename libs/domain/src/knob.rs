//! Settings by the names that configuration has for them. A part of the rules says which it has and where each stands in
//! it, so that a setting is declared once and whoever reads configuration goes over all of them.
//!
//! It must not know how configuration is written.

/// Bytes of a MiB, the unit that memory is given in.
pub const MIB: f64 = 1_048_576.0;

/// A setting: its place in the rules.
pub enum Knob<'a> {
    /// A real number, given in multiples of a unit.
    Number {
        /// The value.
        value: &'a mut f64,
        /// What it is a multiple of.
        unit: f64,
    },
    /// As a number; 0 for none.
    Bound {
        /// The value.
        value: &'a mut Option<f64>,
        /// What it is a multiple of.
        unit: f64,
    },
    /// A whole number.
    Count(&'a mut u32),
    /// As a whole number; 0 for none.
    CountBound(&'a mut Option<u32>),
    /// A whole number that only chooses among what is equally likely.
    Seed(&'a mut u64),
    /// Yes or no.
    Flag(&'a mut bool),
    /// One of some words.
    Word(&'a mut dyn Word),
}

/// A value that is one of some words.
pub trait Word {
    /// All words.
    fn words(&self) -> &'static [&'static str];

    /// Which of them it is.
    fn place(&self) -> usize;

    /// Makes it the one at that place; nothing where there is none.
    fn set(&mut self, place: usize);
}

/// A type of few values, each of which has a word.
pub trait Words: Copy + PartialEq + 'static {
    /// All words.
    const WORDS: &'static [&'static str];
    /// The values, each at the place of its word.
    const VALUES: &'static [Self];
}

impl<T: Words> Word for T {
    fn words(&self) -> &'static [&'static str] {
        T::WORDS
    }

    fn place(&self) -> usize {
        T::VALUES.iter().position(|value| value == self).unwrap_or(0)
    }

    fn set(&mut self, place: usize) {
        if let Some(value) = T::VALUES.get(place) {
            *self = *value;
        }
    }
}

/// A part of the rules that configuration sets by names.
pub trait Knobs {
    /// Calls `see` with each name and its setting, in the order in which they are explained.
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>));
}

impl<'a> Knob<'a> {
    /// A number in its own unit.
    pub fn number(value: &'a mut f64) -> Self {
        Self::Number { value, unit: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Mechanism;
    use crate::alarm::Severity;
    use crate::guardrail::Remedy;
    use crate::policy::outlook::Target;
    use crate::policy::proactive::AimName;
    use std::fmt::Debug;

    fn each_word_sets_its_own_value<T: Words + Debug>() {
        assert_eq!(T::WORDS.len(), T::VALUES.len());
        let mut value = T::VALUES[0];
        for (place, wanted) in T::VALUES.iter().enumerate() {
            value.set(place);
            assert_eq!((&value, value.place()), (wanted, place));
        }
        let last = value;
        value.set(T::WORDS.len());
        assert_eq!(value, last, "there is no such word");
    }

    #[test]
    fn a_word_sets_the_value_that_has_it() {
        each_word_sets_its_own_value::<AimName>();
        each_word_sets_its_own_value::<Remedy>();
        each_word_sets_its_own_value::<Severity>();
        each_word_sets_its_own_value::<Target>();
        each_word_sets_its_own_value::<Option<Mechanism>>();
    }
}
