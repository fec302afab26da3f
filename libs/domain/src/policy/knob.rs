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
