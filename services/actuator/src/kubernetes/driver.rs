//! Kubernetes as something to be driven: looks objects up and makes requests; what comes next is [`scale`]'s.

use super::MECHANISMS;
use super::autoscaler::{Autoscaler, Kind};
use super::client::Client;
use super::config::{AutoscalerMode, KindConfig, KubernetesConfig};
use super::object::Object;
use super::scale::{self, Facts, Rules};
use super::target::Target;
use crate::drive::call::CallError;
use crate::drive::driver::{Aim, Driver, Standing};
use crate::drive::step::{Request, Step};
use prescale_domain::action::Mechanism;
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;

/// One cluster.
pub(super) struct KubernetesDriver {
    client: Client,
    rules: Rules,
    kinds: BTreeMap<String, KindConfig>,
}

impl KubernetesDriver {
    /// Of the client's cluster.
    pub(super) fn new(client: Client, config: &KubernetesConfig) -> Self {
        let rules = Rules { requires_annotation: config.require_annotation, autoscaler: config.autoscaler };
        Self { client, rules, kinds: config.kinds.clone() }
    }

    /// The autoscaler of a target, if there is one.
    async fn autoscaler(&self, target: &Target) -> Result<Option<Autoscaler>, CallError> {
        // A ScaledObject has a HorizontalPodAutoscaler made for it, so it is looked for first.
        for kind in [Kind::ScaledObject, Kind::HorizontalPodAutoscaler] {
            let found = match self.client.get(&kind.path(&target.namespace)).await {
                Ok(list) => Autoscaler::of(kind, &list, target),
                // The cluster has none of that kind.
                Err(CallError::Gone { .. }) => None,
                Err(error) => return Err(error),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl Driver for KubernetesDriver {
    type Facts = Facts;

    fn platform(&self) -> Platform {
        Platform::KUBERNETES
    }

    fn mechanisms(&self) -> &'static [Mechanism] {
        MECHANISMS
    }

    fn undoes_withdrawn(&self) -> bool {
        self.rules.autoscaler == AutoscalerMode::RaiseMin
    }

    async fn observe(&self, aim: &Aim) -> Result<Facts, CallError> {
        let refused = |why: String| CallError::Refused { why, retryable: false };
        let target = Target::of(aim.order.workload(), &self.kinds).map_err(refused)?;
        let seen = self.client.get(&target.path).await?;
        let scale = if target.says_its_replicas() { None } else { Some(self.client.get(&target.scale_path()).await?) };
        let object = Object::of(&seen, scale.as_ref()).map_err(refused)?;
        let is_changed = object.replicas != aim.order.action.desired.replicas;
        let autoscaler = match self.rules.autoscaler {
            AutoscalerMode::Refuse if !is_changed => None,
            AutoscalerMode::Refuse | AutoscalerMode::RaiseMin => self.autoscaler(&target).await?,
        };
        Ok(Facts { target, object, autoscaler })
    }

    fn standing(&self, facts: &Facts, aim: &Aim) -> Standing {
        scale::standing(facts, aim)
    }

    fn next(&self, facts: &Facts, aim: &Aim, now: EventTime) -> Step {
        scale::next(facts, self.rules, aim, now)
    }

    async fn send(&self, request: &Request) -> Result<(), CallError> {
        self.client.write(request).await.map(drop)
    }

    async fn check(&self, request: &Request) -> Result<(), CallError> {
        self.client.check(request).await.map(drop)
    }
}
