//! Messages of others into records: points of series, samples of workloads, and letters of what cannot be used. Pure.

use crate::config::{KafkaFormat, KafkaTopicConfig};
use crate::formats::SeriesValue;
use crate::formats::json::{InstantScale, each_of_adapter, each_of_telegraf};
use crate::formats::line_protocol::{Precision, each_value, lines};
use crate::formats::mapped::{Mapped, Row};
use crate::otlp;
use crate::receiver;
use crate::receiver::known::Known;
use crate::receiver::mapping::{Mapping, Read};
use crate::receiver::series::{FloatSample, SeriesOf};
use crate::replay::mapping::kind_and_unit;
use anyhow::Result;
use prescale_bus::dlq::foreign_letter;
use prescale_bus::{ConsumedRecord, OutputRecord, Rejection};
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::kpi::{Kpi, KpiName};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::stream::validity;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Samples may be so far ahead of the clock, in seconds.
const AHEAD_S_MAX: i64 = 600;
/// Code of the letters.
const UNREADABLE: &str = "unreadable";

/// How the messages of one topic are read.
pub(crate) struct Messages {
    reads: Reads,
    source: SourceName,
    step_s: u32,
}

enum Reads {
    Series { form: Form, mapping: Mapping, known: Known },
    Otlp { is_json: bool, mapping: Mapping, known: Known },
    Workloads(Mapped),
}

enum Form {
    Lines(Precision),
    Telegraf(InstantScale),
    Adapter,
}

/// What became of messages.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Points or samples by their instants, and letters.
    pub(crate) records: Vec<OutputRecord>,
    /// Values that are in them.
    pub(crate) written: u64,
    /// Values that nothing in the preset or the mapping means.
    pub(crate) left_out: u64,
    /// Metrics that no rule of the preset names and that came for the first time.
    pub(crate) left_out_metrics: Vec<String>,
    /// Messages that are, in whole or in part, letters.
    pub(crate) letters: u64,
}

/// What one message comes to.
#[derive(Default)]
struct One {
    records: Vec<(EventTime, OutputRecord)>,
    written: u64,
    left_out: u64,
    left_out_metrics: Vec<String>,
    why: Option<String>,
}

impl Messages {
    /// As the section of that name says.
    ///
    /// # Errors
    /// With the key that makes no sense, or the preset that cannot be used.
    pub(crate) fn new(name: &str, config: &KafkaTopicConfig) -> Result<Self> {
        let source = config.source(name)?;
        let series = || -> Result<(Mapping, Known)> {
            let preset = receiver::pushed_preset(&format!("collector.kafka_topics.{name}"), &config.preset)?;
            Ok((Mapping::new(preset, source.clone(), config.step_s), Known::new(config.series_max)))
        };
        let of_form = |form: Form| series().map(|(mapping, known)| Reads::Series { form, mapping, known });
        let of_otlp = |is_json: bool| series().map(|(mapping, known)| Reads::Otlp { is_json, mapping, known });
        let reads = match config.format {
            KafkaFormat::LineProtocol => of_form(Form::Lines(config.precision(name)?))?,
            KafkaFormat::TelegrafJson => of_form(Form::Telegraf(scale_of(config.precision(name)?)))?,
            KafkaFormat::PrometheusKafkaAdapter => of_form(Form::Adapter)?,
            KafkaFormat::OtlpProto => of_otlp(false)?,
            KafkaFormat::OtlpJson => of_otlp(true)?,
            KafkaFormat::Json => Reads::Workloads(config.mapping(name)?),
        };
        Ok(Self { reads, source, step_s: config.step_s })
    }

    /// The topic that it writes to.
    pub(crate) fn output(&self) -> &'static str {
        match self.reads {
            Reads::Series { .. } | Reads::Otlp { .. } => topics::RAW_POINTS,
            Reads::Workloads(_) => topics::RAW_KPIS,
        }
    }

    /// What becomes of messages that are read at `now`.
    pub(crate) fn read(&mut self, messages: &[ConsumedRecord], now: EventTime) -> Made {
        let mut made = Made::default();
        let mut placed = Vec::new();
        let mut letters = Vec::new();
        for message in messages {
            let one = match &message.value {
                // A tombstone says nothing of any instant.
                None => One { left_out: 1, ..One::default() },
                Some(value) => self.one(message, value, now),
            };
            placed.extend(one.records);
            made.written += one.written;
            made.left_out += one.left_out;
            made.left_out_metrics.extend(one.left_out_metrics);
            if let Some(why) = one.why {
                let rejection = Rejection { code: UNREADABLE, message: why };
                letters.push(foreign_letter(&self.source, self.output(), message, &rejection));
            }
        }
        // Those of one partition may be behind those of another.
        placed.sort_by_key(|(at, _)| *at);
        made.letters = letters.len() as u64;
        made.records = placed.into_iter().map(|(_, record)| record).chain(letters).collect();
        made
    }

    fn one(&mut self, message: &ConsumedRecord, value: &[u8], now: EventTime) -> One {
        let Self { reads, source, step_s } = self;
        let (source, step_s) = (&*source, *step_s);
        match reads {
            Reads::Otlp { is_json, mapping, known } => match otlp::read(value, *is_json, mapping, known, now) {
                Ok(read) => of_series(source, read, None),
                Err(why) => One { why: Some(why), ..One::default() },
            },
            Reads::Series { form, mapping, known } => {
                let mut read = Read::default();
                let mut take = |value: &SeriesValue<'_>| {
                    let samples = vec![FloatSample::new(value.at_ms, value.value)];
                    mapping.take(&SeriesOf { labels: value.labels.clone(), samples }, known, now, &mut read);
                };
                let unreadable = form.each(value, message.appended_at_ms, &mut take);
                of_series(source, read, unreadable)
            }
            Reads::Workloads(mapped) => match mapped.rows(value) {
                Err(why) => One { why: Some(why.0), ..One::default() },
                Ok(rows) => {
                    let mut one = One { left_out: rows.left_out, why: rows.why.map(|why| why.0), ..One::default() };
                    for (number, row) in rows.rows.iter().enumerate() {
                        let sample = sample_of(row, message, (source, step_s), now);
                        let placed = sample.and_then(|sample| placed(source, &sample, message, number));
                        match placed {
                            Ok(placed) => {
                                one.records.push(placed);
                                one.written += row.kpis.len() as u64;
                            }
                            Err(why) => {
                                one.why.get_or_insert(why);
                            }
                        }
                    }
                    one
                }
            },
        }
    }
}

impl Form {
    /// Gives the values of a message that was written at `written_ms` to `take`, and says what of it cannot be read.
    fn each(&self, message: &[u8], written_ms: i64, take: &mut impl FnMut(&SeriesValue<'_>)) -> Option<String> {
        match self {
            Self::Telegraf(scale) => each_of_telegraf(message, *scale, take).err().map(|why| why.0),
            Self::Adapter => each_of_adapter(message, take).err().map(|why| why.0),
            Self::Lines(precision) => {
                let mut why = None;
                for (_, line) in lines(message) {
                    match line {
                        Ok(line) => each_value(&line, *precision, written_ms, &mut *take),
                        Err(bad) => {
                            why.get_or_insert_with(|| bad.to_string());
                        }
                    }
                }
                why
            }
        }
    }
}

fn scale_of(precision: Precision) -> InstantScale {
    let per_s = match precision {
        Precision::Nanoseconds => 1_000_000_000,
        Precision::Microseconds => 1_000_000,
        Precision::Milliseconds => 1000,
        Precision::Seconds | Precision::Minutes | Precision::Hours => 1,
    };
    InstantScale { per_s, before_1970_s: 0 }
}

fn of_series(source: &SourceName, read: Read, unreadable: Option<String>) -> One {
    let (written, left_out, left_out_metrics) = (read.samples, read.left_out, read.left_out_metrics);
    let mut one = One { written, left_out, left_out_metrics, why: unreadable, ..One::default() };
    if let Some(why) = read.why {
        one.why.get_or_insert_with(|| format!("{} samples were refused: {why}", read.refused));
    }
    if read.beyond > 0 {
        one.why.get_or_insert_with(|| format!("{} samples are of more series than series_max allows", read.beyond));
    }
    for point in &read.points {
        match receiver::point_record(source, point) {
            Ok(record) => one.records.push((point.at, record)),
            Err(error) => {
                one.why.get_or_insert_with(|| error.to_string());
            }
        }
    }
    one
}

/// The sample of a row.
fn sample_of(
    row: &Row<'_>,
    message: &ConsumedRecord,
    (source, step_s): (&SourceName, u32),
    now: EventTime,
) -> Result<Sample, String> {
    let at_ms = row.at_ms.unwrap_or(message.appended_at_ms);
    if !(0..=now.plus_s(AHEAD_S_MAX).as_ms()).contains(&at_ms) {
        return Err(format!("it is of {at_ms} ms: before 1970, or in the future: is instant_unit as it should be?"));
    }
    let kpi = |(name, value): &(&str, Option<f64>)| {
        let (kind, unit) = kind_and_unit(name);
        Kpi { name: KpiName::new(name), kind, unit: Arc::from(unit), value: *value }
    };
    let capacity = row.capacity.and_then(|(cores, bytes)| Capacity::of_totals(None, Some(cores), Some(bytes)));
    let sample = Sample {
        workload: WorkloadId::new(&row.workload).map_err(|error| format!("{:?}: {error}", row.workload))?,
        source: source.clone(),
        at: EventTime::from_ms(at_ms),
        step_s,
        kpis: row.kpis.iter().map(kpi).collect(),
        capacity,
        platform: Platform::OBSERVED_ONLY,
    };
    validity::check(&sample).map_err(|invalid| invalid.to_string())?;
    Ok(sample)
}

/// The sample as a record; its id follows from where the message lies.
fn placed(
    source: &SourceName,
    sample: &Sample,
    message: &ConsumedRecord,
    number: usize,
) -> Result<(EventTime, OutputRecord), String> {
    let place = format!("{}/{}/{}/{number}", message.topic, message.partition, message.offset);
    let envelope = Envelope::root(source, Sample::EVENT_TYPE, &sample.workload, sample.at, &place);
    let record = output_record(&envelope, topics::RAW_KPIS, sample).map_err(|error| error.to_string())?;
    Ok((sample.at, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mapped::JsonMapping;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use prescale_bus::dlq::DeadLetter;
    use prescale_chassis::stage::decode_record;
    use prescale_domain::point::Point;
    use prost::Message as _;

    const PRESET: &str = "about = \"\"\nworkload = \"{host}\"\nplatform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"q\"\n\
                          [[series.memory_bytes]]\nmetric = \"mem_used\"\n";

    fn message(offset: i64, value: &str) -> ConsumedRecord {
        ConsumedRecord {
            topic: "metrics".into(),
            partition: 1,
            offset,
            appended_at_ms: 900_000,
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        }
    }

    fn made(config: KafkaTopicConfig, messages: &[ConsumedRecord]) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let preset = folder.path().join("preset.toml");
        std::fs::write(&preset, PRESET).unwrap();
        let config = KafkaTopicConfig { preset: preset.display().to_string(), ..config };
        Messages::new("theirs", &config).unwrap().read(messages, EventTime::from_s(1000))
    }

    fn of(format: KafkaFormat) -> KafkaTopicConfig {
        KafkaTopicConfig { topic: "metrics".to_owned(), format, ..KafkaTopicConfig::default() }
    }

    /// Workload, instant and value.
    fn points(made: &Made) -> Vec<(String, i64, Option<f64>)> {
        let points = made.records.iter().filter(|record| *record.topic == *topics::RAW_POINTS);
        let point = |record: &OutputRecord| decode_record::<Point>(&record.clone().read_at(0, 0)).unwrap().value;
        points.map(point).map(|p| (p.workload.as_str().to_owned(), p.at.as_ms(), p.value)).collect()
    }

    fn letters(made: &Made) -> Vec<(String, String)> {
        let of_queue = made.records.iter().filter(|record| record.topic.ends_with(".dlq"));
        of_queue
            .map(|record| DeadLetter::of(record.clone().read_at(0, 0)))
            .map(|letter| (letter.record.topic.to_string(), letter.message))
            .collect()
    }

    #[test]
    fn messages_of_each_format_become_points_by_their_instants() {
        let lines = [message(0, "mem,host=b used=6\nmem,host=a used=5i,free=1i 800000000000\n"), message(1, "")];
        let made_of_lines = made(of(KafkaFormat::LineProtocol), &lines);
        let wanted = [("a".to_owned(), 800_000, Some(5.0)), ("b".to_owned(), 900_000, Some(6.0))];
        assert_eq!(points(&made_of_lines), wanted);
        assert_eq!((made_of_lines.written, made_of_lines.left_out, made_of_lines.letters), (2, 1, 0));
        let metric = |host: &str, value: i64, at_s: i64| {
            format!(
                "{{\"fields\":{{\"used\":{value}}},\"name\":\"mem\",\"tags\":{{\"host\":\"{host}\"}},\"timestamp\":{at_s}}}"
            )
        };
        let batch = format!("{{\"metrics\":[{},{}]}}", metric("b", 6, 900), metric("a", 5, 800));
        assert_eq!(points(&made(of(KafkaFormat::TelegrafJson), &[message(0, &batch)])), wanted);
        let adapted = "{\"timestamp\":\"1970-01-01T00:13:20Z\",\"value\":\"5\",\"name\":\"mem_used\",\
                       \"labels\":{\"__name__\":\"mem_used\",\"host\":\"a\"}}";
        assert_eq!(points(&made(of(KafkaFormat::PrometheusKafkaAdapter), &[message(0, adapted)])), wanted[..1]);
    }

    #[test]
    fn what_the_kafka_exporter_of_an_opentelemetry_collector_writes_becomes_points() {
        let message_of = |value: Vec<u8>| ConsumedRecord { value: Some(value), ..message(0, "") };
        let json = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"host\",\"value\":{\"stringValue\":\"a\"}}]},\
                    \"scopeMetrics\":[{\"metrics\":[{\"name\":\"mem_used\",\"gauge\":{\"dataPoints\":[\
                    {\"timeUnixNano\":\"800000000000\",\"asDouble\":5.0}]}}]}]}]}";
        let request: ExportMetricsServiceRequest = serde_json::from_str(json).unwrap();
        let wanted = [("a".to_owned(), 800_000, Some(5.0))];
        assert_eq!(points(&made(of(KafkaFormat::OtlpJson), &[message_of(json.as_bytes().to_vec())])), wanted);
        assert_eq!(points(&made(of(KafkaFormat::OtlpProto), &[message_of(request.encode_to_vec())])), wanted);
        let made = made(of(KafkaFormat::OtlpProto), &[message_of(vec![10, 200])]);
        assert!(letters(&made)[0].1.contains("no ExportMetricsServiceRequest"));
    }

    #[test]
    fn what_cannot_be_used_is_a_letter_and_the_rest_of_its_message_is_written() {
        let messages = [
            message(0, "mem,host=a used=5 800000000000\nmem,host=a used=\n"),
            message(1, "mem used=5 800000000000\n"),
            message(2, "mem,host=a used=5 99999000000000\n"),
        ];
        let made = made(of(KafkaFormat::LineProtocol), &messages);
        assert_eq!((points(&made).len(), made.letters), (1, 3));
        let letters = letters(&made);
        assert!(letters.iter().all(|(queue, _)| queue == "raw-points.dlq"));
        for ((_, said), wanted) in
            letters.iter().zip(["line 2: a field has no value", "no label \"host\"", "in the future"])
        {
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn series_beyond_the_bound_are_letters() {
        let config = KafkaTopicConfig { series_max: 1, ..of(KafkaFormat::LineProtocol) };
        let made = made(config, &[message(0, "mem,host=a used=5"), message(1, "mem,host=b used=5")]);
        assert_eq!(points(&made).len(), 1);
        assert!(letters(&made)[0].1.contains("series_max"));
    }

    #[test]
    fn a_mapping_gives_samples_whose_ids_follow_from_where_the_message_lies() {
        let mapping = JsonMapping {
            workload: "/vm".to_owned(),
            instant: "/at".to_owned(),
            kpis: [("cpu_cores_used".to_owned(), "/cpu".to_owned())].into(),
            ..JsonMapping::default()
        };
        let config = KafkaTopicConfig { mapping, ..of(KafkaFormat::Json) };
        let good = "[{\"vm\":\"a\",\"at\":800,\"cpu\":\"1.5\"},{\"vm\":\"b\",\"at\":700,\"cpu\":null}]";
        let bad =
            ["{\"vm\":\"a\",\"at\":800000,\"cpu\":1}", "{\"vm\":\"\",\"at\":800,\"cpu\":1}", "{\"vm\":\"a\"", "{}"];
        let mut messages = vec![message(0, good), message(0, good), message(1, good)];
        messages.extend((2..).zip(bad).map(|(offset, bad)| message(offset, bad)));
        let made = made(config, &messages);
        let read: Vec<_> = made
            .records
            .iter()
            .filter(|record| *record.topic == *topics::RAW_KPIS)
            .map(|record| record.clone().read_at(0, 0))
            .map(|record| (record.header("ce_id").unwrap().to_vec(), decode_record::<Sample>(&record).unwrap().value))
            .collect();
        let said: Vec<_> = read.iter().map(|(_, s)| (s.workload.as_str(), s.at.as_ms(), s.kpis[0].value)).collect();
        let (a, b) = (("a", 800_000, Some(1.5)), ("b", 700_000, None));
        assert_eq!(said, [b, b, b, a, a, a]);
        assert_eq!(read[0].0, read[1].0, "the same message");
        assert_ne!(read[0].0, read[2].0, "another message");
        let letters = letters(&made);
        assert_eq!((letters.len(), letters[0].0.as_str()), (bad.len(), "raw-kpis.dlq"));
        assert!(letters[0].1.contains("instant_unit"), "{letters:?}");
    }
}
