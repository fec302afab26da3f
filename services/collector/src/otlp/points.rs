//! A request's data points into points. Pure.

use crate::receiver::known::Known;
use crate::receiver::mapping::{METRIC, Mapping, Read};
use crate::receiver::series::{FloatSample, SeriesOf, Since};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use prescale_domain::time::EventTime;
use std::borrow::Cow;

/// Label that holds the name of the scope, which tells series apart.
const SCOPE: &str = "otel.scope.name";
/// Attributes of a data point and its resource.
const ATTRIBUTES_MAX: usize = 1_000;
/// Flag of a data point: its series has no value any more.
const NO_RECORDED_VALUE: u32 = 1;

/// The points of a request that came at `now`; `None` where one request may not have so many.
pub(super) fn read(
    mapping: &Mapping,
    request: &ExportMetricsServiceRequest,
    known: &mut Known,
    now: EventTime,
) -> Option<Read> {
    let mut reader = Reader { mapping, known, now, read: Read::default() };
    for of_resource in &request.resource_metrics {
        let resource = of_resource.resource.as_ref().map_or_else(Vec::new, |resource| texts(&resource.attributes));
        for of_scope in &of_resource.scope_metrics {
            let scope = of_scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
            for metric in &of_scope.metrics {
                reader.metric(&Origin { resource: &resource, scope }, metric)?;
            }
        }
    }
    Some(reader.read)
}

/// Attributes as labels.
type Texts<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Where metrics come from.
struct Origin<'a> {
    resource: &'a Texts<'a>,
    scope: &'a str,
}

/// A data point, as far as all kinds have the same.
struct Place<'a> {
    attributes: &'a [KeyValue],
    flags: u32,
    at_unix_nano: u64,
    since: Since,
}

impl<'a> Place<'a> {
    fn new(attributes: &'a [KeyValue], flags: u32, at_unix_nano: u64, since: Since) -> Self {
        Self { attributes, flags, at_unix_nano, since }
    }
}

struct Reader<'a> {
    mapping: &'a Mapping,
    known: &'a mut Known,
    now: EventTime,
    read: Read,
}

impl Reader<'_> {
    fn metric(&mut self, origin: &Origin<'_>, metric: &Metric) -> Option<()> {
        let Some(data) = &metric.data else { return Some(()) };
        match data {
            Data::Gauge(gauge) => self.numbers(origin, &metric.name, &gauge.data_points, |_| Since::Unsaid),
            Data::Sum(sum) => self.numbers(origin, &metric.name, &sum.data_points, |point| {
                since(sum.aggregation_temporality, point.start_time_unix_nano)
            }),
            Data::Histogram(histogram) => {
                let points = histogram.data_points.iter().map(|point| {
                    let since = since(histogram.aggregation_temporality, point.start_time_unix_nano);
                    (Place::new(&point.attributes, point.flags, point.time_unix_nano, since), point.count, point.sum)
                });
                self.distributions(origin, &metric.name, points)
            }
            Data::ExponentialHistogram(histogram) => {
                let points = histogram.data_points.iter().map(|point| {
                    let since = since(histogram.aggregation_temporality, point.start_time_unix_nano);
                    (Place::new(&point.attributes, point.flags, point.time_unix_nano, since), point.count, point.sum)
                });
                self.distributions(origin, &metric.name, points)
            }
            Data::Summary(summary) => {
                let points = summary.data_points.iter().map(|point| {
                    let since = since(AggregationTemporality::Cumulative.into(), point.start_time_unix_nano);
                    (
                        Place::new(&point.attributes, point.flags, point.time_unix_nano, since),
                        point.count,
                        Some(point.sum),
                    )
                });
                self.distributions(origin, &metric.name, points)
            }
        }
    }

    fn numbers(
        &mut self,
        origin: &Origin<'_>,
        metric: &str,
        points: &[NumberDataPoint],
        since: impl Fn(&NumberDataPoint) -> Since,
    ) -> Option<()> {
        if !metric.is_empty() && !self.mapping.asks_for(metric) {
            self.read.leave_out(metric, points.len() as u64, self.known);
            return Some(());
        }
        for point in points {
            let value = match point.value {
                Some(Number::AsDouble(value)) => Some(value),
                Some(Number::AsInt(value)) => Some(value as f64),
                None => None,
            };
            let place = Place::new(&point.attributes, point.flags, point.time_unix_nano, since(point));
            self.take(origin, metric, &place, value)?;
        }
        Some(())
    }

    /// Of what is spread over many values, the count and the sum, as far as a rule asks for them.
    fn distributions<'p>(
        &mut self,
        origin: &Origin<'_>,
        metric: &str,
        points: impl ExactSizeIterator<Item = (Place<'p>, u64, Option<f64>)>,
    ) -> Option<()> {
        let [of_count, of_sum] = ["count", "sum"].map(|what| format!("{metric}_{what}"));
        let (asks_for_count, asks_for_sum) = (self.mapping.asks_for(&of_count), self.mapping.asks_for(&of_sum));
        if !asks_for_count && !asks_for_sum {
            self.read.leave_out(metric, points.len() as u64, self.known);
            return Some(());
        }
        for (place, count, sum) in points {
            let refused = self.read.refused;
            if asks_for_count {
                self.take(origin, &of_count, &place, Some(count as f64))?;
            }
            if asks_for_sum {
                self.take(origin, &of_sum, &place, sum)?;
            }
            // It is one data point.
            self.read.refused = self.read.refused.min(refused + 1);
        }
        Some(())
    }

    /// Takes one value of a series; `None` where there are too many of a request.
    fn take(&mut self, origin: &Origin<'_>, metric: &str, place: &Place<'_>, value: Option<f64>) -> Option<()> {
        if !self.read.has_room_for(1) {
            return None;
        }
        let has_ended = place.flags & NO_RECORDED_VALUE != 0;
        let (value, since) = if has_ended { (Some(f64::NAN), Since::Unsaid) } else { (value, place.since) };
        let Some(value) = value else {
            self.read.refuse(1, || format!("a data point of {metric} has no value"));
            return Some(());
        };
        if place.at_unix_nano == 0 {
            self.read.refuse(1, || format!("a data point of {metric} has no instant"));
            return Some(());
        }
        if origin.resource.len() + place.attributes.len() > ATTRIBUTES_MAX {
            self.read.refuse(1, || format!("a data point of {metric} has more than {ATTRIBUTES_MAX} attributes"));
            return Some(());
        }
        let own = texts(place.attributes);
        let mut labels = vec![(METRIC, metric)];
        if !origin.scope.is_empty() {
            labels.push((SCOPE, origin.scope));
        }
        // What a data point says goes before what its resource does.
        let of_resource = origin.resource.iter().filter(|(key, _)| own.iter().all(|(other, _)| other != key));
        labels.extend(of_resource.chain(&own).map(|(key, value)| (*key, value.as_ref())));
        let at_ms = ms_of(place.at_unix_nano);
        let series = SeriesOf { labels, samples: vec![FloatSample { at_ms, value, since }] };
        self.mapping.take(&series, self.known, self.now, &mut self.read);
        Some(())
    }
}

fn ms_of(unix_nano: u64) -> i64 {
    // No u64 is too large for that.
    (unix_nano / 1_000_000).cast_signed()
}

fn since(temporality: i32, start_unix_nano: u64) -> Since {
    let start_ms = ms_of(start_unix_nano);
    match AggregationTemporality::try_from(temporality) {
        Ok(AggregationTemporality::Delta) => Since::Delta { start_ms },
        Ok(AggregationTemporality::Cumulative) if start_ms > 0 => Since::Total { start_ms },
        _ => Since::Unsaid,
    }
}

/// Attributes that have a value, as labels.
fn texts(attributes: &[KeyValue]) -> Texts<'_> {
    attributes.iter().filter_map(|attribute| Some((attribute.key.as_str(), text_of(attribute)?))).collect()
}

fn text_of(attribute: &KeyValue) -> Option<Cow<'_, str>> {
    Some(match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Cow::Borrowed(text.as_str()),
        Value::BoolValue(is) => Cow::Owned(is.to_string()),
        Value::IntValue(number) => Cow::Owned(number.to_string()),
        Value::DoubleValue(number) => Cow::Owned(number.to_string()),
        // No rule selects by those, but they tell series apart.
        other => Cow::Owned(format!("{other:?}")),
    })
}
