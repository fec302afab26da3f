//! A pipeline that begins with a history behind every workload, most of which are copies: what the benchmark measures.

use integration_tests::pipeline::{Pipeline, said};
use integration_tests::warm::crowd::{STEP_S, record};
use integration_tests::warm::{Crowd, WarmStages, without_snapshots};
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_contracts::{Contract, topics};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A whole number of bins.
const HISTORY_STEPS: u32 = 180;
/// Samples of one bin.
const STEPS: usize = (GRID_STEP_S / STEP_S) as usize;

/// Each workload with the fingerprint and the prediction of these instants, as far as there is one.
fn all<C: Contract>(bus: &dyn Bus, at: &BTreeSet<(WorkloadId, EventTime)>) -> BTreeMap<WorkloadId, C> {
    let records = said(bus, C::TOPIC);
    let values = records.iter().map(|r| C::decode(r.value.as_deref().expect("a value")).expect("it can be decoded"));
    let of_interest = |value: &C| at.contains(&(value.workload().clone(), value.at()));
    values.filter(of_interest).map(|value| (value.workload().clone(), value)).collect()
}

#[test]
fn every_workload_begins_with_the_history() {
    let settings = Settings::default();
    let crowd = Crowd::new(60, 12, settings.bus.partitions);
    let mut progress = crowd.start();
    let stages = WarmStages::after(&settings, &crowd, HISTORY_STEPS, &mut progress);
    let counted = stages.workload_bytes(&crowd);
    assert!(counted.iter().all(|(_, bytes)| *bytes > 1000.0), "{counted:?}");
    assert!(counted.iter().map(|(_, bytes)| bytes).sum::<f64>() < 32.0 * 1024.0, "{counted:?}");

    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let own = stages.factories().into_iter().map(without_snapshots).collect();
    let pipeline = Pipeline::start_with(&bus, &settings, own);
    let mut source = bus.source("crowd").expect("the source opens");
    // By workload: its newest instant, and how many of a bin's samples it has.
    let mut written: BTreeMap<WorkloadId, (EventTime, usize)> = BTreeMap::new();
    for step in 0..STEPS {
        let came = crowd.step_all(&mut progress);
        let of = |number: usize| crowd.sample(number, &came[crowd.partition(number)]);
        let samples: Vec<_> = (0..crowd.len()).filter_map(of).collect();
        for sample in &samples {
            let known = written.entry(sample.workload.clone()).or_insert((sample.at, 0));
            *known = (sample.at, known.1 + 1);
        }
        source.append(samples.iter().map(record).collect(), step.to_string().as_bytes()).expect("they are written");
    }
    pipeline.settle();
    assert_eq!(pipeline.behind()[0], ("fingerprinter", 0));
    pipeline.stop();

    let whole = written.into_iter().filter(|(_, (_, samples))| *samples == STEPS);
    let closes: BTreeSet<(WorkloadId, EventTime)> = whole.map(|(workload, (at, _))| (workload, at)).collect();
    assert!(closes.len() > 40, "{} workloads have all samples of a bin", closes.len());
    let fingerprints = all::<Fingerprint>(bus.as_ref(), &closes);
    let predictions = all::<Prediction>(bus.as_ref(), &closes);
    assert_eq!((fingerprints.len(), predictions.len()), (closes.len(), closes.len()));
    for fingerprint in fingerprints.values() {
        let windows = fingerprint.kpis.iter().filter_map(|kpi| kpi.windows.as_deref());
        let samples = windows.map(|windows| windows.long.count).max();
        assert!(samples.is_some_and(|samples| samples > 150), "{} has {samples:?}", fingerprint.workload);
    }
    assert!(said(bus.as_ref(), &topics::dlq_of(topics::RAW_KPIS)).is_empty());
}
