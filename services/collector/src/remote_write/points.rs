//! A request's series into points. Pure.

use super::wire::{Malformed, Version, each_series};
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use prescale_domain::time::EventTime;

/// Why nothing becomes of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Unusable {
    /// It is no message of its version.
    Malformed(Malformed),
    /// It has more samples than one request may.
    TooMany,
}

/// The points of a request that came at `now`.
///
/// # Errors
/// When it is no message, or too large a one; nothing of it is then used.
pub(super) fn read(
    mapping: &Mapping,
    version: Version,
    message: &[u8],
    known: &mut Known,
    now: EventTime,
) -> Result<Read, Unusable> {
    let mut read = Read::default();
    let mut is_too_large = false;
    each_series(version, message, |series| {
        is_too_large = !read.has_room_for(series.samples.len());
        if !is_too_large {
            mapping.take(series, known, now, &mut read);
        }
        !is_too_large
    })
    .map_err(Unusable::Malformed)?;
    if is_too_large { Err(Unusable::TooMany) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::super::wire::tests::written;
    use super::*;
    use crate::prometheus::preset::parsed;
    use prescale_domain::source::SourceName;

    fn mapping() -> Mapping {
        let preset = parsed(
            "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.cpu_cores_used]\nquery = \"q\"\n\
             [[series.cpu_cores_used]]\nmetric = \"cpu\"\ntotal = true\n",
        );
        Mapping::new(preset, SourceName::new("remote-write:test").unwrap(), 60)
    }

    #[test]
    fn both_versions_come_to_the_same() {
        let labels = [("__name__", "cpu"), ("vm", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let all = [(labels.to_vec(), vec![(1000, 5.0), (2000, 6.0), (-1, 1.0)])];
        let [one, two] = [Version::One, Version::Two].map(|version| {
            let mut known = Known::new(9);
            read(&mapping(), version, &written(version, &all), &mut known, EventTime::from_s(1000)).unwrap()
        });
        assert_eq!((one.samples, one.refused, one.points.len()), (2, 1, 2));
        assert_eq!(one, two);
    }

    #[test]
    fn what_is_no_message_is_unusable() {
        let mut known = Known::new(1);
        let unusable = read(&mapping(), Version::One, &[10, 200], &mut known, EventTime::from_s(0));
        assert!(matches!(unusable, Err(Unusable::Malformed(_))), "{unusable:?}");
    }
}
