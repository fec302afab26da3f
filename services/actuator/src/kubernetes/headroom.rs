//! Room on nodes for replicas that an autoscaler will add, where it owns their number and is left alone. Pure.
//!
//! Who forecasts knows of an increase before the autoscaler does, and nodes take minutes. So the node layer is asked for as
//! much room as the replicas that are missing need: by a CapacityBuffer, which Karpenter and the cluster autoscaler keep
//! free, or by pods that do nothing and make way for any other. The room goes when the replicas are there, or when the action
//! is void. Where this process makes the replicas itself there is none: they ask for their nodes themselves.

use super::target::Target;
use crate::drive::order::Order;
use crate::drive::step::{Method, Request, Step};
use prescale_domain::time::EventTime;
use prescale_kubernetes::quantity::{of_bytes, of_millis};
use prescale_kubernetes::resources::Resources;
use serde_json::{Map, Value, json};

/// The group of CapacityBuffer.
pub(super) const BUFFER_GROUP: &str = "/apis/autoscaling.x-k8s.io";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const MANAGER: &str = "prescale";
/// Id of the action that has asked for the room.
const ACTION: &str = "prescale.io/action";
/// Until when it is kept, in milliseconds since the Unix epoch.
const UNTIL: &str = "prescale.io/until-ms";
/// Placeholders are of this class, which has a priority below zero.
const PRIORITY_CLASS: &str = "prescale-placeholder";
const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";
/// What a placeholder takes of the workload's template, so that it is placed as its pods are.
const PLACED_BY: [&str; 5] = ["nodeSelector", "affinity", "tolerations", "runtimeClassName", "schedulerName"];
const LOOK_AGAIN_S: u32 = 10;

/// The room of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Headroom {
    /// The object by which it is kept, as it is to be, without metadata.
    object: Value,
    /// Path of objects of its kind in the namespace.
    path: String,
    name: String,
    /// The workload that it is of, which takes it along when it goes.
    owner: Value,
    kept: Option<Kept>,
}

/// Room as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    resource_version: String,
    action_id: String,
    until_ms: i64,
    replicas: i64,
}

impl Headroom {
    /// By a CapacityBuffer of that version of its group, for replicas of the workload that an object is.
    pub(super) fn by_buffer(target: &Target, workload: &Value, version: &str) -> Self {
        let reference = json!({"apiGroup": target.group, "kind": target.kind, "name": target.name});
        let object = json!({
            "apiVersion": format!("{}/{version}", BUFFER_GROUP.trim_start_matches("/apis/")),
            "kind": "CapacityBuffer",
            "spec": {"provisioningStrategy": "buffer.x-k8s.io/active-capacity", "scalableRef": reference},
        });
        let path = format!("{BUFFER_GROUP}/{version}/namespaces/{}/capacitybuffers", target.namespace);
        Self::of(target, workload, object, path)
    }

    /// By placeholders that take as much as a replica of the workload that an object is; `None` where that asks for nothing.
    pub(super) fn by_placeholders(target: &Target, workload: &Value) -> Option<Self> {
        let template = &workload["spec"]["template"]["spec"];
        let requests = requests(template)?;
        let mut spec = Map::new();
        for field in PLACED_BY {
            if !template[field].is_null() {
                spec.insert(field.to_owned(), template[field].clone());
            }
        }
        let container = json!({
            "name": "placeholder",
            "image": PAUSE_IMAGE,
            "resources": {"requests": requests},
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
                "runAsNonRoot": true, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"},
            },
        });
        spec.insert("containers".to_owned(), json!([container]));
        spec.insert("priorityClassName".to_owned(), json!(PRIORITY_CLASS));
        spec.insert("terminationGracePeriodSeconds".to_owned(), json!(0));
        spec.insert("automountServiceAccountToken".to_owned(), json!(false));
        let labels = json!({"prescale.io/placeholder-for": workload["metadata"]["uid"]});
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", target.namespace);
        Some(Self::of(target, workload, object, path))
    }

    fn of(target: &Target, workload: &Value, object: Value, path: String) -> Self {
        let owner = json!({
            "apiVersion": workload["apiVersion"],
            "kind": target.kind,
            "name": target.name,
            "uid": workload["metadata"]["uid"],
        });
        Self { object, path, name: name_of(target), owner, kept: None }
    }

    /// Path of the object that keeps it.
    pub(super) fn object_path(&self) -> String {
        format!("{}/{}", self.path, self.name)
    }

    /// With what that object is by now; `None` where it is not there. One that somebody else has made is none.
    pub(super) fn seen(self, object: Option<&Value>) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let is_own = |object: &&Value| object["metadata"]["labels"][MANAGED_BY] == MANAGER;
        let kept = object.filter(is_own).map(|object| {
            let (metadata, annotations) = (&object["metadata"], &object["metadata"]["annotations"]);
            Kept {
                resource_version: text(&metadata["resourceVersion"]),
                action_id: text(&annotations[ACTION]),
                until_ms: text(&annotations[UNTIL]).parse().unwrap_or(0),
                replicas: object["spec"]["replicas"].as_i64().unwrap_or(0),
            }
        });
        Self { kept, ..self }
    }

    /// What comes next so that there is room for so many further replicas, until `until`; `None` where there is none, and none
    /// is to be made. It is made once for an action: not again where it was asked for before and is gone.
    pub(super) fn next(
        &self,
        missing: u32,
        order: &Order,
        was_sent: bool,
        (now, until): (EventTime, EventTime),
    ) -> Option<Step> {
        let wait = || Step::Wait {
            why: format!(
                "there is to be room on nodes for {missing} further replicas, which its autoscaler has not added"
            ),
            look_again_s: LOOK_AGAIN_S,
        };
        let is_wanted = missing > 0 && now < until;
        Some(match &self.kept {
            Some(kept) if !is_wanted || (kept.action_id == **order.id() && kept.until_ms <= now.as_ms()) => {
                Step::TidyUp(self.removal(kept))
            }
            Some(kept) if kept.action_id != **order.id() || kept.replicas != i64::from(missing) => {
                Step::Send(self.change(kept, missing, order, until))
            }
            Some(_) => wait(),
            None if is_wanted && !was_sent => Step::Send(self.making(missing, order, until)),
            None => return None,
        })
    }

    /// What takes it away, where it is there.
    pub(super) fn gone(&self) -> Option<Step> {
        self.kept.as_ref().map(|kept| Step::TidyUp(self.removal(kept)))
    }

    fn making(&self, replicas: u32, order: &Order, until: EventTime) -> Request {
        let mut object = self.object.clone();
        object["metadata"] = json!({
            "name": self.name,
            "labels": {MANAGED_BY: MANAGER},
            "annotations": said(order, until),
            "ownerReferences": [self.owner],
        });
        object["spec"]["replicas"] = json!(replicas);
        Request { method: Method::Post, path: self.path.clone(), content_type: "application/json", body: object }
    }

    fn change(&self, kept: &Kept, replicas: u32, order: &Order, until: EventTime) -> Request {
        // A patch says when room of the same action ends as it was said first.
        let until = if kept.action_id == **order.id() { EventTime::from_ms(kept.until_ms) } else { until };
        let metadata = json!({"resourceVersion": kept.resource_version, "annotations": said(order, until)});
        Request {
            method: Method::Patch,
            path: self.object_path(),
            content_type: "application/merge-patch+json",
            body: json!({"metadata": metadata, "spec": {"replicas": replicas}}),
        }
    }

    fn removal(&self, kept: &Kept) -> Request {
        Request {
            method: Method::Delete,
            path: self.object_path(),
            content_type: "application/json",
            body: json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"resourceVersion": kept.resource_version},
            }),
        }
    }
}

fn said(order: &Order, until: EventTime) -> Value {
    json!({ACTION: **order.id(), UNTIL: until.as_ms().to_string()})
}

fn name_of(target: &Target) -> String {
    format!("prescale-{}-{}", target.kind.to_lowercase(), target.name)
}

/// What the containers of a template request together; `None` where that is nothing, or cannot be read.
fn requests(template: &Value) -> Option<Value> {
    let containers = template["containers"].as_array()?;
    let all: Vec<Resources> =
        containers.iter().map(|c| Resources::read(&c["resources"]).ok()).collect::<Option<_>>()?;
    let asked = || all.iter().map(|resources| resources.requests.or(resources.limits));
    let cpu = asked().filter_map(|amounts| amounts.cpu_millis).fold(0, u64::saturating_add);
    let memory = asked().filter_map(|amounts| amounts.memory_bytes).fold(0, u64::saturating_add);
    (cpu > 0 || memory > 0).then(|| json!({"cpu": of_millis(cpu), "memory": of_bytes(memory)}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::testing::{aim, target};

    fn workload() -> Value {
        let container =
            json!({"name": "app", "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "1Gi"}}});
        let spec =
            json!({"containers": [container, container], "nodeSelector": {"pool": "web"}, "serviceAccountName": "web"});
        json!({"apiVersion": "apps/v1", "metadata": {"uid": "u1"}, "spec": {"template": {"spec": spec}}})
    }

    fn of_buffer() -> Headroom {
        Headroom::by_buffer(&target(), &workload(), "v1beta1")
    }

    fn order() -> Order {
        Order::clone(&aim(1, 4).order)
    }

    fn with_id(order: &Order, id: &str) -> Order {
        let mut other = order.clone();
        other.envelope.id = id.into();
        other
    }

    fn at(s: i64) -> (EventTime, EventTime) {
        (EventTime::from_s(s), EventTime::from_s(900))
    }

    fn sent(step: Option<Step>) -> Request {
        match step {
            Some(Step::Send(request)) => request,
            other => panic!("{other:?} sends nothing"),
        }
    }

    /// What is there after a request that makes it.
    fn made(request: &Request) -> Value {
        let mut object = request.body.clone();
        object["metadata"]["resourceVersion"] = json!("7");
        object
    }

    #[test]
    fn a_buffer_has_as_many_units_as_replicas_are_missing_and_goes_when_they_are_there() {
        let (headroom, action) = (of_buffer(), order());
        let request = sent(headroom.next(3, &action, false, at(10)));
        assert_eq!(request.path, "/apis/autoscaling.x-k8s.io/v1beta1/namespaces/shop/capacitybuffers");
        assert_eq!(
            request.body["spec"]["scalableRef"],
            json!({"apiGroup": "apps", "kind": "Deployment", "name": "web"})
        );
        assert_eq!(
            (&request.body["spec"]["replicas"], &request.body["apiVersion"]),
            (&json!(3), &json!("autoscaling.x-k8s.io/v1beta1"))
        );
        assert_eq!(request.body["metadata"]["ownerReferences"][0]["uid"], "u1");
        let headroom = headroom.seen(Some(&made(&request)));
        assert!(matches!(headroom.next(3, &action, true, at(20)), Some(Step::Wait { .. })));
        let fewer = sent(headroom.next(1, &action, true, at(20)));
        assert_eq!((fewer.method, &fewer.body["spec"]["replicas"]), (Method::Patch, &json!(1)));
        assert_eq!(fewer.body["metadata"]["resourceVersion"], "7");
        let Some(Step::TidyUp(removal)) = headroom.next(0, &action, true, at(20)) else { panic!("it stays") };
        assert_eq!((removal.method, &removal.body["preconditions"]["resourceVersion"]), (Method::Delete, &json!("7")));
        assert_eq!(
            removal.path,
            "/apis/autoscaling.x-k8s.io/v1beta1/namespaces/shop/capacitybuffers/prescale-deployment-web"
        );
        assert_eq!(headroom.gone(), Some(Step::TidyUp(removal)));
        let mut of_others = made(&request);
        of_others["metadata"]["labels"] = Value::Null;
        assert_eq!(of_buffer().seen(Some(&of_others)).gone(), None);
    }

    #[test]
    fn it_goes_with_its_time_and_is_not_made_again() {
        let (headroom, action) = (of_buffer(), order());
        let request = sent(headroom.next(3, &action, false, (EventTime::from_s(10), EventTime::from_s(300))));
        let kept = headroom.clone().seen(Some(&made(&request)));
        assert!(matches!(kept.next(3, &action, true, at(299)), Some(Step::Wait { .. })));
        assert!(matches!(kept.next(3, &action, true, at(300)), Some(Step::TidyUp(_))));
        assert!(matches!(kept.next(3, &action, true, at(900)), Some(Step::TidyUp(_))), "it is void");
        assert_eq!(headroom.next(3, &action, true, at(301)), None, "it was there for its time");
        assert_eq!(headroom.next(0, &action, false, at(10)), None);
        assert_eq!((headroom.next(3, &action, false, at(900)), headroom.gone()), (None, None));
        let newer = with_id(&order(), "newer");
        let taken_over = sent(kept.next(5, &newer, false, at(301)));
        assert_eq!(taken_over.body["metadata"]["annotations"][ACTION], **newer.id());
        assert_eq!(taken_over.body["metadata"]["annotations"][UNTIL], "900000");
    }

    #[test]
    fn placeholders_take_as_much_as_a_replica_where_its_pods_would_be_placed() {
        let headroom = Headroom::by_placeholders(&target(), &workload()).unwrap();
        let request = sent(headroom.next(2, &order(), false, at(10)));
        assert_eq!(request.path, "/apis/apps/v1/namespaces/shop/deployments");
        let pod = &request.body["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["resources"], json!({"requests": {"cpu": "500m", "memory": "2Gi"}}));
        assert_eq!(
            (&pod["nodeSelector"], &pod["priorityClassName"]),
            (&json!({"pool": "web"}), &json!(PRIORITY_CLASS))
        );
        assert!(pod["serviceAccountName"].is_null(), "it is none of the workload's");
        assert_eq!(
            request.body["spec"]["selector"]["matchLabels"],
            request.body["spec"]["template"]["metadata"]["labels"]
        );
        let nothing = json!({"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}});
        assert_eq!(Headroom::by_placeholders(&target(), &nothing), None);
    }
}
