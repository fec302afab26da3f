//! What decodes bytes that anybody may send, without the ports and clusters that they come through: for the fuzz targets.
//! (What is in [`crate::formats`] needs none of this.)

use crate::otlp;
use crate::prometheus::preset::Preset;
use crate::receiver::known::Known;
use crate::receiver::mapping::Mapping;
use crate::remote_write;
use anyhow::Result;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;

/// Series that are known at a time.
const SERIES_MAX: usize = 1000;

/// What receivers have in common, by a preset that ships.
pub struct Untrusted {
    mapping: Mapping,
    known: Known,
    now: EventTime,
}

impl Untrusted {
    /// For bytes that come at `now`, with the preset of that name, which says something of pushed series.
    ///
    /// # Errors
    /// When there is no such preset.
    pub fn new(preset: &str, now: EventTime) -> Result<Self> {
        let mapping = Mapping::new(Preset::load("preset", preset)?, SourceName::new("untrusted")?, 60);
        Ok(Self { mapping, known: Known::new(SERIES_MAX), now })
    }

    /// How many points a message of remote write has, of version 1.0 or 2.0, before any compression; `None` where it cannot
    /// be read.
    pub fn remote_write(&mut self, is_version_two: bool, message: &[u8]) -> Option<usize> {
        remote_write::read(is_version_two, message, &self.mapping, &mut self.known, self.now)
            .map(|read| read.points.len())
    }

    /// How many points a message of OTLP has, protobuf or JSON; `None` where it cannot be read.
    pub fn otlp(&mut self, is_json: bool, message: &[u8]) -> Option<usize> {
        otlp::read(message, is_json, &self.mapping, &mut self.known, self.now).ok().map(|read| read.points.len())
    }
}

/// Whether a text is a preset, with one KPI of the user's beside its own.
pub fn is_preset(text: &str, name: &str, query: &str) -> bool {
    Preset::parse(text, &BTreeMap::from([(name.to_owned(), query.to_owned())])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_told_from_what_cannot() {
        let mut untrusted = Untrusted::new("node", EventTime::from_s(1000)).unwrap();
        assert_eq!(untrusted.remote_write(false, &[]), Some(0));
        assert_eq!(untrusted.remote_write(true, &[10, 200]), None);
        assert_eq!(untrusted.otlp(true, b"{\"resourceMetrics\":[]}"), Some(0));
        assert_eq!(untrusted.otlp(false, &[10, 200]), None);
        assert!(Untrusted::new("nobody's", EventTime::from_s(0)).is_err());
        let preset =
            "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"m\"\n";
        assert!(
            is_preset(preset, "requests", "q")
                && !is_preset(preset, "Requests", "q")
                && !is_preset("", "requests", "q")
        );
    }
}
