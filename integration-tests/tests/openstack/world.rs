//! A workload with actuators before it, which speak to Nova through a proxy.

use integration_tests::actuators::{Actuators, now};
use integration_tests::kubernetes::faults::{Fault, Proxy, Seen};
use integration_tests::openstack::Cloud;
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Mechanism, Verdict};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::workload::WorkloadId;

/// What a test of actuators needs.
pub(super) struct World {
    pub(super) cloud: Cloud,
    pub(super) proxy: Proxy,
    pub(super) actuators: Actuators,
}

impl World {
    /// With these keys in `[actuator.openstack]`.
    pub(super) fn new(keys: &str) -> Self {
        let cloud = Cloud::of_test();
        let proxy = Proxy::before_plain(cloud.nova());
        let clouds_file = cloud.clouds_file(proxy.url());
        let section = format!("[actuator.openstack]\nenabled = true\nclouds_file = {clouds_file:?}\n{keys}\n");
        Self { cloud, proxy, actuators: Actuators::of(&section) }
    }

    /// Starts one more actuator.
    pub(super) fn start(&mut self) {
        self.actuators.start_with(&[]);
    }

    /// An action from so many servers of a flavor to so many of another, decided now and valid for ten minutes.
    pub(super) fn action(&self, from: (u32, &str), to: (u32, &str)) -> Action {
        let (current, desired) = (capacity(from), capacity(to));
        let decided_at = now();
        Action {
            workload: WorkloadId::new(self.cloud.workload()).expect("a name"),
            decided_at,
            valid_until: decided_at.plus_s(600),
            prediction_id: "a prediction".into(),
            policy: "threshold".into(),
            verdict: if desired.cpu_cores() > current.cpu_cores() { Verdict::ScaleOut } else { Verdict::ScaleIn },
            mechanism: if from.1 == to.1 { Mechanism::Replicas } else { Mechanism::InstanceType },
            current,
            desired,
            dry_run: false,
            evidence: Vec::new(),
            reasons: Vec::new(),
            platform: Platform::OPENSTACK,
        }
    }

    /// Tells an action, and waits for what came of it.
    pub(super) fn outcome(&mut self, action: &Action) -> ActionResult {
        let id = self.actuators.tell(action);
        self.actuators.result(&id)
    }

    /// So many requests for new servers of this workload took effect: those of one have its id on their record.
    pub(super) fn makes(&self) -> usize {
        let made = self.cloud.servers().into_iter().filter(|server| server.made_by().is_some());
        let mut requests: Vec<String> = made.map(|server| self.cloud.record(server.id()).remove(0).1).collect();
        requests.sort();
        requests.dedup();
        requests.len()
    }

    /// These mistakes are made with the requests that have this in their body.
    pub(super) fn mistakes(&self, body: &'static str, faults: &[Fault]) {
        self.proxy.script(move |seen: &Seen| seen.is_write() && seen.body.contains(body), faults);
    }
}

/// Flavors are `cN`, of N cores and N GiB.
fn capacity((replicas, flavor): (u32, &str)) -> Capacity {
    let size: f64 = flavor.trim_start_matches('c').parse().expect("a flavor");
    Capacity {
        replicas,
        cpu_cores_per_replica: size,
        memory_bytes_per_replica: size * 1_073_741_824.0,
        instance_type: Some(flavor.into()),
    }
}

pub(super) fn is_applied(result: &ActionResult) -> bool {
    matches!(result.outcome, ActionOutcome::Applied { .. })
}

/// Why an action did not succeed.
pub(super) fn why(result: &ActionResult) -> &str {
    match &result.outcome {
        ActionOutcome::Failed { why, .. } | ActionOutcome::Superseded { why } => why,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refused(status: u16) -> Fault {
    Fault::Refused { status, retry_after_s: None }
}
