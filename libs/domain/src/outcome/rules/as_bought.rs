//! Nobody decides: the capacity that the workload had.

use super::{Seen, SizingRule};

/// The capacity that the workload had.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsBought;

impl SizingRule for AsBought {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        seen.bought
    }
}
