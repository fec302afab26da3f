//! A cloud of cells, one a workload, that tests drive: each has a number of replicas and a version, and is changed by who
//! names the version that is there.

use super::call::CallError;
use super::driver::{Aim, Standing};
use super::open::Now;
use super::order::Order;
use super::step::{Method, Request, Step};
use prescale_chassis::audit::Place;
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::{Action, ActionOutcome, Mechanism, Reason, Verdict};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::json;
use std::collections::BTreeMap;

/// The platform of the cells.
pub(super) const CELLS: Platform = Platform::named("cells");

/// One workload as the cloud has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) replicas: u32,
    pub(super) version: u64,
    /// The action that changed it last, if one did.
    pub(super) by: Option<String>,
}

/// The cells, by workload, with how often each action took effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    pub(super) cells: BTreeMap<String, Cell>,
    pub(super) effects: BTreeMap<String, usize>,
}

impl Cells {
    pub(super) fn cell(&self, workload: &WorkloadId) -> Cell {
        self.cells.get(workload.as_str()).cloned().unwrap_or_default()
    }

    /// Somebody else changes a cell.
    pub(super) fn meddle(&mut self, workload: &str, replicas: u32) {
        let cell = self.cells.entry(workload.to_owned()).or_default();
        *cell = Cell { replicas, version: cell.version + 1, by: None };
    }

    /// Carries a request out, where the cell is as it says.
    pub(super) fn change(&mut self, request: &Request) -> Result<(), CallError> {
        let cell = self.cells.entry(request.path.clone()).or_default();
        let version = request.body["version"].as_u64().unwrap();
        if cell.version != version {
            return Err(CallError::Conflict { why: format!("version {version} is gone") });
        }
        let id = request.body["id"].as_str().unwrap().to_owned();
        *self.effects.entry(id.clone()).or_default() += 1;
        let replicas = u32::try_from(request.body["replicas"].as_u64().unwrap()).unwrap();
        *cell = Cell { replicas, version: version + 1, by: Some(id) };
        Ok(())
    }
}

pub(super) fn standing(cell: &Cell, aim: &Aim) -> Standing {
    let is_borne = cell.by.as_deref() == Some(&**aim.order.id());
    Standing {
        is_taken: is_borne || cell.replicas == aim.order.action.desired.replicas,
        is_dry_run: false,
        mark: format!("version {}", cell.version).into(),
        capacity: Some(Capacity { replicas: cell.replicas, ..aim.order.action.current.clone() }),
    }
}

pub(super) fn next(cell: &Cell, aim: &Aim, now: EventTime) -> Step {
    let desired = aim.order.action.desired.replicas;
    if cell.replicas == desired {
        return Step::Done(ActionOutcome::Applied { effective_at: now });
    }
    if aim.sent_from.as_ref().is_some_and(|mark| **mark != *format!("version {}", cell.version)) {
        return Step::Done(ActionOutcome::Superseded { why: "somebody else has changed it".to_owned() });
    }
    let body = json!({"version": cell.version, "replicas": desired, "id": &**aim.order.id()});
    Step::Send(Request {
        method: Method::Put,
        path: aim.order.workload().as_str().to_owned(),
        content_type: "application/json",
        body,
    })
}

/// An action that asks for so many replicas, decided at an instant and valid for `valid_s`, as number `nth` of the log.
pub(super) fn order(workload: &str, (decided_s, valid_s): (i64, i64), replicas: u32, nth: i64) -> Order {
    let capacity = |replicas| Capacity {
        replicas,
        cpu_cores_per_replica: 1.0,
        memory_bytes_per_replica: 4e9,
        instance_type: None,
    };
    let (workload, decided_at) = (WorkloadId::new(workload).unwrap(), EventTime::from_s(decided_s));
    let action = Action {
        workload: workload.clone(),
        decided_at,
        valid_until: decided_at.plus_s(valid_s),
        prediction_id: "p".into(),
        policy: "threshold".into(),
        verdict: Verdict::ScaleOut,
        current: capacity(1),
        desired: capacity(replicas),
        mechanism: Mechanism::Replicas,
        dry_run: false,
        evidence: Vec::new(),
        reasons: Vec::new(),
        platform: CELLS,
    };
    let envelope = Envelope::root("test", Action::EVENT_TYPE, &workload, decided_at, &format!("{replicas} {nth}"));
    Order { place: Place { partition: 0, offset: nth }, envelope, action }
}

/// The record that withdraws an action, as number `nth` of the log.
pub(super) fn withdrawal(of: &Order, nth: i64) -> Order {
    let why = Reason { rule: "governor.paused".into(), text: "paused".into() };
    let action = of.action.withdrawn(why);
    let envelope = of.envelope.following("governor", Action::EVENT_TYPE, &action.workload, action.decided_at, 0);
    Order { place: Place { partition: 0, offset: nth }, envelope, action }
}

pub(super) fn at_s(s: i64) -> Now {
    Now { at: EventTime::from_s(s), ms: u64::try_from(s).unwrap() * 1000 }
}

pub(super) fn id_of(order: &Order) -> String {
    order.id().to_string()
}
