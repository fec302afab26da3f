//! Who moved a group's position: kept as the metadata of the committed offset, so that an instance
//! whose commit has an unknown outcome can tell its own move from that of another, which may have
//! done the same work anew after it took the partition over.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A session of a stage; no two have the same, also across processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// One that nobody had before.
    pub(crate) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

/// Names the format, and sets it apart from metadata that others commit.
const FORMAT: &str = "prescale-1";
/// Owners kept. Who has lost a partition looks it up before so many others have had it.
const OWNERS_MAX: usize = 16;

/// The owners of a partition, in order, each with the position that it moved to last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Provenance(Vec<(Owner, i64)>);

impl Provenance {
    /// As it is once `owner` has moved the position there.
    pub(crate) fn moved(&self, owner: Owner, to: i64) -> Self {
        let mut owners = self.0.clone();
        match owners.last_mut().filter(|(last, _)| *last == owner) {
            Some(last) => last.1 = to,
            None => owners.push((owner, to)),
        }
        let surplus = owners.len().saturating_sub(OWNERS_MAX);
        owners.drain(..surplus);
        Self(owners)
    }

    /// Whether whoever made the last move of `other` has moved this position there, or further.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let Some((owner, to)) = other.0.last() else { return false };
        self.0.iter().any(|(known, reached)| known == owner && reached >= to)
    }

    pub(crate) fn encode(&self) -> String {
        let owners = self.0.iter().map(|(Owner(owner), to)| format!(" {owner:x}@{to}"));
        [FORMAT.to_owned()].into_iter().chain(owners).collect()
    }

    /// What [`Self::encode`] made; nothing is known of a position with other metadata.
    pub(crate) fn decode(metadata: &str) -> Self {
        let mut words = metadata.split(' ');
        if words.next() != Some(FORMAT) {
            return Self::default();
        }
        let owner = |word: &str| {
            let (owner, to) = word.split_once('@')?;
            Some((Owner(u64::from_str_radix(owner, 16).ok()?), to.parse().ok()?))
        };
        Self(words.map(owner).collect::<Option<_>>().unwrap_or_default())
    }
}

/// A group's position on a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: i64,
    pub(crate) provenance: Provenance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_foreign_metadata_says_nothing() {
        let provenance = Provenance::default().moved(Owner::new(), 7).moved(Owner::new(), 9);
        assert_eq!(Provenance::decode(&provenance.encode()), provenance);
        for foreign in ["", "theirs", "prescale-1 no", "prescale-2 1@2"] {
            assert_eq!(Provenance::decode(foreign), Provenance::default(), "{foreign:?}");
        }
    }

    #[test]
    fn a_move_is_told_from_one_to_the_same_position_by_another() {
        let (one, other) = (Owner::new(), Owner::new());
        let before = Provenance::default().moved(one, 10);
        let wanted = before.moved(one, 20);
        let continued = wanted.moved(other, 30);
        assert!(wanted.includes(&wanted) && continued.includes(&wanted));
        let anew = before.moved(other, 20).moved(other, 30);
        assert!(!before.includes(&wanted) && !anew.includes(&wanted));
    }

    #[test]
    fn it_stays_short() {
        let many = (0..100).fold(Provenance::default(), |known, to| known.moved(Owner::new(), to));
        assert_eq!(many.0.len(), OWNERS_MAX);
        assert!(many.encode().len() < 1000);
    }
}
