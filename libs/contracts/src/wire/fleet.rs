//! `schemas/proposals.avsc` and `schemas/control.avsc`.

use super::action::Action;
use super::check::{self, Within};
use crate::codec;
use crate::contract::Contract;
use crate::error::ContractError;
use crate::event_types;
use crate::mirror::{Fault, Wire};
use crate::topics;
use prescale_domain::governor as domain;
use prescale_domain::governor::Said;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Proposal {
    action: Action,
    demanded: bool,
    partition: i64,
}

#[derive(Serialize, Deserialize)]
struct FleetView {
    partition: i64,
    at: i64,
    told_at: i64,
    known: i64,
    present: i64,
    lost_kpi: i64,
    step_s: i64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Effect {
    Unknown,
    Pause,
    PauseScaleIn,
    Resume,
}

impl Effect {
    fn of(effect: domain::Effect) -> Self {
        match effect {
            domain::Effect::Pause => Self::Pause,
            domain::Effect::PauseScaleIn => Self::PauseScaleIn,
            domain::Effect::Resume => Self::Resume,
        }
    }

    fn into_domain(self) -> Result<domain::Effect, Fault> {
        match self {
            Self::Unknown => Err(Fault::unknown_symbol("effect")),
            Self::Pause => Ok(domain::Effect::Pause),
            Self::PauseScaleIn => Ok(domain::Effect::PauseScaleIn),
            Self::Resume => Ok(domain::Effect::Resume),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Order {
    scope: String,
    effect: Effect,
    at: i64,
    why: String,
    by: String,
    is_repetition: bool,
}

#[derive(Serialize, Deserialize)]
struct Held {
    workload: String,
    decided_at: i64,
    proposal_id: String,
    rule: String,
    why: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FleetRecord {
    key: String,
    proposal: Option<Proposal>,
    view: Option<FleetView>,
    order: Option<Order>,
    held: Option<Held>,
}

impl Proposal {
    fn of(proposal: &domain::Proposal) -> Self {
        Self { action: Action::of(&proposal.action), demanded: proposal.demanded, partition: proposal.partition.into() }
    }

    fn check(&self) -> Result<(), Fault> {
        check::count("partition", self.partition)?;
        self.action.check().within("action")
    }

    fn into_domain(self) -> Result<domain::Proposal, Fault> {
        Ok(domain::Proposal {
            action: self.action.into_domain().within("action")?,
            demanded: self.demanded,
            partition: check::count("partition", self.partition)?,
        })
    }
}

impl FleetView {
    fn of(view: &domain::View) -> Self {
        Self {
            partition: view.partition.into(),
            at: view.at.as_ms(),
            told_at: view.told_at.as_ms(),
            known: view.known.into(),
            present: view.present.into(),
            lost_kpi: view.lost_kpi.into(),
            step_s: view.step_s.into(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::instant("told_at", self.told_at)?;
        if self.told_at < self.at {
            return Err(Fault::new("told_at", "is before at"));
        }
        if self.present > self.known {
            return Err(Fault::new("present", "is more than are known"));
        }
        if self.lost_kpi > self.present {
            return Err(Fault::new("lost_kpi", "is more than are present"));
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::View, Fault> {
        Ok(domain::View {
            partition: check::count("partition", self.partition)?,
            at: EventTime::from_ms(self.at),
            told_at: EventTime::from_ms(self.told_at),
            known: check::count("known", self.known)?,
            present: check::count("present", self.present)?,
            lost_kpi: check::count("lost_kpi", self.lost_kpi)?,
            step_s: check::positive("step_s", self.step_s)?,
        })
    }
}

impl Order {
    fn of(order: &domain::Order) -> Self {
        Self {
            scope: order.scope.to_string(),
            effect: Effect::of(order.effect),
            at: order.at.as_ms(),
            why: order.why.clone(),
            by: order.by.clone(),
            is_repetition: order.is_repetition,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::not_empty("by", &self.by)
    }

    fn into_domain(self) -> Result<domain::Order, Fault> {
        Ok(domain::Order {
            scope: domain::Scope::parse(&self.scope).map_err(|e| Fault::new("scope", e.to_string()))?,
            effect: self.effect.into_domain()?,
            at: EventTime::from_ms(self.at),
            why: self.why,
            by: self.by,
            is_repetition: self.is_repetition,
        })
    }
}

impl Held {
    fn of(held: &domain::Held) -> Self {
        Self {
            workload: held.workload.as_str().to_owned(),
            decided_at: held.decided_at.as_ms(),
            proposal_id: held.proposal_id.as_ref().to_owned(),
            rule: held.rule.as_ref().to_owned(),
            why: held.why.clone(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("decided_at", self.decided_at)?;
        check::not_empty("proposal_id", &self.proposal_id)?;
        check::not_empty("rule", &self.rule)
    }

    fn into_domain(self) -> Result<domain::Held, Fault> {
        Ok(domain::Held {
            workload: check::workload(&self.workload)?,
            decided_at: EventTime::from_ms(self.decided_at),
            proposal_id: self.proposal_id.into(),
            rule: self.rule.into(),
            why: self.why,
        })
    }
}

impl Wire for FleetRecord {
    type Domain = domain::FleetRecord;
    const RECORD: &'static str = "FleetRecord";

    fn of(record: &domain::FleetRecord) -> Self {
        let key = record.key.as_str().to_owned();
        let mut mirror = Self { key, proposal: None, view: None, order: None, held: None };
        match &record.said {
            Said::Proposal(proposal) => mirror.proposal = Some(Proposal::of(proposal)),
            Said::View(view) => mirror.view = Some(FleetView::of(view)),
            Said::Order(order) => mirror.order = Some(Order::of(order)),
            Said::Held(held) => mirror.held = Some(Held::of(held)),
        }
        mirror
    }

    fn workload(&self) -> &str {
        &self.key
    }

    fn check(&self) -> Result<(), Fault> {
        self.proposal.as_ref().map_or(Ok(()), |p| p.check().within("proposal"))?;
        self.view.as_ref().map_or(Ok(()), |view| view.check().within("view"))?;
        self.order.as_ref().map_or(Ok(()), |order| order.check().within("order"))?;
        self.held.as_ref().map_or(Ok(()), |held| held.check().within("held"))
    }

    fn into_domain(self) -> Result<domain::FleetRecord, Fault> {
        let said = match (self.proposal, self.view, self.order, self.held) {
            (Some(proposal), None, None, None) => Said::Proposal(Box::new(proposal.into_domain().within("proposal")?)),
            (None, Some(view), None, None) => Said::View(view.into_domain().within("view")?),
            (None, None, Some(order), None) => Said::Order(order.into_domain().within("order")?),
            (None, None, None, Some(held)) => Said::Held(held.into_domain().within("held")?),
            _ => {
                let problem = "not exactly one of proposal, view, order and held is set, that this build knows";
                return Err(Fault::new("key", problem));
            }
        };
        let key = WorkloadId::new(&self.key).map_err(|e| Fault::new("key", e.to_string()))?;
        Ok(domain::FleetRecord { key, said })
    }
}

impl Contract for domain::FleetRecord {
    const TOPIC: &'static str = topics::PROPOSALS;
    const EVENT_TYPE: &'static str = "io.prescale.v1.FleetRecord";

    fn event_type(&self) -> &'static str {
        match self.said {
            Said::Proposal(_) => event_types::PROPOSAL,
            Said::View(_) => event_types::FLEET_VIEW,
            Said::Order(_) => event_types::ORDER,
            Said::Held(_) => event_types::HELD,
        }
    }

    fn workload(&self) -> &WorkloadId {
        &self.key
    }

    fn at(&self) -> EventTime {
        self.at()
    }

    fn encode(&self) -> Result<Vec<u8>, ContractError> {
        codec::encode::<FleetRecord>(Self::TOPIC, self)
    }

    fn decode(framed: &[u8]) -> Result<Self, ContractError> {
        codec::decode::<FleetRecord>(Self::TOPIC, framed)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StandingOrder {
    scope: String,
    effect: Effect,
    at: i64,
    why: String,
    by: String,
}

impl Wire for StandingOrder {
    type Domain = domain::StandingOrder;
    const RECORD: &'static str = "StandingOrder";

    fn of(standing: &domain::StandingOrder) -> Self {
        let Order { scope, effect, at, why, by, .. } = Order::of(&standing.order);
        Self { scope, effect, at, why, by }
    }

    fn workload(&self) -> &str {
        &self.scope
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::not_empty("by", &self.by)
    }

    fn into_domain(self) -> Result<domain::StandingOrder, Fault> {
        let Self { scope, effect, at, why, by } = self;
        Ok(domain::StandingOrder { order: Order { scope, effect, at, why, by, is_repetition: false }.into_domain()? })
    }
}

impl Contract for domain::StandingOrder {
    const TOPIC: &'static str = topics::CONTROL;
    const EVENT_TYPE: &'static str = "io.prescale.v1.StandingOrder";

    fn workload(&self) -> &WorkloadId {
        self.order.scope.key()
    }

    fn at(&self) -> EventTime {
        self.order.at
    }

    fn encode(&self) -> Result<Vec<u8>, ContractError> {
        codec::encode::<StandingOrder>(Self::TOPIC, self)
    }

    fn decode(framed: &[u8]) -> Result<Self, ContractError> {
        codec::decode::<StandingOrder>(Self::TOPIC, framed)
    }
}
