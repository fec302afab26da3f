//! Prometheus remote write 1.0: a snappy block of one protobuf `WriteRequest`.
//!
//! Series, each with the labels `workload` and `source`:
//!
//! - `prescale_fingerprint_last`, `_capacity`, `_<feature>` with `kpi` and `unit`; features, which come when a bin
//!   closes, also with `window` (`short`, `long`); one that is added by SQL is `prescale_fingerprint_extra` with
//!   `feature`;
//! - `prescale_prediction` with `resource`, `unit`, `horizon_s`, `statistic` (`value`, `maximum`) and
//!   `quantile`; `prescale_prediction_bound` with `coverage` and `bound` (`lower`, `upper`);
//!   `prescale_prediction_trailing_coverage`; and `prescale_prediction_info`, always 1, with `model`,
//!   `model_version` and `drift`;
//! - of groups, with `group` in place of `workload` and `source`, `prescale_group_prediction` and so on, and
//!   `prescale_group_members` with `standing` (`reported`, `carried`).
//!
//! The timestamp is the sample's, or the instant that the prediction was made for.

use super::pieces::{Encode, Encoder, Pieces};
use crate::features::Selection;
use prescale_domain::calibration::Statistic;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::{Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::{QUANTILE_LEVELS, Quantiles};
use prescale_domain::resource::Resource;
use prost::Message;
use std::sync::Arc;

pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ("User-Agent", concat!("prescale-archiver/", env!("CARGO_PKG_VERSION"))),
];

/// Field 1 of `WriteRequest`, a list of `TimeSeries`.
const TIME_SERIES: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// Writes remote write.
#[derive(Clone)]
pub(crate) struct RemoteWrite {
    features: Arc<Selection>,
}

impl RemoteWrite {
    /// With these features as series.
    pub(crate) fn new(features: Selection) -> Self {
        Self { features: Arc::new(features) }
    }
}

impl Encoder for RemoteWrite {
    fn body(&self, pieces: &[u8]) -> Vec<u8> {
        // Snappy fails only beyond 4 GiB, which no request comes near.
        snap::raw::Encoder::new().compress_vec(pieces).unwrap_or_default()
    }
}

/// Samples of one record: labels that all have, and one instant.
struct Samples<'a> {
    pieces: &'a mut Pieces,
    common: Vec<(&'static str, String)>,
    at_ms: i64,
}

impl Samples<'_> {
    fn push(&mut self, name: &str, labels: &[(&'static str, &str)], value: f64) {
        let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
        let mut all: Vec<Label> = self
            .common
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(labels.iter().copied())
            .chain([("__name__", name)])
            .filter(|(_, value)| !value.is_empty())
            .map(label)
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let samples = vec![Sample { value, timestamp_ms: self.at_ms }];
        let series = TimeSeries { labels: all, samples };
        self.pieces.push(|bytes| prost::encoding::message::encode(TIME_SERIES, &series, bytes));
    }
}

impl Encode<Fingerprint> for RemoteWrite {
    fn encode(&self, fingerprint: &Fingerprint, pieces: &mut Pieces) {
        for kpi in &fingerprint.kpis {
            let common = vec![
                ("workload", fingerprint.workload.to_string()),
                ("source", fingerprint.source.to_string()),
                ("kpi", kpi.name.to_string()),
                ("unit", kpi.unit.to_string()),
            ];
            let mut samples = Samples { pieces: &mut *pieces, common, at_ms: fingerprint.at.as_ms() };
            if let Some(last) = kpi.last {
                samples.push("prescale_fingerprint_last", &[], last);
            }
            if let Some(capacity) = Resource::capacity_of_kpi(kpi.name.as_str(), fingerprint.capacity.as_ref()) {
                samples.push("prescale_fingerprint_capacity", &[], capacity);
            }
            self.features.each(kpi, |f| {
                if f.is_extra {
                    let labels = [("window", f.window), ("feature", f.name)];
                    samples.push("prescale_fingerprint_extra", &labels, f.value);
                } else {
                    samples.push(&format!("prescale_fingerprint_{}", f.name), &[("window", f.window)], f.value);
                }
            });
        }
    }
}

impl Encode<Prediction> for RemoteWrite {
    fn encode(&self, prediction: &Prediction, pieces: &mut Pieces) {
        for forecast in &prediction.resources {
            let common = vec![
                ("workload", prediction.workload.to_string()),
                ("source", prediction.source.to_string()),
                ("resource", forecast.resource.to_string()),
                ("unit", forecast.unit.to_string()),
            ];
            let mut samples = Samples { pieces: &mut *pieces, common, at_ms: prediction.made_at.as_ms() };
            push_forecast(&mut samples, &WORKLOAD_SERIES, forecast);
        }
    }
}

impl Encode<GroupPrediction> for RemoteWrite {
    fn encode(&self, prediction: &GroupPrediction, pieces: &mut Pieces) {
        let at_ms = prediction.made_at.as_ms();
        let group = ("group", prediction.group.to_string());
        let mut samples = Samples { pieces: &mut *pieces, common: vec![group.clone()], at_ms };
        let members = prediction.members;
        for (standing, count) in [("reported", members.reported), ("carried", members.carried)] {
            samples.push("prescale_group_members", &[("standing", standing)], f64::from(count));
        }
        for forecast in &prediction.resources {
            let resource = ("resource", forecast.resource.to_string());
            let common = vec![group.clone(), resource, ("unit", forecast.unit.to_string())];
            push_forecast(&mut Samples { pieces: &mut *pieces, common, at_ms }, &GROUP_SERIES, forecast);
        }
    }
}

/// Names of a forecast's series.
struct SeriesNames {
    quantile: &'static str,
    bound: &'static str,
    trailing_coverage: &'static str,
    info: &'static str,
}

const WORKLOAD_SERIES: SeriesNames = SeriesNames {
    quantile: "prescale_prediction",
    bound: "prescale_prediction_bound",
    trailing_coverage: "prescale_prediction_trailing_coverage",
    info: "prescale_prediction_info",
};

/// Others than the workloads', so that a sum over those holds nothing twice.
const GROUP_SERIES: SeriesNames = SeriesNames {
    quantile: "prescale_group_prediction",
    bound: "prescale_group_prediction_bound",
    trailing_coverage: "prescale_group_prediction_trailing_coverage",
    info: "prescale_group_prediction_info",
};

fn push_forecast(samples: &mut Samples<'_>, names: &SeriesNames, forecast: &ResourceForecast) {
    let mut labels = vec![("model", &*forecast.model), ("model_version", &*forecast.model_version)];
    labels.extend(forecast.drift.map(|drift| ("drift", drift.name())));
    samples.push(names.info, &labels, 1.0);
    for horizon in &forecast.horizons {
        let horizon_s = horizon.horizon_s.to_string();
        for (statistic, quantiles, interval) in horizon.statistics() {
            push_statistic(samples, names, &horizon_s, (statistic, quantiles, interval));
        }
    }
}

fn push_statistic(
    samples: &mut Samples<'_>,
    names: &SeriesNames,
    horizon_s: &str,
    (statistic, quantiles, interval): (Statistic, &Quantiles, &Interval),
) {
    let [horizon, statistic] = [("horizon_s", horizon_s), ("statistic", statistic.name())];
    for (level, value) in QUANTILE_LEVELS.iter().zip(quantiles.values()) {
        samples.push(names.quantile, &[horizon, statistic, ("quantile", &level.to_string())], *value);
    }
    let coverage = interval.nominal_coverage.to_string();
    for (bound, value) in [("lower", interval.lower), ("upper", interval.upper)] {
        let labels = [horizon, statistic, ("coverage", &coverage), ("bound", bound)];
        samples.push(names.bound, &labels, value);
    }
    if let Some(coverage) = interval.trailing_coverage {
        samples.push(names.trailing_coverage, &[horizon, statistic], coverage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use prescale_domain::source::SourceName;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, PartialEq, Message)]
    struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        series: Vec<TimeSeries>,
    }

    fn decoded<C>(encoder: &RemoteWrite, value: &C) -> Vec<(String, f64, i64)>
    where
        RemoteWrite: Encode<C>,
    {
        let mut pieces = Pieces::default();
        encoder.encode(value, &mut pieces);
        let body = encoder.body(pieces.bytes(&(0..pieces.len())));
        let bytes = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = WriteRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(request.series.len(), pieces.len());
        request
            .series
            .iter()
            .map(|series| {
                let names: Vec<_> = series.labels.iter().map(|l| &l.name).collect();
                assert!(names.is_sorted() && names.iter().collect::<BTreeSet<_>>().len() == names.len(), "{names:?}");
                let labels: Vec<_> = series.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
                let [Sample { value, timestamp_ms }] = series.samples[..] else { panic!("{series:?}") };
                (labels.join(","), value, timestamp_ms)
            })
            .collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut pieces = Pieces::default();
        let mut samples = Samples { pieces: &mut pieces, common: vec![("a", "b".to_owned())], at_ms: 5 };
        samples.push("m", &[], 1.0);
        let expected: &[u8] = &[
            0x0a, 0x24, // WriteRequest.timeseries, 36 bytes
            0x0a, 0x0d, 0x0a, 0x08, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x12, 0x01,
            b'm', // __name__=m
            0x0a, 0x06, 0x0a, 0x01, b'a', 0x12, 0x01, b'b', // a=b
            0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0x05, // 1.0 at 5 ms
        ];
        assert_eq!(pieces.bytes(&(0..1)), expected);
        let empty = RemoteWrite::new(Selection::All).body(&[]);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&empty).unwrap(), b"");
    }

    #[test]
    fn a_fingerprint_becomes_the_series_that_were_asked_for() {
        let names = ["short_p95", "long_extra_peak_to_mean"].map(str::to_owned);
        let encoder = RemoteWrite::new(Selection::of(&names).unwrap());
        let of_cpu = "kpi=cpu_cores_used,source=fleet:demo,unit=cores";
        let got = decoded(&encoder, &examples::fingerprint("web", 60));
        let expected = [
            (format!("__name__=prescale_fingerprint_last,{of_cpu},workload=web"), 2.75),
            (format!("__name__=prescale_fingerprint_capacity,{of_cpu},workload=web"), 6.0),
            (format!("__name__=prescale_fingerprint_p95,{of_cpu},window=short,workload=web"), 3.5),
        ];
        assert_eq!(got[..3], expected.map(|(labels, value)| (labels, value, 60_000)));
        assert!(got[3].0.contains("__name__=prescale_fingerprint_extra,feature=peak_to_mean,"), "{:?}", got[3]);
        let of_latency: Vec<_> = got.iter().filter(|s| s.0.contains("latency_ms")).collect();
        assert_eq!(of_latency.len(), 2, "neither a value nor a capacity: {of_latency:?}");
        let between = decoded(&encoder, &examples::newest_values("web", 60));
        assert_eq!(between, got[..2], "the same series, of which there are features only when a bin closes");
    }

    #[test]
    fn a_groups_series_have_names_of_their_own() {
        let got = decoded(&RemoteWrite::new(Selection::All), &examples::group_prediction("web", 60));
        let all = decoded(&RemoteWrite::new(Selection::All), &examples::prediction("web", 60));
        assert_eq!(got.len(), all.len() + 2);
        assert!(got.iter().all(|s| s.0.starts_with("__name__=prescale_group_") && !s.0.contains("workload=")));
        assert_eq!(
            got[1].clone(),
            ("__name__=prescale_group_members,group=web,standing=carried".to_owned(), 1.0, 60_000)
        );
        let p99 = "__name__=prescale_group_prediction,group=web,horizon_s=300,quantile=0.99,resource=cpu_cores_used,statistic=maximum,unit=cores";
        assert!(got.contains(&(p99.to_owned(), 9.0, 60_000)), "{got:#?}");
    }

    #[test]
    fn a_prediction_becomes_a_series_for_each_quantile() {
        let got = decoded(&RemoteWrite::new(Selection::All), &examples::prediction("web", 60));
        let count = |name: &str| got.iter().filter(|s| s.0.starts_with(&format!("__name__={name},"))).count();
        assert_eq!(count("prescale_prediction"), 2 * QUANTILE_LEVELS.len());
        assert_eq!((count("prescale_prediction_bound"), count("prescale_prediction_trailing_coverage")), (4, 1));
        let p99 = "__name__=prescale_prediction,horizon_s=300,quantile=0.99,resource=cpu_cores_used,source=fleet:demo,statistic=maximum,unit=cores,workload=web";
        assert!(got.contains(&(p99.to_owned(), 9.0, 60_000)), "{got:#?}");
        assert!(got[0].0.starts_with("__name__=prescale_prediction_info,drift=stable,model=gru,model_version=1,"));
        assert_eq!(got.iter().map(|s| &s.0).collect::<BTreeSet<_>>().len(), got.len(), "series are distinct");
    }

    proptest! {
        #[test]
        fn any_text_and_number_come_back(
            source in "\\PC{1,40}", at_s in -1_000_000_000_i64..4_000_000_000, last in any::<f64>(),
        ) {
            prop_assume!(last.is_finite());
            let mut fingerprint = examples::fingerprint("web", at_s);
            fingerprint.source = SourceName::new(source.as_str()).unwrap();
            fingerprint.kpis[0].last = Some(last);
            let got = decoded(&RemoteWrite::new(Selection::of(&[]).unwrap()), &fingerprint);
            let labels = format!(
                "__name__=prescale_fingerprint_last,kpi=cpu_cores_used,source={source},unit=cores,workload=web"
            );
            prop_assert_eq!(&got[0], &(labels, last, at_s * 1000));
        }
    }
}
