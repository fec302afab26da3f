//! Records as the bus sees them: bytes with a key and headers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One header; names may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name.
    pub name: HeaderName,
    /// Bytes.
    pub value: HeaderValue,
}

/// Name of a header.
pub type HeaderName = Shared<str>;

/// Value of a header.
pub type HeaderValue = Shared<[u8]>;

/// What comes again with record after record, so that each does not have one of its own.
pub struct Shared<T: ?Sized + 'static>(Held<T>);

enum Held<T: ?Sized + 'static> {
    Static(&'static T),
    Counted(Arc<T>),
}

impl<T: ?Sized + 'static> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Held::Static(held) => held,
            Held::Counted(held) => held,
        }
    }
}

impl<T: ?Sized + 'static> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Held::Static(held) => Held::Static(*held),
            Held::Counted(held) => Held::Counted(Arc::clone(held)),
        })
    }
}

impl<T: ?Sized + PartialEq + 'static> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq + 'static> Eq for Shared<T> {}

impl<T: ?Sized + fmt::Debug + 'static> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display + 'static> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: ?Sized + 'static> From<&'static T> for Shared<T> {
    fn from(held: &'static T) -> Self {
        Self(Held::Static(held))
    }
}

impl<T: ?Sized + 'static> From<Arc<T>> for Shared<T> {
    fn from(held: Arc<T>) -> Self {
        Self(Held::Counted(held))
    }
}

impl HeaderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        self
    }
}

impl PartialEq<&str> for HeaderName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<String> for HeaderName {
    fn from(name: String) -> Self {
        Self(Held::Counted(name.into()))
    }
}

impl HeaderValue {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for HeaderValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Held::Counted(bytes.into()))
    }
}

impl From<Arc<str>> for HeaderValue {
    fn from(text: Arc<str>) -> Self {
        Self(Held::Counted(text.into()))
    }
}

/// A record to be written. The key decides the partition (murmur2, as Kafka's Java client does).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Key.
    pub key: Vec<u8>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<Header>,
}

impl OutputRecord {
    /// As whoever reads it gets it that lies there, with 0 for when the bus took it in.
    pub fn read_at(self, partition: u32, offset: i64) -> ConsumedRecord {
        let Self { topic, key, value, headers } = self;
        ConsumedRecord { topic, partition, offset, appended_at_ms: 0, key: Some(key), value, headers }
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: i64,
    /// When the bus took it in, milliseconds since the Unix epoch. Never an input of a stage's
    /// output: it differs between runs.
    pub appended_at_ms: i64,
    /// Key; `None` for a record that has none.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<Header>,
}

impl ConsumedRecord {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|h| h.name == name).map(|h| h.value.as_slice())
    }
}
