//! Made-up fingerprints, for tests of what reads them.

use prescale_bus::OutputRecord;
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::kpi::{self, KpiName};
use prescale_domain::sample::Platform;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

/// A record of a workload that uses so many cores, without features.
///
/// # Panics
/// When the name is no workload's.
pub fn fingerprint_of(workload: &str, at: EventTime, step_s: u32, cores: f64) -> OutputRecord {
    let fingerprint = Fingerprint {
        workload: WorkloadId::new(workload).expect("a name"),
        source: SourceName::new("fleet:test").expect("a name"),
        at,
        step_s,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: vec![KpiFingerprint {
            name: KpiName::new(kpi::CPU_CORES_USED),
            unit: "cores".into(),
            last: Some(cores),
            windows: Windows::boxed(WindowFeatures::default(), WindowFeatures::default()),
        }],
        capacity: None,
        anomaly: None,
        platform: Platform::SIMULATED,
    };
    let envelope = Envelope::root("test", Fingerprint::EVENT_TYPE, &fingerprint.workload, at, &at.as_ms().to_string());
    output_record(&envelope, topics::FINGERPRINTS, &fingerprint).expect("it keeps its contract")
}
