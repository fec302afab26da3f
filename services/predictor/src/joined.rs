//! The statistical families that began in the middle of a series: where the configuration names other families than
//! before, those that it names still go on, and one that it names anew is of use once it has seen as much as it needs.

use bitcode::{Decode, Encode};
use prescale_domain::forecast::Family;

/// Each with the bins that the series had before it began.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Joined(Vec<(Family, u32)>);

/// Begins a state where there is none. Whether it did.
pub fn begin<T: Default>(state: &mut Option<Box<T>>) -> bool {
    let is_new = state.is_none();
    if is_new {
        *state = Some(Box::default());
    }
    is_new
}

impl Joined {
    /// Notes that a family begins with the open bin of a series that has so many, the open one included.
    pub fn begin(&mut self, family: Family, bins: u64) {
        self.retain(|joined| joined != family);
        self.0.push((family, u32::try_from(bins.saturating_sub(1)).unwrap_or(u32::MAX)));
    }

    /// The bins of the series that a family has not seen.
    pub fn bins_before(&self, family: Family) -> u64 {
        self.0.iter().find(|(joined, _)| *joined == family).map_or(0, |(_, bins_before)| u64::from(*bins_before))
    }

    /// Forgets all families but those.
    pub fn retain(&mut self, is_in_use: impl Fn(Family) -> bool) {
        self.0.retain(|(joined, _)| is_in_use(*joined));
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(Family, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_seen_what_came_since_it_began() {
        let mut joined = Joined::default();
        assert_eq!(joined.bins_before(Family::Mstl), 0);
        joined.begin(Family::Mstl, 401);
        joined.begin(Family::Arima, 1);
        joined.begin(Family::Mstl, 501);
        assert_eq!([Family::Mstl, Family::Arima, Family::Prophet].map(|f| joined.bins_before(f)), [500, 0, 0]);
        joined.retain(|family| family == Family::Arima);
        assert_eq!(joined.bins_before(Family::Mstl), 0);
        let mut state: Option<Box<u8>> = None;
        assert_eq!([begin(&mut state), begin(&mut state)], [true, false]);
    }
}
