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
    pub value: Vec<u8>,
}

/// Name of a header. Records come by the thousand with the same ones, so they do not have one each.
#[derive(Clone)]
pub struct HeaderName(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl HeaderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(name) => name,
            Text::Shared(name) => name,
        }
    }
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for HeaderName {}

impl PartialEq<&str> for HeaderName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&'static str> for HeaderName {
    fn from(name: &'static str) -> Self {
        Self(Text::Static(name))
    }
}

impl From<Arc<str>> for HeaderName {
    fn from(name: Arc<str>) -> Self {
        Self(Text::Shared(name))
    }
}

impl From<String> for HeaderName {
    fn from(name: String) -> Self {
        Self(Text::Shared(name.into()))
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
