//! What users' agents do to the input: samples twice, out of order, late, from the future, with
//! values that cannot be, bytes that are no samples, and more workloads than anybody asked for.
//! Each ends in an output, the dead letter queue or a counted drop, and harms no other.

use bus_tests::faults::seed::Chance;
use integration_tests::pipeline::{Outputs, Pipeline, Said, outputs, said};
use prescale::account::{StageAccount, account};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, OutputRecord};
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::fleet::{Fleet, FleetSettings};
use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const START_S: i64 = 1_767_225_600;
const STEP_S: u32 = 60;
const TICKS: usize = 240;
/// `[fingerprinter] lateness_steps` by default.
const LATENESS_STEPS: usize = 2;

/// A log with the stages through all that was written to it.
struct Run {
    outputs: Outputs,
    stages: Vec<StageAccount>,
    dead: Vec<Said>,
}

impl Run {
    /// The stages over these records, written in this order.
    fn over(records: &[OutputRecord]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let bus = log(&folder);
        let mut settings = Settings::default();
        // The log is worked off at full speed, so partitions are hours apart.
        settings.governor.patience_s = 86_400;
        let context = installation(&settings);
        bus.ensure_topics(&specs(&context.graph, settings.bus.partitions, 1)).expect("the topics are made");
        let mut source = bus.source("agents").expect("the source opens");
        for (i, chunk) in records.chunks(5000).enumerate() {
            source.append(chunk.to_vec(), i.to_string().as_bytes()).expect("the records are written");
        }
        let pipeline = Pipeline::start(&bus, &settings);
        pipeline.settle();
        pipeline.stop();
        let stages = account(bus.as_ref(), &context, &CancellationToken::new());
        Self {
            outputs: outputs(bus.as_ref()),
            stages: stages.expect("the log is readable"),
            dead: said(bus.as_ref(), &format!("{}.dlq", topics::RAW_KPIS)),
        }
    }

    /// Fingerprints of each workload, as they are on the log.
    fn fingerprints(&self) -> BTreeMap<&[u8], Vec<&Said>> {
        let mut by_workload: BTreeMap<&[u8], Vec<&Said>> = BTreeMap::new();
        for said in &self.outputs[topics::FINGERPRINTS] {
            by_workload.entry(said.key.as_deref().unwrap_or_default()).or_default().push(said);
        }
        by_workload
    }

    /// How many dead letters there are, by reason.
    fn dead_by_reason(&self) -> BTreeMap<String, usize> {
        let mut by_reason = BTreeMap::new();
        for letter in &self.dead {
            let header = letter.headers.iter().find(|h| h.name == "__connect.errors.class.name");
            let reason = String::from_utf8_lossy(&header.expect("a dead letter has a reason").value).into_owned();
            *by_reason.entry(reason).or_default() += 1;
        }
        by_reason
    }

    fn fingerprinter(&self) -> &StageAccount {
        self.stages.iter().find(|s| s.stage == "fingerprinter").expect("it is a stage")
    }

    /// Whether every record ended somewhere.
    fn assert_all_ended(&self) {
        for stage in &self.stages {
            assert!(stage.faults().is_empty() && stage.unread == 0, "{stage:?}");
            assert_eq!(stage.read, stage.followed + stage.rejected + stage.without_output, "{stage:?}");
        }
    }
}

fn log(folder: &TempDir) -> Arc<dyn Bus> {
    let opened = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default());
    Arc::new(opened.expect("the log opens"))
}

/// A fleet's samples, tick by tick.
fn ticks(workloads: u32) -> Vec<Vec<Sample>> {
    let settings = FleetSettings {
        name: "agents".into(),
        workloads,
        step_s: STEP_S,
        seed: 3,
        missing_samples_share: 0.0,
        missing_values_share: 0.002,
    };
    let fleet = Fleet::new(settings).expect("a valid name");
    let mut state = fleet.start(EventTime::from_s(START_S));
    (0..TICKS).map(|_| fleet.tick(&mut state)).collect()
}

fn record(sample: &Sample) -> OutputRecord {
    record_of("", sample)
}

/// As a stream of that name would send it; another name gives another id.
fn record_of(stream: &str, sample: &Sample) -> OutputRecord {
    let envelope = Envelope::root(&sample.source, Sample::EVENT_TYPE, &sample.workload, sample.at, stream);
    output_record(&envelope, topics::RAW_KPIS, sample).expect("the sample keeps its contract")
}

/// The records, each with its tick, in an order in which each comes up to the lateness bound after that.
fn delayed(records: impl Iterator<Item = (usize, OutputRecord)>) -> Vec<OutputRecord> {
    let mut chance = Chance::seeded(1);
    let mut place = |tick| (tick + chance.among(0..LATENESS_STEPS + 1), chance.among(0..1 << 20));
    let mut placed: Vec<_> = records.map(|(tick, record)| (place(tick), record)).collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, record)| record).collect()
}

/// The samples, each so many times, in such an order.
fn shuffled(ticks: &[Vec<Sample>], copies: usize) -> Vec<OutputRecord> {
    let of_tick = |(tick, samples): (usize, &Vec<Sample>)| {
        let records = samples.iter().flat_map(|sample| iter::repeat_n(record(sample), copies));
        records.map(|record| (tick, record)).collect::<Vec<_>>()
    };
    delayed(ticks.iter().enumerate().flat_map(of_tick))
}

/// As an ordinary producer sends them, in such an order: a record for each KPI, and no headers.
fn in_foreign_parts(ticks: &[Vec<Sample>]) -> Vec<OutputRecord> {
    let of_sample = |sample: &Sample| {
        let part = |kpi: &Kpi| record(&Sample { kpis: vec![kpi.clone()], ..sample.clone() });
        let parts = sample.kpis.iter().map(part);
        parts.map(|part| OutputRecord { headers: Vec::new(), ..part }).collect::<Vec<_>>()
    };
    let of_tick = |(tick, samples): (usize, &Vec<Sample>)| {
        samples.iter().flat_map(of_sample).map(|part| (tick, part)).collect::<Vec<_>>()
    };
    delayed(ticks.iter().enumerate().flat_map(of_tick))
}

fn in_order(ticks: &[Vec<Sample>]) -> Vec<OutputRecord> {
    ticks.iter().flatten().map(record).collect()
}

#[test]
fn shuffled_and_repeated_samples_give_the_same_fingerprints() {
    let ticks = ticks(20);
    let clean = Run::over(&in_order(&ticks));
    let samples = ticks.iter().map(Vec::len).sum::<usize>();
    let twice = Run::over(&shuffled(&ticks, 2));
    twice.assert_all_ended();
    assert_eq!(twice.dead_by_reason(), BTreeMap::new());
    assert_eq!(twice.fingerprinter().repeated_inputs, samples as u64);
    assert_eq!(twice.fingerprinter().followed, samples as u64);
    assert_eq!(twice.fingerprints(), clean.fingerprints());
}

#[test]
fn samples_in_parts_without_headers_give_the_same_fingerprints() {
    let ticks = ticks(20);
    let clean = Run::over(&in_order(&ticks));
    let parts = in_foreign_parts(&ticks);
    let run = Run::over(&parts);
    run.assert_all_ended();
    assert_eq!(run.dead_by_reason(), BTreeMap::new());
    let (read, samples) = (parts.len() as u64, ticks.iter().map(Vec::len).sum::<usize>() as u64);
    let fingerprinter = run.fingerprinter();
    assert_eq!((fingerprinter.read, fingerprinter.followed, fingerprinter.repeated_inputs), (read, samples, 0));
    assert_eq!(fingerprinter.reasons, BTreeMap::from([("merged", read - samples)]));
    let values = |run: &Run| -> BTreeMap<Vec<u8>, Vec<Option<Vec<u8>>>> {
        let of = |said: Vec<&Said>| said.into_iter().map(|said| said.value.clone()).collect();
        run.fingerprints().into_iter().map(|(workload, said)| (workload.to_vec(), of(said))).collect()
    };
    assert_eq!(values(&run), values(&clean));
}

/// A value that no sample has, to find its place among the bytes.
const MARK: f64 = 1.234_567_8e300;

/// The sample's record with a KPI more, of any value: also those that an encoder of ours refuses.
fn with_kpi(stream: &str, sample: &Sample, kind: KpiKind, value: f64) -> OutputRecord {
    let kpi = Kpi { name: KpiName::new("queue_length"), kind, unit: "1".into(), value: Some(MARK) };
    let mut marked = sample.clone();
    marked.kpis.push(kpi);
    let mut record = record_of(stream, &marked);
    let bytes = record.value.as_mut().expect("a value");
    let at = bytes.windows(8).position(|w| w == MARK.to_le_bytes()).expect("the mark is there");
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    record
}

/// The sample's record with its first KPI there twice.
fn with_kpi_twice(stream: &str, sample: &Sample) -> OutputRecord {
    let first = sample.kpis[0].clone();
    let (name, mark) = (first.name.as_str().to_owned(), "x".repeat(first.name.as_str().len()));
    let mut marked = sample.clone();
    marked.kpis.push(Kpi { name: KpiName::new(&mark), ..first });
    let mut record = record_of(stream, &marked);
    let bytes = record.value.as_mut().expect("a value");
    let at = bytes.windows(mark.len()).position(|w| w == mark.as_bytes()).expect("the mark is there");
    bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
    record
}

/// Records that cannot be used, each with the reason that it must end with.
fn unusable(sample: &Sample) -> Vec<(OutputRecord, &'static str)> {
    let with = |stream: &str, change: &dyn Fn(&mut Sample)| {
        let mut sample = sample.clone();
        change(&mut sample);
        record_of(stream, &sample)
    };
    let value = record(sample).value.unwrap_or_default();
    let mut unknown_schema = value.clone();
    unknown_schema[1..5].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    let cut = value[..value.len() / 2].to_vec();
    let garbled = [Some(vec![]), Some(b"{\"cpu\": 1}".to_vec()), Some(cut), Some(unknown_schema), None];
    let garbled = garbled.into_iter().enumerate().map(|(i, value)| {
        let record = record_of(&format!("garbled-{i}"), sample);
        (OutputRecord { value, ..record }, "undecodable")
    });
    let mut nameless = record(sample);
    nameless.headers.retain(|header| header.name != "ce_id");
    let impossible = [
        (with_kpi("nan", sample, KpiKind::Gauge, f64::NAN), "undecodable"),
        (with_kpi("infinite", sample, KpiKind::Gauge, f64::NEG_INFINITY), "undecodable"),
        (with_kpi("rate", sample, KpiKind::Rate, -1.0), "negative_rate"),
        (with_kpi("counter", sample, KpiKind::Counter, -1.0), "negative_rate"),
        (with_kpi_twice("twice", sample), "undecodable"),
        (with("ahead", &|s| s.at = sample.at.plus_s(30 * 86_400)), "from_the_future"),
        (with("behind", &|s| s.at = sample.at.plus_s(-3 * 3600)), "late"),
        (nameless, "undecodable"),
    ];
    impossible.into_iter().chain(garbled).collect()
}

#[test]
fn what_cannot_be_used_goes_to_the_dead_letters_and_harms_no_other() {
    let ticks = ticks(6);
    let clean = Run::over(&in_order(&ticks));
    let mut records = in_order(&ticks);
    let mut wanted = BTreeMap::new();
    let among = TICKS * 9 / 10;
    for (i, (record, reason)) in unusable(&ticks[among][0]).into_iter().enumerate() {
        records.insert(6 * among + 7 * i, record);
        *wanted.entry(reason.to_owned()).or_insert(0) += 1;
    }
    let run = Run::over(&records);
    run.assert_all_ended();
    assert_eq!(run.dead_by_reason(), wanted);
    assert_eq!(run.outputs[topics::FINGERPRINTS], clean.outputs[topics::FINGERPRINTS]);
    assert_eq!(run.outputs[topics::ACTIONS], clean.outputs[topics::ACTIONS]);
}

/// Agents that name a workload anew with each sample, as pods of a job do.
#[test]
fn a_flood_of_new_workloads_is_accounted_for() {
    const NEW: usize = 100_000;
    let ticks = ticks(1);
    let sound = ticks.iter().flatten().find(|s| s.kpis.iter().all(|k| k.value.is_some())).expect("most have all");
    let records: Vec<OutputRecord> = (0..NEW)
        .map(|i| {
            let workload = WorkloadId::new(&format!("job-{i}")).expect("a sound id");
            let at = sound.at.plus_s(i64::from(STEP_S) * (i * TICKS / NEW) as i64);
            record(&Sample { workload, at, ..sound.clone() })
        })
        .collect();
    let run = Run::over(&records);
    run.assert_all_ended();
    assert_eq!((run.fingerprinter().read, run.fingerprinter().rejected), (NEW as u64, 0));
    let named: BTreeSet<_> = run.outputs[topics::PREDICTIONS].iter().map(|said| &said.key).collect();
    // A workload's first sample waits for earlier ones and its parts as long as they may come.
    let waiting = (0..NEW).filter(|i| i * TICKS / NEW >= TICKS - 1 - LATENESS_STEPS).count();
    assert_eq!(named.len(), NEW - waiting, "each has its forecast");
}
