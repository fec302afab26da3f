//! A request's series into points. Pure.

use super::replicas::{Chooser, Standing};
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
    chooser: &mut Chooser,
    now: EventTime,
) -> Result<Read, Unusable> {
    let mut read = Read::default();
    let mut is_too_large = false;
    each_series(version, message, |series, unread| {
        is_too_large = !read.has_room_for(series.samples.len());
        if is_too_large {
            return false;
        }
        let samples = series.samples.len() as u64;
        match chooser.standing(series, now) {
            Standing::Taken => {
                mapping.take(series, known, now, &mut read);
                if unread > 0 && mapping.means(series) {
                    read.refuse(unread, || "histograms and exemplars are not read: leave them out".to_owned());
                }
            }
            Standing::Spare { is_compared } => {
                read.spare += samples;
                let goes_on = series.samples.iter().any(|sample| !sample.value.is_nan());
                read.differing += u64::from(is_compared && goes_on && mapping.is_new(series, known));
            }
            Standing::TooMany => read.beyond += samples,
        }
        true
    })
    .map_err(Unusable::Malformed)?;
    chooser.tell(read.differing, now);
    if is_too_large { Err(Unusable::TooMany) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::super::wire::tests::{Written, with_unread, written};
    use super::*;
    use crate::config::ReplicasConfig;
    use crate::prometheus::preset::parsed;
    use prescale_domain::source::SourceName;

    fn mapping() -> Mapping {
        let preset = parsed(
            "about = \"\"\nworkload = \"{vm}\"\nplatform = \"openstack\"\n[kpis.cpu_cores_used]\nquery = \"q\"\n\
             [[series.cpu_cores_used]]\nmetric = \"cpu\"\ntotal = true\n",
        );
        Mapping::new(preset, SourceName::new("remote-write:test").unwrap(), 60)
    }

    fn cpu(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Written {
        let labels = [("__name__", "cpu")].iter().chain(labels);
        (labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), samples.to_vec())
    }

    fn chooser() -> Chooser {
        Chooser::new(ReplicasConfig::default())
    }

    #[test]
    fn both_versions_come_to_the_same() {
        let all = [cpu(&[("vm", "a")], &[(1000, 5.0), (2000, 6.0), (-1, 1.0)])];
        let [one, two] = [Version::One, Version::Two].map(|version| {
            let (mut known, message) = (Known::new(9), written(version, &all));
            read(&mapping(), version, &message, &mut known, &mut chooser(), EventTime::from_s(1000)).unwrap()
        });
        assert_eq!((one.samples, one.refused, one.points.len()), (2, 1, 2));
        assert_eq!(one, two);
    }

    #[test]
    fn histograms_and_exemplars_of_a_series_that_is_meant_are_refused() {
        let other = (vec![("__name__".to_owned(), "other".to_owned())], vec![(1000, 1.0)]);
        let all = [cpu(&[("vm", "a")], &[(1000, 5.0)]), other];
        for version in [Version::One, Version::Two] {
            let message = with_unread(version, &written(version, &all));
            let mut known = Known::new(9);
            let read =
                read(&mapping(), version, &message, &mut known, &mut chooser(), EventTime::from_s(1000)).unwrap();
            assert_eq!((read.samples, read.refused, read.left_out), (1, 2, 1));
            assert!(read.why.unwrap().contains("histograms and exemplars"));
        }
    }

    #[test]
    fn of_two_replicas_one_is_taken_as_the_same_series_and_what_only_the_other_has_is_told() {
        let (mapping, mut known, mut chooser) = (mapping(), Known::new(9), chooser());
        let mut sent = |replica: &str, vms: &[&str], at_s: i64| {
            let of =
                |vm: &&str| cpu(&[("vm", *vm), ("cluster", "eu"), ("__replica__", replica)], &[(at_s * 1000, 5.0)]);
            let message = written(Version::One, &vms.iter().map(of).collect::<Vec<_>>());
            read(&mapping, Version::One, &message, &mut known, &mut chooser, EventTime::from_s(at_s)).unwrap()
        };
        let first = sent("one", &["a"], 1000);
        let spare = sent("two", &["a", "b"], 1001);
        assert_eq!((spare.samples, spare.spare, spare.differing, spare.points.len()), (0, 2, 0, 0));
        (1..30).for_each(|n| assert_eq!(sent("one", &["a"], 1000 + 15 * n).samples, 1));
        let spare = sent("two", &["a", "b"], 1440);
        assert_eq!((spare.spare, spare.differing), (2, 1));
        let instead = sent("two", &["a"], 1465);
        assert_eq!((instead.samples, instead.spare), (1, 0));
        assert_eq!(instead.points[0].series, first.points[0].series);
    }

    #[test]
    fn what_is_no_message_is_unusable() {
        let mut known = Known::new(1);
        let unusable = read(&mapping(), Version::One, &[10, 200], &mut known, &mut chooser(), EventTime::from_s(0));
        assert!(matches!(unusable, Err(Unusable::Malformed(_))), "{unusable:?}");
    }
}
