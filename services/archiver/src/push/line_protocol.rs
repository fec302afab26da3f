//! InfluxDB's line protocol: `measurement,tag=value field=value timestamp`, in milliseconds.
//!
//! - `prescale_fingerprint`, a line for each KPI: tags `workload`, `source`, `kpi`, `unit`; fields `last`,
//!   `capacity` and, when a bin closes, the features by the names of the Parquet columns;
//! - `prescale_prediction`, a line for each resource, horizon and statistic: tags `workload`, `source`,
//!   `resource`, `unit`, `horizon_s`, `statistic`; fields `q05` to `q99`, `nominal_coverage`, `lower`,
//!   `upper`, `trailing_coverage`, `scored`, and the texts `model`, `model_version` and `drift`;
//! - `prescale_group_prediction` likewise, with the tag `group` in place of `workload` and `source`, and the fields
//!   `reported` and `carried`.

use super::pieces::{Encode, Encoder, Pieces};
use crate::features::{EXTRA, Selection};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::{Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::{QUANTILE_LEVELS, Quantiles};
use prescale_domain::resource::Resource;
use std::io::Write as _;
use std::sync::Arc;

pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "text/plain; charset=utf-8"),
    ("User-Agent", concat!("prescale-archiver/", env!("CARGO_PKG_VERSION"))),
];

/// Writes the line protocol.
#[derive(Clone)]
pub(crate) struct LineProtocol {
    features: Arc<Selection>,
}

impl LineProtocol {
    /// With these features as fields.
    pub(crate) fn new(features: Selection) -> Self {
        Self { features: Arc::new(features) }
    }
}

impl Encoder for LineProtocol {
    fn body(&self, pieces: &[u8]) -> Vec<u8> {
        pieces.to_vec()
    }
}

/// A line under way. It is written only when it has a field.
struct Line {
    bytes: Vec<u8>,
    fields: usize,
}

impl Line {
    fn of(measurement: &str) -> Self {
        Self { bytes: measurement.as_bytes().to_vec(), fields: 0 }
    }

    /// An empty value is left out: a tag has none.
    fn tag(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.bytes.push(b',');
            put_escaped(&mut self.bytes, name);
            self.bytes.push(b'=');
            put_escaped(&mut self.bytes, value);
        }
        self
    }

    fn begin_field(&mut self, name: &str) {
        self.bytes.push(if self.fields == 0 { b' ' } else { b',' });
        self.fields += 1;
        put_escaped(&mut self.bytes, name);
        self.bytes.push(b'=');
    }

    fn number(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.begin_field(name);
            // Writing to a vector cannot fail.
            let _ = write!(self.bytes, "{value}");
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.begin_field(name);
        self.bytes.push(b'"');
        for byte in value.bytes() {
            if matches!(byte, b'"' | b'\\') {
                self.bytes.push(b'\\');
            }
            self.bytes.push(byte);
        }
        self.bytes.push(b'"');
    }

    fn end(self, at_ms: i64, pieces: &mut Pieces) {
        if self.fields > 0 {
            pieces.push(|bytes| {
                bytes.extend(self.bytes);
                let _ = writeln!(bytes, " {at_ms}");
            });
        }
    }
}

/// Writes a name or a tag's value. The protocol has no escape for line breaks, and takes a backslash at
/// the end for that of the delimiter, so a blank stands for the first and follows the second.
fn put_escaped(bytes: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\n' | b'\r' => bytes.extend(b"\\ "),
            b',' | b'=' | b' ' => bytes.extend([b'\\', byte]),
            _ => bytes.push(byte),
        }
    }
    if text.ends_with('\\') {
        bytes.extend(b"\\ ");
    }
}

impl Encode<Fingerprint> for LineProtocol {
    fn encode(&self, fingerprint: &Fingerprint, pieces: &mut Pieces) {
        for kpi in &fingerprint.kpis {
            let mut line = Line::of("prescale_fingerprint")
                .tag("kpi", kpi.name.as_str())
                .tag("source", &fingerprint.source)
                .tag("unit", &kpi.unit)
                .tag("workload", fingerprint.workload.as_str());
            line.number("last", kpi.last);
            let capacity = Resource::capacity_of_kpi(kpi.name.as_str(), fingerprint.capacity.as_ref());
            line.number("capacity", capacity);
            self.features.each(kpi, |f| {
                let extra = if f.is_extra { EXTRA } else { "" };
                line.number(&format!("{}_{extra}{}", f.window, f.name), Some(f.value));
            });
            line.end(fingerprint.at.as_ms(), pieces);
        }
    }
}

impl Encode<Prediction> for LineProtocol {
    fn encode(&self, prediction: &Prediction, pieces: &mut Pieces) {
        for forecast in &prediction.resources {
            for horizon in &forecast.horizons {
                for (statistic, quantiles, interval) in horizon.statistics() {
                    let mut line = Line::of("prescale_prediction")
                        .tag("horizon_s", &horizon.horizon_s.to_string())
                        .tag("resource", forecast.resource.as_str())
                        .tag("source", &prediction.source)
                        .tag("statistic", statistic.name())
                        .tag("unit", &forecast.unit)
                        .tag("workload", prediction.workload.as_str());
                    put_forecast(&mut line, forecast, quantiles, interval);
                    line.end(prediction.made_at.as_ms(), pieces);
                }
            }
        }
    }
}

impl Encode<GroupPrediction> for LineProtocol {
    fn encode(&self, prediction: &GroupPrediction, pieces: &mut Pieces) {
        let members = prediction.members;
        for forecast in &prediction.resources {
            for horizon in &forecast.horizons {
                for (statistic, quantiles, interval) in horizon.statistics() {
                    let mut line = Line::of("prescale_group_prediction")
                        .tag("group", prediction.group.as_str())
                        .tag("horizon_s", &horizon.horizon_s.to_string())
                        .tag("resource", forecast.resource.as_str())
                        .tag("statistic", statistic.name())
                        .tag("unit", &forecast.unit);
                    put_forecast(&mut line, forecast, quantiles, interval);
                    line.number("reported", Some(f64::from(members.reported)));
                    line.number("carried", Some(f64::from(members.carried)));
                    line.end(prediction.made_at.as_ms(), pieces);
                }
            }
        }
    }
}

fn put_forecast(line: &mut Line, forecast: &ResourceForecast, quantiles: &Quantiles, interval: &Interval) {
    for (level, value) in QUANTILE_LEVELS.iter().zip(quantiles.values()) {
        line.number(&format!("q{:02.0}", level * 100.0), Some(*value));
    }
    line.number("nominal_coverage", Some(interval.nominal_coverage));
    line.number("lower", Some(interval.lower));
    line.number("upper", Some(interval.upper));
    line.number("trailing_coverage", interval.trailing_coverage);
    line.number("scored", Some(f64::from(interval.scored)));
    line.text("model", &forecast.model);
    line.text("model_version", &forecast.model_version);
    forecast.drift.into_iter().for_each(|drift| line.text("drift", drift.name()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use proptest::prelude::*;

    fn lines<C>(encoder: &LineProtocol, value: &C) -> Vec<String>
    where
        LineProtocol: Encode<C>,
    {
        let mut pieces = Pieces::default();
        encoder.encode(value, &mut pieces);
        (0..pieces.len()).map(|i| String::from_utf8(pieces.bytes(&(i..i + 1)).to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_fingerprint_is_a_line_for_each_kpi() {
        let names = ["short_p95", "long_extra_peak_to_mean"].map(str::to_owned);
        let encoder = LineProtocol::new(Selection::of(&names).unwrap());
        let tags = "source=fleet:demo";
        assert_eq!(
            lines(&encoder, &examples::fingerprint("my web,1=x", 60)),
            [
                format!(
                    "prescale_fingerprint,kpi=cpu_cores_used,{tags},unit=cores,workload=my\\ web\\,1\\=x last=2.75,capacity=6,short_p95=3.5,long_extra_peak_to_mean=1.5 60000\n"
                ),
                format!(
                    "prescale_fingerprint,kpi=latency_ms,{tags},unit=ms,workload=my\\ web\\,1\\=x short_p95=3.5,long_extra_peak_to_mean=1.5 60000\n"
                ),
            ]
        );
        let none = LineProtocol::new(Selection::of(&[]).unwrap());
        let newest = lines(&none, &examples::fingerprint("web", 60));
        assert_eq!(newest.len(), 1, "a line without a field is left out");
        assert_eq!(lines(&encoder, &examples::newest_values("web", 60)), newest, "between the closes of bins");
    }

    #[test]
    fn a_groups_lines_are_a_measurement_of_their_own() {
        let got = lines(&LineProtocol::new(Selection::All), &examples::group_prediction("my web", 60));
        assert_eq!(got.len(), 2);
        let tags = "group=my\\ web,horizon_s=300,resource=cpu_cores_used,statistic=value,unit=cores";
        assert!(got[0].starts_with(&format!("prescale_group_prediction,{tags} q05=")), "{}", got[0]);
        assert!(got[0].ends_with(",reported=9,carried=1 60000\n"), "{}", got[0]);
    }

    #[test]
    fn a_prediction_is_a_line_for_each_statistic() {
        let mut prediction = examples::prediction("web", 60);
        prediction.resources[0].model_version = "1 \"b\" \\".into();
        let got = lines(&LineProtocol::new(Selection::All), &prediction);
        assert_eq!(got.len(), 2);
        let tags = "horizon_s=300,resource=cpu_cores_used,source=fleet:demo,statistic=maximum,unit=cores,workload=web";
        let fields = "q05=2,q10=3,q25=4,q50=5,q75=6,q90=7,q95=8,q99=9,nominal_coverage=0.9,lower=2,upper=8,scored=240,model=\"gru\",model_version=\"1 \\\"b\\\" \\\\\",drift=\"stable\"";
        assert_eq!(got[1], format!("prescale_prediction,{tags} {fields} 60000\n"));
        assert!(got[0].contains("trailing_coverage=0.91"));
    }

    /// Reads a name or value up to a delimiter that is not escaped.
    fn unescaped(text: &str, until: char) -> (String, &str) {
        let mut read = String::new();
        let mut characters = text.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match text[at + 1..].chars().next() {
                    Some(next @ (',' | '=' | ' ')) => {
                        characters.next();
                        read.push(next);
                    }
                    _ => read.push(c),
                },
                c if c == until => return (read, &text[at + 1..]),
                c => read.push(c),
            }
        }
        panic!("no {until:?} in {text:?}");
    }

    proptest! {
        #[test]
        fn a_tag_ends_where_it_should_whatever_it_holds(value in "[ -~\\n\\r,=\\\\\"äß]{1,30}") {
            let line = Line::of("m").tag("t", &value);
            let text = String::from_utf8(line.bytes).unwrap() + " f=1";
            prop_assert!(!text.contains(['\n', '\r']));
            let (read, rest) = unescaped(text.strip_prefix("m,t=").unwrap(), ' ');
            prop_assert_eq!(rest, "f=1");
            let expected = value.replace(['\n', '\r'], " ");
            prop_assert_eq!(read.trim_end_matches(' '), expected.trim_end_matches(' '));
        }
    }
}
