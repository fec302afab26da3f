//! Who moved a group's position: kept as the metadata of the committed offset, so that an instance
//! whose commit has an unknown outcome can tell its own move from that of another, which may have
//! done the same work anew after it took the partition over. And under which terms: snapshots are each
//! instance's own, so that another's terms are known by the position alone.

use crate::stored::Terms;
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

/// Begins the word that tells of the terms.
const TERMS: char = '~';

/// The owners of a partition, in order, each with the position that it moved to last; and under which terms the newest
/// records before the position were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Provenance {
    owners: Vec<(Owner, i64)>,
    terms: Option<Terms>,
}

impl Provenance {
    /// As it is once `owner` has moved the position there.
    pub(crate) fn moved(&self, owner: Owner, to: i64) -> Self {
        let mut owners = self.owners.clone();
        match owners.last_mut().filter(|(last, _)| *last == owner) {
            Some(last) => last.1 = to,
            None => owners.push((owner, to)),
        }
        let surplus = owners.len().saturating_sub(OWNERS_MAX);
        owners.drain(..surplus);
        Self { owners, terms: self.terms }
    }

    /// As it is once the records from `from` on, where the position was, were applied under terms of this checksum.
    pub(crate) fn applied_under(self, checksum: u32, from: i64) -> Self {
        let terms = self.terms.filter(|terms| terms.checksum == checksum).unwrap_or(Terms { checksum, since: from });
        Self { terms: Some(terms), ..self }
    }

    /// Under which terms the newest records before the position were applied, as far as that is known.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.terms
    }

    /// Whether whoever made the last move of `other` has moved this position there, or further.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let Some((owner, to)) = other.owners.last() else { return false };
        self.owners.iter().any(|(known, reached)| known == owner && reached >= to)
    }

    pub(crate) fn encode(&self) -> String {
        let owners = self.owners.iter().map(|(Owner(owner), to)| format!(" {owner:x}@{to}"));
        let terms = self.terms.map(|Terms { checksum, since }| format!(" {TERMS}{checksum:x}@{since}"));
        [FORMAT.to_owned()].into_iter().chain(owners).chain(terms).collect()
    }

    /// What [`Self::encode`] made; nothing is known of a position with other metadata.
    pub(crate) fn decode(metadata: &str) -> Self {
        let mut words = metadata.split(' ');
        if words.next() != Some(FORMAT) {
            return Self::default();
        }
        let mut known = Self::default();
        let is_known = words.all(|word| known.take(word).is_some());
        if is_known { known } else { Self::default() }
    }

    /// Takes a word of the metadata in.
    fn take(&mut self, word: &str) -> Option<()> {
        let (what, at) = word.split_once('@')?;
        let at = at.parse().ok()?;
        match what.strip_prefix(TERMS) {
            Some(checksum) => {
                self.terms = Some(Terms { checksum: u32::from_str_radix(checksum, 16).ok()?, since: at });
            }
            None => self.owners.push((Owner(u64::from_str_radix(what, 16).ok()?), at)),
        }
        Some(())
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
        let provenance = provenance.applied_under(0xfe, 3);
        assert_eq!(Provenance::decode(&provenance.encode()), provenance);
        for foreign in ["", "theirs", "prescale-1 no", "prescale-1 1@2 ~x@3", "prescale-2 1@2"] {
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
    fn terms_count_from_where_the_last_others_ended() {
        let (one, other) = (Owner::new(), Owner::new());
        let first = Provenance::default().moved(one, 10).applied_under(1, 0);
        let again = first.moved(other, 20).applied_under(1, 10);
        assert_eq!(again.terms(), Some(Terms { checksum: 1, since: 0 }), "another instance has the same");
        let changed = again.moved(one, 30).applied_under(2, 20);
        assert_eq!(changed.terms(), Some(Terms { checksum: 2, since: 20 }));
        let back = changed.moved(other, 40).applied_under(1, 30);
        assert_eq!(back.terms(), Some(Terms { checksum: 1, since: 30 }));
        assert_eq!(Provenance::default().moved(one, 10).terms(), None);
    }

    #[test]
    fn it_stays_short() {
        let many = (0..100).fold(Provenance::default(), |known, to| known.moved(Owner::new(), to));
        assert_eq!(many.owners.len(), OWNERS_MAX);
        assert!(many.encode().len() < 1000);
    }
}
