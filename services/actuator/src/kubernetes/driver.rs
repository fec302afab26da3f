//! Kubernetes as something to be driven: looks objects up and makes requests; what comes next is [`scale`]'s, or [`limits`]'.

use super::MECHANISMS;
use super::autoscaler::{Autoscaler, Kind};
use super::client::Client;
use super::config::{AutoscalerMode, KindConfig, KubernetesConfig, NodeHeadroom};
use super::headroom::{BUFFER_GROUP, Headroom};
use super::limits;
use super::object::Object;
use super::scale::{self, Facts, Rules};
use super::target::Target;
use crate::drive::call::CallError;
use crate::drive::driver::{Aim, Driver, Standing};
use crate::drive::step::{Request, Step};
use crate::in_place::{self, PAUSED_FOR, Shown};
use prescale_domain::action::Mechanism;
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use prescale_kubernetes::selector::encoded;
use serde_json::Value;
use std::collections::BTreeMap;

/// One cluster.
pub(super) struct KubernetesDriver {
    client: Client,
    rules: Rules,
    sizing: limits::Rules,
    headroom: NodeHeadroom,
    kinds: BTreeMap<String, KindConfig>,
}

/// What the server shows of a workload.
pub(super) struct Seen {
    replicas: Facts,
    /// Its pods, where they are sized or were left half done.
    pods: Option<in_place::Facts>,
}

impl KubernetesDriver {
    /// Of the client's cluster.
    pub(super) fn new(client: Client, config: &KubernetesConfig) -> Self {
        let requires_annotation = config.require_annotation;
        // Room has gone before what the cluster has taken counts as failed.
        let rules = Rules { requires_annotation, autoscaler: config.autoscaler, room_s: config.settle_s / 4 * 3 };
        let sizing = limits::Rules { requires_annotation, resize: config.resize };
        Self { client, rules, sizing, headroom: config.node_headroom, kinds: config.kinds.clone() }
    }

    /// The pods of an object; what they use as well, where that matters and is measured.
    async fn pods(
        &self,
        target: &Target,
        object: &Value,
        scale: Option<&Value>,
        uses: bool,
    ) -> Result<in_place::Facts, CallError> {
        let selector = limits::selector(object, scale).ok_or_else(|| refused("it selects no pods".to_owned()))?;
        let query = format!("?labelSelector={}", encoded(&selector));
        let pods_path = target.pods_path();
        let pods = self.client.get(&format!("{pods_path}{query}")).await?;
        let sets = match target.replica_sets_path() {
            Some(path) => Some((self.client.get(&format!("{path}{query}")).await?, path)),
            None => None,
        };
        // There need not be any who measures.
        let metrics =
            if uses { self.client.get(&format!("{}{query}", target.metrics_path())).await.ok() } else { None };
        let shown = Shown {
            object,
            kind: &target.kind,
            path: &target.path,
            pods: (&pods, &pods_path),
            replica_sets: sets.as_ref().map(|(list, path)| (list, path.as_str())),
            metrics: metrics.as_ref(),
        };
        in_place::Facts::read(&shown).map_err(|error| refused(format!("{error:#}")))
    }

    /// The room that is kept for a target on nodes, or may be asked for.
    async fn headroom(&self, target: &Target, object: &Value) -> Result<Option<Headroom>, CallError> {
        let room = match self.headroom {
            NodeHeadroom::Off => None,
            NodeHeadroom::Placeholder => Headroom::by_placeholders(target, object),
            NodeHeadroom::Buffer => {
                let group = found(self.client.get(BUFFER_GROUP).await)?;
                let version = group.as_ref().and_then(|group| group["preferredVersion"]["version"].as_str());
                version.map(|version| Headroom::by_buffer(target, object, version))
            }
        };
        let Some(room) = room else { return Ok(None) };
        let kept = found(self.client.get(&room.object_path()).await)?;
        Ok(Some(room.seen(kept.as_ref())))
    }

    /// The autoscaler of a target, if there is one.
    async fn autoscaler(&self, target: &Target) -> Result<Option<Autoscaler>, CallError> {
        // A ScaledObject has a HorizontalPodAutoscaler made for it, so it is looked for first.
        for kind in [Kind::ScaledObject, Kind::HorizontalPodAutoscaler] {
            // The cluster may have none of that kind.
            let list = found(self.client.get(&kind.path(&target.namespace)).await)?;
            let autoscaler = list.and_then(|list| Autoscaler::of(kind, &list, target));
            if autoscaler.is_some() {
                return Ok(autoscaler);
            }
        }
        Ok(None)
    }
}

impl Driver for KubernetesDriver {
    type Facts = Seen;

    fn platform(&self) -> Platform {
        Platform::KUBERNETES
    }

    fn mechanisms(&self) -> &'static [Mechanism] {
        MECHANISMS
    }

    fn undoes_withdrawn(&self) -> bool {
        true
    }

    async fn observe(&self, aim: &Aim) -> Result<Seen, CallError> {
        let target = Target::of(aim.order.workload(), &self.kinds).map_err(refused)?;
        let seen = self.client.get(&target.path).await?;
        let scale = if target.says_its_replicas() { None } else { Some(self.client.get(&target.scale_path()).await?) };
        let object = Object::of(&seen, scale.as_ref()).map_err(refused)?;
        let (sizes, action) = (is_sizing(aim), &aim.order.action);
        let is_less = action.desired.memory_bytes_per_replica < action.current.memory_bytes_per_replica;
        let pods = if sizes || object.annotations.contains_key(PAUSED_FOR) {
            Some(self.pods(&target, &seen, scale.as_ref(), sizes && is_less).await?)
        } else {
            None
        };
        let is_changed = object.replicas != action.desired.replicas;
        let autoscaler = match self.rules.autoscaler {
            // It is asked for before anything is sent.
            _ if sizes && aim.sent_from.is_some() => None,
            _ if sizes => self.autoscaler(&target).await?,
            AutoscalerMode::Refuse if !is_changed => None,
            AutoscalerMode::Refuse | AutoscalerMode::RaiseMin => self.autoscaler(&target).await?,
        };
        let headroom = if sizes { None } else { self.headroom(&target, &seen).await? };
        Ok(Seen { replicas: Facts { target, object, autoscaler, headroom }, pods })
    }

    fn standing(&self, Seen { replicas, pods }: &Seen, aim: &Aim) -> Standing {
        match pods {
            Some(pods) if is_sizing(aim) => limits::standing(&replicas.object, pods, aim),
            _ => scale::standing(replicas, aim),
        }
    }

    fn next(&self, Seen { replicas, pods }: &Seen, aim: &Aim, now: EventTime) -> Step {
        match pods {
            Some(pods) if is_sizing(aim) => limits::next(replicas, pods, self.sizing, aim, now),
            pods => {
                let left = pods.as_ref().filter(|_| !aim.order.action.dry_run).and_then(in_place::finished);
                left.unwrap_or_else(|| scale::next(replicas, self.rules, aim, now))
            }
        }
    }

    async fn send(&self, request: &Request) -> Result<(), CallError> {
        self.client.write(request).await.map(drop)
    }

    async fn check(&self, request: &Request) -> Result<(), CallError> {
        self.client.check(request).await.map(drop)
    }
}

fn is_sizing(aim: &Aim) -> bool {
    aim.order.action.mechanism == Mechanism::Limits
}

fn refused(why: String) -> CallError {
    CallError::Refused { why, retryable: false }
}

/// What was asked for; `None` where the server has no such thing.
fn found(answer: Result<Value, CallError>) -> Result<Option<Value>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
