//! Texts that come again with each record, such as names and units of KPIs: each is allocated once a thread, and records
//! share it.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Texts that a thread keeps; of what comes when it has so many, each record has its own.
const KEPT_MAX: usize = 4096;

/// A longer text is no name.
const NAME_BYTES_MAX: usize = 256;

thread_local! {
    static KEPT: RefCell<HashSet<Arc<str>>> = RefCell::new(HashSet::new());
}

/// The text, shared with all records of the thread that have it.
pub(crate) fn shared(text: &str) -> Arc<str> {
    KEPT.with_borrow_mut(|kept| {
        if let Some(known) = kept.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if kept.len() < KEPT_MAX && text.len() <= NAME_BYTES_MAX {
            kept.insert(Arc::clone(&new));
        }
        new
    })
}

/// A text of a record that comes again with others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Arc<str>);

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name(shared(text)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_not_without_bound() {
        let (first, again) = (shared("cores"), shared("cores"));
        assert!(Arc::ptr_eq(&first, &again));
        for i in 0..2 * KEPT_MAX {
            assert_eq!(&*shared(&i.to_string()), i.to_string());
        }
        assert!(KEPT.with_borrow(HashSet::len) <= KEPT_MAX);
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
    }
}
