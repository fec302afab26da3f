//! A made-up incident for the tests of receivers.

use prescale_domain::alarm::Severity;
use prescale_domain::incident::{Incident, Member};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

pub(crate) fn incident() -> Incident {
    let name = |text: &str| WorkloadId::new(text).unwrap();
    let member = |workload: &str, started_s: i64| Member {
        workload: name(workload),
        anomaly_id: format!("{workload}@{started_s}").into(),
        started_at: EventTime::from_s(started_s),
        ended_at: None,
        p_value: 1e-5,
        severity: Severity::Warning,
        kpis: vec![KpiName::new(CPU_CORES_USED)],
    };
    Incident {
        fleet: name("shop"),
        incident_id: "incident:db@1000".into(),
        at: EventTime::from_s(2000),
        started_at: EventTime::from_s(1000),
        ended_at: None,
        severity: Severity::Warning,
        workloads: 2,
        members: vec![member("db", 1000), member("web", 1300)],
        is_repetition: false,
    }
}
