//! The simulated cloud's answers.

use super::{CapacitySchedule, PriceList};
use crate::action::{Action, ActionOutcome, ActionResult, Mechanism};
use crate::draw::unit_interval;
use crate::knob::{Knob, Knobs};
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::wording::{bytes, cores};
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers kept of a workload, to give the same one again.
const RECEIPTS_MAX: usize = 8;

/// How the simulated cloud behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudRules {
    /// Time until an added VM or replica serves, in seconds.
    pub vm_boot_s: u32,
    /// Time until limits changed in place hold, in seconds.
    pub limits_s: u32,
    /// Time that a change of the instance type takes, in seconds.
    pub instance_type_s: u32,
    /// Removed VMs leave service at once and give their cores back to the quota after this, in
    /// seconds.
    pub drain_s: u32,
    /// Share of the requests that fail, from 0 to 1.
    pub failure_probability: f64,
    /// Chooses which.
    pub seed: u64,
    /// Most cores of all workloads of a partition that were ever changed, together; `None` for no quota.
    pub cpu_cores_quota: Option<f64>,
    /// Instance types and prices.
    pub prices: PriceList,
}

impl Default for CloudRules {
    fn default() -> Self {
        Self {
            vm_boot_s: 120,
            limits_s: 10,
            instance_type_s: 300,
            drain_s: 30,
            failure_probability: 0.0,
            seed: 0,
            cpu_cores_quota: None,
            prices: PriceList::default(),
        }
    }
}

impl Knobs for CloudRules {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self {
            vm_boot_s,
            limits_s,
            instance_type_s,
            drain_s,
            failure_probability,
            seed,
            cpu_cores_quota,
            // It has keys of its own.
            prices: _,
        } = self;
        see("vm_boot_s", Knob::Count(vm_boot_s));
        see("limits_s", Knob::Count(limits_s));
        see("instance_type_s", Knob::Count(instance_type_s));
        see("drain_s", Knob::Count(drain_s));
        see("failure_probability", Knob::number(failure_probability));
        see("seed", Knob::Seed(seed));
        see("cpu_cores_quota_per_partition", Knob::Bound { value: cpu_cores_quota, unit: 1.0 });
    }
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Receipt {
    action_id: Arc<str>,
    at: EventTime,
    outcome: ActionOutcome,
    before: Capacity,
    after: Capacity,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Tenant {
    schedule: CapacitySchedule,
    /// Cores of VMs that are being drained, until when.
    draining: Option<(EventTime, f64)>,
    newest: EventTime,
    receipts: Vec<Receipt>,
}

/// The simulated cloud. It comes to know a workload by the first action on it.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct SimulatedCloud {
    tenants: BTreeMap<WorkloadId, Tenant>,
}

impl SimulatedCloud {
    /// The capacity that serves at `at`, if the workload is known.
    pub fn capacity_at(&self, workload: &WorkloadId, at: EventTime) -> Option<&Capacity> {
        self.tenants.get(workload).map(|t| t.schedule.at(at))
    }

    /// Answers an action, at the instant that it was decided. An id that was answered already gets
    /// the same answer.
    ///
    /// Where no change is under way the capacity that the action was made from is taken for what
    /// serves: the cloud drives from the capacity that there is, whoever made it.
    pub fn apply(&mut self, rules: &CloudRules, action_id: &Arc<str>, action: &Action) -> ActionResult {
        let now = action.decided_at;
        if let Some(receipt) = self.receipt(action_id, &action.workload) {
            return result(rules, action, receipt.clone());
        }
        let in_use_elsewhere = rules.cpu_cores_quota.map(|_| self.cores_in_use(&action.workload, now));
        let tenant = self.tenants.entry(action.workload.clone()).or_insert_with(|| Tenant {
            schedule: CapacitySchedule::new(action.current.clone()),
            draining: None,
            newest: EventTime::from_ms(i64::MIN),
            receipts: Vec::new(),
        });
        let receipt = tenant.answer(rules, action_id, action, in_use_elsewhere);
        tenant.newest = tenant.newest.max(now);
        if tenant.receipts.len() == RECEIPTS_MAX {
            tenant.receipts.remove(0);
        }
        tenant.receipts.push(receipt.clone());
        result(rules, action, receipt)
    }

    /// An action on the workload that was decided at `decided_at` or before is not to be carried out any more.
    pub fn withdraw(&mut self, workload: &WorkloadId, decided_at: EventTime) {
        if let Some(tenant) = self.tenants.get_mut(workload) {
            tenant.newest = tenant.newest.max(decided_at);
        }
    }

    fn receipt(&self, action_id: &Arc<str>, workload: &WorkloadId) -> Option<&Receipt> {
        self.tenants.get(workload)?.receipts.iter().find(|r| r.action_id == *action_id)
    }

    fn cores_in_use(&self, but: &WorkloadId, now: EventTime) -> f64 {
        self.tenants.iter().filter(|(workload, _)| *workload != but).map(|(_, t)| t.cores_in_use(now)).sum()
    }
}

impl Tenant {
    /// Cores that serve, boot or drain.
    fn cores_in_use(&self, now: EventTime) -> f64 {
        let serving = self.schedule.at(now).cpu_cores();
        let most = self.schedule.coming_after(now).map(|(_, c)| c.cpu_cores()).fold(serving, f64::max);
        most + self.draining_cores(now)
    }

    fn draining_cores(&self, now: EventTime) -> f64 {
        self.draining.filter(|(until, _)| *until > now).map_or(0.0, |(_, cores)| cores)
    }

    fn answer(
        &mut self,
        rules: &CloudRules,
        action_id: &Arc<str>,
        action: &Action,
        in_use_elsewhere: Option<f64>,
    ) -> Receipt {
        let now = action.decided_at;
        let receipt = |before: &Capacity, outcome, after: &Capacity| Receipt {
            action_id: action_id.clone(),
            at: now,
            outcome,
            before: before.clone(),
            after: after.clone(),
        };
        if let Some(why) = self.void(action) {
            let serving = self.schedule.at(now);
            return receipt(serving, ActionOutcome::Superseded { why }, serving);
        }
        self.schedule.settle(now);
        if self.schedule.coming_after(now).next().is_none() {
            self.schedule = CapacitySchedule::new(action.current.clone());
        }
        let before = self.schedule.at(now).clone();
        match self.refusal(rules, action_id, action, in_use_elsewhere) {
            Some(outcome) => receipt(&before, outcome, &before),
            None => {
                let effective_at = self.change(rules, action);
                receipt(&before, ActionOutcome::Applied { effective_at }, &action.desired)
            }
        }
    }

    fn void(&self, action: &Action) -> Option<String> {
        if action.decided_at <= self.newest {
            return Some("an action decided at the same time or later was answered before".to_owned());
        }
        (action.valid_until <= action.decided_at).then(|| "its validity had ended when it was decided".to_owned())
    }

    fn refusal(
        &self,
        rules: &CloudRules,
        action_id: &str,
        action: &Action,
        in_use_elsewhere: Option<f64>,
    ) -> Option<ActionOutcome> {
        if unit_interval(rules.seed, action_id) < rules.failure_probability {
            let why = format!("simulated failure (failure_probability is {})", rules.failure_probability);
            return Some(ActionOutcome::Failed { why, retryable: true });
        }
        if let Some(why) = self.cannot(rules, action) {
            return Some(ActionOutcome::Failed { why, retryable: false });
        }
        let (quota, elsewhere) = (rules.cpu_cores_quota?, in_use_elsewhere?);
        let grows = action.desired.cpu_cores() > self.schedule.at(action.decided_at).cpu_cores();
        let total = elsewhere + self.draining_cores(action.decided_at) + action.desired.cpu_cores();
        (grows && total > quota).then(|| ActionOutcome::Failed {
            why: format!("quota exceeded: {total:.2} cores would be in use, {quota:.2} are allowed"),
            retryable: true,
        })
    }

    fn cannot(&self, rules: &CloudRules, action: &Action) -> Option<String> {
        let (now, wanted) = (self.schedule.last(), &action.desired);
        let same_size = now.cpu_cores_per_replica == wanted.cpu_cores_per_replica
            && now.memory_bytes_per_replica == wanted.memory_bytes_per_replica;
        match action.mechanism {
            Mechanism::Replicas if !same_size => Some(
                "replicas of another size than those that serve cannot be added: change their size first".to_owned(),
            ),
            Mechanism::InstanceType => {
                let name = wanted.instance_type.as_deref().unwrap_or("");
                match rules.prices.instance_type(name) {
                    None => Some(format!("there is no instance type {name:?}")),
                    Some(t) if t.capacity(wanted.replicas) != *wanted => Some(format!(
                        "instance type {name:?} has {} and {}, not what is asked for",
                        cores(t.cpu_cores),
                        bytes(t.memory_bytes)
                    )),
                    Some(t) if !t.is_available && now.instance_type != wanted.instance_type => {
                        Some(format!("instance type {name:?} is not available"))
                    }
                    Some(_) => None,
                }
            }
            Mechanism::Replicas | Mechanism::Limits => None,
        }
    }

    /// Puts the change into the schedule; returns when the desired capacity serves.
    fn change(&mut self, rules: &CloudRules, action: &Action) -> EventTime {
        let now = action.decided_at;
        let serving = self.schedule.at(now).clone();
        let effective_at = match action.mechanism {
            Mechanism::Limits => now.plus_s(i64::from(rules.limits_s)),
            Mechanism::InstanceType => now.plus_s(i64::from(rules.instance_type_s)),
            Mechanism::Replicas if action.desired.replicas <= serving.replicas => {
                let removed = serving.cpu_cores() - action.desired.cpu_cores();
                self.draining = Some((now.plus_s(i64::from(rules.drain_s)), removed + self.draining_cores(now)));
                now
            }
            Mechanism::Replicas => self
                .schedule
                .coming_after(now)
                .find(|(_, c)| c.replicas >= action.desired.replicas)
                .map_or(now.plus_s(i64::from(rules.vm_boot_s)), |(at, _)| *at),
        };
        self.schedule.change(effective_at, action.desired.clone());
        effective_at
    }
}

fn result(rules: &CloudRules, action: &Action, receipt: Receipt) -> ActionResult {
    ActionResult {
        workload: action.workload.clone(),
        action_id: receipt.action_id,
        at: receipt.at,
        outcome: receipt.outcome,
        before: receipt.before,
        price_per_h: rules.prices.price_per_h(&receipt.after),
        after: receipt.after,
        platform: action.platform,
    }
}

#[cfg(test)]
#[path = "simulated_tests.rs"]
mod tests;
