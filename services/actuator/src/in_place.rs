//! Sizes the pods of a Kubernetes workload in place, through their subresource `resize`. Pure: it sees what the API server
//! shows and says what comes next.
//!
//! All pods come to the size that is wanted, some at a time, and then the template follows. Nothing is remembered between
//! two looks but what stands in the objects: a pod that asks for the size was resized, and is never asked again as long as it
//! does; one that came later is resized like the others.

pub mod config;
mod container;
mod follow;
mod pod;
mod qos;
mod shown;
mod size;
mod workload;

pub(crate) use shown::{Facts, Shown};
pub(crate) use size::Wanted;
pub(crate) use workload::PAUSED_FOR;

use crate::drive::step::{Request, Step};
use config::{OnStuck, ResizeConfig, TemplateRule};
use container::patch_of;
use follow::STRATEGIC;
use pod::{Held, Pod, Resize};
use prescale_domain::action::ActionOutcome;
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use prescale_kubernetes::resources::Resources;
use serde_json::json;
use size::fitted;
use workload::{GIVEN_UP, ROLLED_FOR, Rollout, Sizes, Workload};

/// A node that has had no room for so long is not waited for any more.
const DEFERRED_S_MAX: i64 = 300;
/// A resize that was granted, and is not made after so long, is not waited for any more.
const IN_PROGRESS_S_MAX: i64 = 3600;
/// The template is not made to follow where less time is left, since its Deployment is paused meanwhile.
const FOLLOW_S: i64 = 120;
const LOOK_AGAIN_S: u32 = 5;

/// What is driven towards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal<'a> {
    /// What each replica is to have.
    pub(crate) wanted: Wanted,
    /// What each replica uses of memory at most, in bytes, by what the action rests on; `None` where that does not say.
    pub(crate) memory_bytes_expected: Option<u64>,
    /// The id of the action by which it is to have that.
    pub(crate) action_id: &'a str,
    /// When the action was decided: what a kubelet says since before counts from there.
    pub(crate) decided_at: EventTime,
    /// The action is void from here on.
    pub(crate) valid_until: EventTime,
}

/// A pod with what its containers are to ask for.
struct Planned<'a> {
    pod: &'a Pod,
    resources: Vec<Resources>,
}

/// What comes next.
pub(crate) fn next(facts: &Facts, goal: Goal<'_>, rules: &ResizeConfig, now: EventTime) -> Step {
    let Goal { wanted, memory_bytes_expected, action_id, decided_at, valid_until } = goal;
    if let Some(why) = facts.workload.given_up(action_id) {
        return taken_back(facts, wanted).unwrap_or_else(|| failed(why.to_owned()));
    }
    let all: Result<Vec<Planned<'_>>, String> = facts.pods.iter().map(|pod| plan(pod, wanted)).collect();
    let planned = match all {
        Ok(planned) if planned.is_empty() => return wait("a pod of it to be on a node".to_owned()),
        Ok(planned) => planned,
        Err(why) => return failed(why),
    };
    if facts.workload.template.rolled_for.as_deref() == Some(action_id) {
        return rolling(&facts.workload, &planned, now);
    }
    let mut asked = planned.iter().filter(|planned| !planned.changes());
    if let Some(why) = asked.find_map(|planned| why_stuck(planned.pod, decided_at, now)) {
        return unstuck(facts, &planned, rules, action_id, &why);
    }
    if let Some(why) = planned.iter().find_map(|planned| planned.may_lack(wanted, memory_bytes_expected)) {
        return failed(why);
    }
    if let Some(step) = resize(&facts.workload, &planned, rules) {
        return step;
    }
    let follows = match rules.template {
        TemplateRule::Follow if now.plus_s(FOLLOW_S) <= valid_until => {
            follow::next(&facts.workload, &facts.replica_sets, &sizes(&planned), action_id)
        }
        _ => follow::finish(&facts.workload, &facts.replica_sets),
    };
    follows.unwrap_or(Step::Done(ActionOutcome::Applied { effective_at: now }))
}

/// What is to be done about what a void action has left, by which each replica was to have what is wanted: pods that wait for
/// room, and a Deployment that is paused. `None` where nothing is left.
pub(crate) fn settled(facts: &Facts, wanted: Wanted) -> Option<Step> {
    taken_back(facts, wanted).or_else(|| finished(facts)).map(tidying)
}

/// What is to be done about a Deployment that was paused so that its template could follow; `None` where it was not.
pub(crate) fn finished(facts: &Facts) -> Option<Step> {
    follow::finish(&facts.workload, &facts.replica_sets).map(tidying)
}

/// A step that is taken whether or not the action is void.
fn tidying(step: Step) -> Step {
    if let Step::Send(request) = step { Step::TidyUp(request) } else { step }
}

/// Whether all of its pods ask for what is wanted.
pub(crate) fn is_taken(facts: &Facts, wanted: Wanted) -> bool {
    !facts.pods.is_empty() && facts.pods.iter().all(|pod| plan(pod, wanted).is_ok_and(|planned| !planned.changes()))
}

/// What its pods ask for together, where each container asks for something.
pub(crate) fn capacity(facts: &Facts) -> Option<Capacity> {
    let sizes = || facts.pods.iter().flat_map(|pod| &pod.containers).map(|held| held.container.resources.size());
    let cpu_cores: Option<f64> = sizes().map(|size| size.cpu_millis.map(|millis| millis as f64 / 1000.0)).sum();
    let memory_bytes: Option<f64> = sizes().map(|size| size.memory_bytes.map(|bytes| bytes as f64)).sum();
    Capacity::of_totals(Some(facts.pods.len() as f64), cpu_cores, memory_bytes)
}

impl Planned<'_> {
    /// Whether it does not ask for its size yet.
    fn changes(&self) -> bool {
        self.changed().next().is_some()
    }

    fn changed(&self) -> impl Iterator<Item = (&str, Resources)> {
        let containers = self.pod.containers.iter().map(|held| &held.container).zip(&self.resources);
        containers.filter(|(now, then)| now.resources != **then).map(|(now, then)| (now.name.as_str(), *then))
    }

    /// Why a container may come to have less memory than it uses, where that is not measured: then what the action rests
    /// on has to fit in.
    fn may_lack(&self, wanted: Wanted, memory_bytes_expected: Option<u64>) -> Option<String> {
        let mut containers = self.pod.containers.iter().zip(&self.resources);
        let (held, _) = containers.find(|(held, resources)| {
            let limits = (held.container.resources.limits.memory_bytes, resources.limits.memory_bytes);
            let goes_down = matches!(limits, (Some(now), Some(then)) if then < now);
            goes_down && held.working_set_bytes.is_none()
        })?;
        let container = format!("container {} of pod {}", held.container.name, self.pod.name);
        match memory_bytes_expected {
            Some(expected) if expected <= wanted.memory_bytes => None,
            Some(expected) => Some(format!(
                "a replica is expected to use {expected} bytes of memory, and is to have {}; what {container} uses is not \
                 measured",
                wanted.memory_bytes
            )),
            None => Some(format!(
                "the memory limit of {container} would go down, and nobody says what it uses: neither a metrics server, \
                 nor what the action rests on"
            )),
        }
    }

    /// Whether a container of it is restarted.
    fn restarts(&self) -> bool {
        let mut containers = self.pod.containers.iter().zip(&self.resources);
        containers.any(|(held, resources)| held.container.restarts_for(resources))
    }

    /// Whether its size is being made: its pod may not serve as it should.
    fn is_under_way(&self) -> bool {
        !self.changes() && !self.has_its_size()
    }

    fn has_its_size(&self) -> bool {
        !self.changes() && self.pod.is_in_effect() && (self.pod.is_ready || !self.pod.may_restart())
    }
}

/// What a pod's containers are to ask for.
///
/// # Errors
/// With what is in the way.
fn plan(pod: &Pod, wanted: Wanted) -> Result<Planned<'_>, String> {
    let said = |why: String| format!("pod {} cannot be resized: {why}", pod.name);
    if let Some(why) = pod.hindrance {
        return Err(said(why.to_owned()));
    }
    if pod.is_best_effort() {
        return Err(said("it asks for nothing, and its class of service must stay BestEffort".to_owned()));
    }
    let containers: Vec<_> = pod.containers.iter().map(|held| held.container.clone()).collect();
    let resources = fitted(&containers, |name| pod.is_sized(name), wanted).map_err(|unfit| said(unfit.to_string()))?;
    if !pod.keeps_its_class(&resources) {
        return Err(said("its class of service would be another one".to_owned()));
    }
    for (held, resources) in pod.containers.iter().zip(&resources) {
        let limits = (held.container.resources.limits.memory_bytes, resources.limits.memory_bytes);
        if let (Some(now), Some(then)) = limits
            && let Some(used) = held.working_set_bytes.filter(|used| then < now && then < *used)
        {
            let name = &held.container.name;
            return Err(said(format!("container {name} uses {used} bytes of memory, and {then} would be its limit")));
        }
    }
    Ok(Planned { pod, resources })
}

/// The next pod to be resized, or what is waited for; `None` once all have their size.
fn resize(workload: &Workload, planned: &[Planned<'_>], rules: &ResizeConfig) -> Option<Step> {
    let Some(next) = planned.iter().find(|planned| planned.changes()) else {
        let left = planned.iter().filter(|planned| !planned.has_its_size()).count();
        return (left > 0).then(|| wait(format!("{left} of {} pods to have their size", planned.len())));
    };
    let restarts = next.restarts();
    let is_busy = |other: &&Planned<'_>| {
        let is_disrupted = restarts && !other.pod.is_ready && other.pod.name != next.pod.name;
        other.is_under_way() || is_disrupted
    };
    let (busy, max) = (planned.iter().filter(is_busy).count(), rules.pods_max(planned.len()));
    if busy >= max {
        return Some(wait(format!("{busy} of {} pods that are being resized or do not serve", planned.len())));
    }
    Some(Step::Send(resized(workload, next.pod, next.changed())))
}

/// Why a pod's resize is not waited for any more.
fn why_stuck(pod: &Pod, decided_at: EventTime, now: EventTime) -> Option<String> {
    let name = &pod.name;
    let is_over =
        |since: &Option<EventTime>, s_max: i64| since.is_some_and(|since| since.max(decided_at).plus_s(s_max) <= now);
    match &pod.resize {
        Resize::Infeasible { why } => Some(format!("the node of pod {name} can never give it that: {why}")),
        Resize::Deferred { since, why } if is_over(since, DEFERRED_S_MAX) => {
            Some(format!("the node of pod {name} has had no room for it for {DEFERRED_S_MAX} s: {why}"))
        }
        Resize::InProgress { since, why } if is_over(since, IN_PROGRESS_S_MAX) => {
            Some(format!("the resize of pod {name} has been under way for {IN_PROGRESS_S_MAX} s: {why}"))
        }
        _ => None,
    }
}

/// What comes next where a resize is not waited for any more.
fn unstuck(facts: &Facts, planned: &[Planned<'_>], rules: &ResizeConfig, action_id: &str, why: &str) -> Step {
    let workload = &facts.workload;
    let replaces = matches!(workload.rollout, Rollout::Replaces | Rollout::Deployment { is_paused: false });
    Step::Send(if rules.on_stuck == OnStuck::Rollout && replaces {
        let mark = json!({"template": {"metadata": {"annotations": {ROLLED_FOR: action_id}}}});
        follow::template(workload, &sizes(planned), json!({}), mark)
    } else {
        follow::annotate(workload, GIVEN_UP, &format!("{action_id}: {why}"))
    })
}

/// What comes next while the pods are replaced by new ones of the size.
fn rolling(workload: &Workload, planned: &[Planned<'_>], now: EventTime) -> Step {
    if !workload.is_observed {
        return wait("the rollout of its size to begin".to_owned());
    }
    if let Some(why) = &workload.rollout_failure {
        return failed(format!("its pods were to be replaced by new ones of the size, and that failed: {why}"));
    }
    let left = planned.iter().filter(|planned| !planned.has_its_size()).count();
    if left == 0 && workload.is_rolled_out {
        return Step::Done(ActionOutcome::Applied { effective_at: now });
    }
    wait(format!("the rollout of its size, which {left} of {} pods do not have", planned.len()))
}

/// Takes back what a pod asks for and its node has no room for; `None` where no pod waits for that.
fn taken_back(facts: &Facts, wanted: Wanted) -> Option<Step> {
    let of_pod = |pod: &Pod| {
        let is_waiting = matches!(pod.resize, Resize::Deferred { .. });
        if !is_waiting || plan(pod, wanted).ok()?.changes() {
            return None;
        }
        let back = |held: &Held| held.as_granted().filter(|back| *back != held.container.resources);
        let containers = pod.containers.iter();
        let changes: Vec<_> = containers.filter_map(|held| Some((held.container.name.as_str(), back(held)?))).collect();
        (!changes.is_empty()).then(|| Step::Send(resized(&facts.workload, pod, changes)))
    };
    facts.pods.iter().find_map(of_pod)
}

/// The size of the containers that are sized, by their names.
fn sizes(planned: &[Planned<'_>]) -> Sizes {
    let of_pod = |planned: &Planned<'_>| {
        let containers = planned.pod.containers.iter().zip(&planned.resources);
        let sized = containers.filter(|(held, _)| planned.pod.is_sized(&held.container.name));
        sized.map(|(held, resources)| (held.container.name.clone(), *resources)).collect()
    };
    planned.first().map(of_pod).unwrap_or_default()
}

fn resized<'a>(workload: &Workload, pod: &Pod, changes: impl IntoIterator<Item = (&'a str, Resources)>) -> Request {
    let path = format!("{}/{}/resize", workload.pods_path, pod.name);
    let body = json!({
        "metadata": {"resourceVersion": pod.resource_version},
        "spec": {"containers": patch_of(changes)},
    });
    follow::patch(&path, STRATEGIC, body)
}

fn wait(for_what: String) -> Step {
    Step::Wait { why: format!("it is resized in place, and waits for {for_what}"), look_again_s: LOOK_AGAIN_S }
}

fn failed(why: String) -> Step {
    Step::Done(ActionOutcome::Failed { why, retryable: false })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
