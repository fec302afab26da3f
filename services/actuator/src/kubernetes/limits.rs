//! What comes next for the size of an object's pods. Pure; how they are sized is [`in_place`]'s.

use super::object::Object;
use super::scale;
use crate::drive::driver::{Aim, Standing};
use crate::drive::step::Step;
use crate::in_place::config::ResizeConfig;
use crate::in_place::{self, Facts, Goal, Wanted};
use prescale_domain::action::{Action, ActionOutcome};
use prescale_domain::kpi::MEMORY_BYTES;
use prescale_domain::time::EventTime;
use prescale_kubernetes::selector::text_of;
use serde_json::Value;

/// The selector of the pods of an object, by itself or by its `scale`; `None` where neither says.
pub(super) fn selector(object: &Value, scale: Option<&Value>) -> Option<String> {
    let of_scale = || scale?["status"]["selector"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    text_of(&object["spec"]["selector"]).or_else(of_scale)
}

/// How far the pods of an object are from what an action asks for.
pub(super) fn standing(object: &Object, pods: &Facts, aim: &Aim) -> Standing {
    Standing {
        is_taken: in_place::is_taken(pods, Wanted::of(&aim.order.action.desired)),
        is_dry_run: object.asks_for_dry_runs(),
        mark: object.mark(),
        capacity: in_place::capacity(pods),
    }
}

/// By what rules pods are sized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) requires_annotation: bool,
    pub(super) resize: ResizeConfig,
}

/// What comes next.
pub(super) fn next(replicas: &scale::Facts, pods: &Facts, rules: Rules, aim: &Aim, now: EventTime) -> Step {
    let scale::Facts { target, object, autoscaler, .. } = replicas;
    let (order, wanted) = (aim.order.as_ref(), Wanted::of(&aim.order.action.desired));
    if let Some(why) = order.withdrawn_for() {
        return in_place::settled(pods, wanted).unwrap_or(Step::Done(ActionOutcome::Superseded { why }));
    }
    if now >= order.valid_until()
        && let Some(step) = in_place::settled(pods, wanted)
    {
        return step;
    }
    let by_requests = autoscaler.as_ref().filter(|autoscaler| autoscaler.goes_by_requests).map(|autoscaler| {
        format!("{} goes by the share that is used of what its pods request, and would answer", autoscaler.name())
    });
    if let Some(why) = object.forbids_all(rules.requires_annotation).or(by_requests) {
        let why = format!("{} {} is left as it is: {why}", target.kind, target.name);
        return Step::Done(ActionOutcome::Failed { why, retryable: false });
    }
    let (decided_at, valid_until) = (order.action.decided_at, order.valid_until());
    let memory_bytes_expected = memory_bytes_expected(&order.action);
    let goal = Goal { wanted, memory_bytes_expected, action_id: order.id(), decided_at, valid_until };
    in_place::next(pods, goal, &rules.resize, now)
}

/// What each replica uses of memory at most, in bytes, by the forecast that an action rests on.
fn memory_bytes_expected(action: &Action) -> Option<u64> {
    let of_memory = action.evidence.iter().find(|evidence| &*evidence.resource == MEMORY_BYTES)?;
    Some((of_memory.upper / f64::from(action.desired.replicas.max(1))).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_place::Shown;
    use crate::kubernetes::autoscaler::{Autoscaler, Kind};
    use crate::kubernetes::testing::{NOW, aim, deployment, facts, target, with_action, withdrawal};
    use prescale_domain::action::Mechanism;
    use serde_json::json;

    const RULES: Rules = Rules {
        requires_annotation: true,
        resize: ResizeConfig {
            on_stuck: crate::in_place::config::OnStuck::GiveUp,
            template: crate::in_place::config::TemplateRule::Leave,
            pods_share_max: 1.0,
        },
    };

    /// One pod that asks for so many millicores, and waits for room if it is so.
    fn pods(millis: u64, waits: bool) -> Facts {
        let limits = json!({"cpu": format!("{millis}m"), "memory": "4000000000"});
        let has = json!({"cpu": "500m", "memory": "4000000000"});
        let container = json!({"name": "app", "resources": {"requests": limits, "limits": limits}});
        let pending =
            json!({"type": "PodResizePending", "status": if waits { "True" } else { "False" }, "reason": "Deferred"});
        let status = json!({"name": "app", "allocatedResources": has, "resources": {"requests": has, "limits": has}});
        let owners = json!([{"controller": true, "uid": "set"}]);
        let pod = json!({
            "metadata": {"name": "web-1", "resourceVersion": "5", "ownerReferences": owners},
            "spec": {"nodeName": "n", "containers": [container]},
            "status": {"containerStatuses": [status], "conditions": [pending]},
        });
        let mut object = deployment(1);
        object["spec"]["template"] = json!({"spec": {"containers": [container]}});
        let owners = json!([{"controller": true, "uid": "u-1"}]);
        let metadata = json!({"name": "web", "uid": "set", "resourceVersion": "6", "ownerReferences": owners});
        let sets = json!({"items": [{"metadata": metadata, "spec": object["spec"]}]});
        let shown = Shown {
            object: &object,
            kind: "Deployment",
            path: "/web",
            pods: (&json!({"items": [pod]}), "/pods"),
            replica_sets: Some((&sets, "/sets")),
            metrics: None,
        };
        Facts::read(&shown).unwrap()
    }

    fn sizes(cpu_cores: f64) -> Aim {
        with_action(&aim(1, 1), |action| {
            action.mechanism = Mechanism::Limits;
            action.desired.cpu_cores_per_replica = cpu_cores;
        })
    }

    fn step(pods: &Facts, aim: &Aim, now: EventTime) -> Step {
        next(&facts(&deployment(1)), pods, RULES, aim, now)
    }

    #[test]
    fn pods_are_sized_as_long_as_the_action_is_valid_and_the_object_may_be_changed() {
        let wanted = sizes(0.75);
        let Step::Send(request) = step(&pods(500, false), &wanted, NOW) else { panic!("nothing is sent") };
        assert_eq!(request.path, "/pods/web-1/resize");
        let mut bare = deployment(1);
        bare["metadata"]["annotations"] = Value::Null;
        let list = json!({"items": [{
            "metadata": {"name": "web", "resourceVersion": "9"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        }]});
        let autoscaler = Autoscaler::of(Kind::HorizontalPodAutoscaler, &list, &target());
        let owned = scale::Facts { autoscaler, ..facts(&deployment(1)) };
        for left in [facts(&bare), owned] {
            let refused = next(&left, &pods(500, false), RULES, &wanted, NOW);
            assert!(matches!(refused, Step::Done(ActionOutcome::Failed { .. })), "{refused:?}");
        }
        let object = facts(&deployment(1)).object;
        let standing = |pods: &Facts| standing(&object, pods, &wanted);
        assert!(!standing(&pods(500, false)).is_taken && standing(&pods(750, false)).is_taken);
        assert_eq!(standing(&pods(500, false)).capacity.unwrap().cpu_cores_per_replica, 0.5);
    }

    #[test]
    fn what_waits_for_room_is_taken_back_when_the_action_is_withdrawn_or_void() {
        let (wanted, waiting) = (sizes(0.75), pods(750, true));
        assert!(matches!(step(&waiting, &wanted, NOW), Step::Wait { .. }));
        let void = wanted.order.valid_until();
        for (aim, now) in [(&wanted, void), (&withdrawal(&wanted), NOW)] {
            let Step::TidyUp(request) = step(&waiting, aim, now) else { panic!("it waits on") };
            assert_eq!(request.body["spec"]["containers"][0]["resources"]["limits"]["cpu"], "500m");
        }
        let withdrawn = step(&pods(500, false), &withdrawal(&wanted), NOW);
        assert!(matches!(withdrawn, Step::Done(ActionOutcome::Superseded { .. })), "{withdrawn:?}");
    }

    #[test]
    fn pods_are_those_that_the_object_selects_or_its_scale() {
        let object = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}}});
        assert_eq!(selector(&object, None).unwrap(), "app=web");
        let scale = json!({"status": {"selector": "app=web,tier in (a)"}});
        assert_eq!(selector(&json!({}), Some(&scale)).unwrap(), "app=web,tier in (a)");
        assert_eq!((selector(&json!({}), None), selector(&json!({}), Some(&json!({})))), (None, None));
    }
}
