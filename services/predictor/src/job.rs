//! What the models are to do for one series, and what came of it.

use crate::lineup::ModelId;
use bitcode::{Decode, Encode};
use prescale_domain::forecast::features::FEATURES;
use prescale_domain::scaled::Block;

/// What the models are given: one step a row, the open bin's last.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Features, a row a bin; none when no model runs.
    pub rows: Vec<[f32; FEATURES]>,
    /// Demand up to the open bin as [`prescale_domain::forecast::features::window`] has it, of as many bins
    /// as the longest window of `runs`.
    pub window: Vec<f32>,
    /// Scale of the open bin.
    pub scale: f64,
    /// Who runs.
    pub runs: Vec<Run>,
}

/// A model's part in a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which model.
    pub model: ModelId,
    /// Whether it makes its family's forecast; else it runs to get its state.
    pub serves: bool,
    /// The first of the rows that it gets; those before came before its term.
    pub first_row: usize,
    /// A stateful model's state: before the steps, and then before and after the last of them. `None` for a
    /// windowed one, which gets the last row alone.
    pub carried: Option<Carried>,
    /// The quantiles of the last step, in units of the scale; `None` before it, or when a number was not
    /// finite.
    pub quantiles: Option<Vec<f32>>,
}

/// A model's state of one series, as a model is given it.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// After all closed bins; empty stands for zeros.
    pub closed: Vec<f32>,
    /// After the open bin as it is now.
    pub open: Vec<f32>,
    /// Bins that it has seen, the open one included.
    pub bins: u64,
}

/// A model's state of one series, carried from bin to bin: as [`Carried`], in 16 bits a number.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Kept {
    closed: Block,
    /// Nothing while the model has not gone through the open bin.
    open: Block,
    /// As of [`Carried`].
    pub bins: u64,
}

impl Default for Carried {
    /// That of a model whose first bin is the open one.
    fn default() -> Self {
        Self { closed: Vec::new(), open: Vec::new(), bins: 1 }
    }
}

/// A state as it would be after it was kept. What a model goes through at once gives so what it gives bin by bin.
pub fn as_kept(state: &[f32]) -> Vec<f32> {
    Block::of(state).numbers()
}

impl Kept {
    /// Goes on by so many bins. Where the model `has_run` over the open bin to its end, what was after that one is
    /// now before the next; else it has still to go through it.
    pub fn close(&mut self, bins: u32, has_run: bool) {
        let open = std::mem::take(&mut self.open);
        if has_run {
            self.closed = open;
        }
        self.bins += u64::from(bins);
    }

    /// As a model is given it.
    pub fn carried(&self) -> Carried {
        Carried { closed: self.closed.numbers(), open: self.open.numbers(), bins: self.bins }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.closed.heap_bytes() + self.open.heap_bytes()
    }
}

impl From<&Carried> for Kept {
    fn from(carried: &Carried) -> Self {
        let Carried { closed, open, bins } = carried;
        Self { closed: Block::of(closed), open: Block::of(open), bins: *bins }
    }
}
