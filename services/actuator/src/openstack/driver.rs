//! OpenStack as something to be driven: looks servers up and makes requests; what comes next is [`plan`]'s.

use super::MECHANISMS;
use super::api::Api;
use super::group::{Demand, Facts, Room};
use super::plan::{self, Rules};
use super::server::{Deed, Flavor, Server, Status};
use crate::drive::call::CallError;
use crate::drive::driver::{Aim, Driver, Standing};
use crate::drive::step::{Request, Step};
use prescale_domain::action::Mechanism;
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use serde_json::Value;

/// One project of one cloud.
pub(super) struct OpenStackDriver {
    api: Api,
    rules: Rules,
}

impl OpenStackDriver {
    pub(super) fn new(api: Api, rules: Rules) -> Self {
        Self { api, rules }
    }

    /// All servers of the project: Nova lets no user ask for those with some metadata, and does not say so.
    async fn all(&self) -> Result<Vec<Server>, CallError> {
        read(&self.api.list("/servers/detail", "servers").await?)
    }

    /// Of these the servers of a workload, the oldest first, with the record of those that are marked.
    async fn of_workload(&self, all: &[Server], workload: &str) -> Result<Vec<Server>, CallError> {
        let is_of_it = |server: &&Server| server.workload.as_deref() == Some(workload);
        let mut servers: Vec<Server> = all.iter().filter(is_of_it).cloned().collect();
        for server in servers.iter_mut().filter(|server| server.mark.is_some()) {
            server.record = record(&self.api, &server.id).await?;
        }
        servers.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        Ok(servers)
    }

    async fn flavors(&self) -> Result<Vec<Flavor>, CallError> {
        let shown = self.api.list("/flavors/detail", "flavors").await?;
        Ok(shown.iter().filter_map(Flavor::read).collect())
    }

    /// What the project may still have beside the resizes that are under way: Nova counts them only when they are through.
    async fn room(&self, all: &[Server], flavors: &[Flavor]) -> Result<Room, CallError> {
        let room = Room::read(&self.api.get("/limits").await?);
        let under_way = all.iter().filter(|server| server.status == Status::Resize).filter_map(|server| {
            let mark = server.mark.as_ref().filter(|mark| mark.flavor != server.flavor.name)?;
            let to = flavors.iter().find(|flavor| flavor.name == mark.flavor)?;
            Some(Demand::of_resize(&server.flavor, to))
        });
        Ok(room.without(under_way.fold(Demand::default(), Demand::and)))
    }

    /// Ids of the networks that a server is on.
    async fn networks(&self, server: &str) -> Result<Vec<String>, CallError> {
        let shown = self.api.get(&format!("/servers/{server}/os-interface")).await?;
        let interfaces = shown["interfaceAttachments"].as_array().into_iter().flatten();
        let mut networks: Vec<String> =
            interfaces.filter_map(|interface| interface["net_id"].as_str().map(str::to_owned)).collect();
        networks.dedup();
        Ok(networks)
    }
}

impl Driver for OpenStackDriver {
    type Facts = Facts;

    fn platform(&self) -> Platform {
        Platform::OPENSTACK
    }

    fn mechanisms(&self) -> &'static [Mechanism] {
        MECHANISMS
    }

    fn undoes_withdrawn(&self) -> bool {
        true
    }

    async fn observe(&self, aim: &Aim) -> Result<Facts, CallError> {
        let (action, workload) = (&aim.order.action, aim.order.workload().as_str());
        let all = self.all().await?;
        let mut facts = Facts {
            servers: self.of_workload(&all, workload).await?,
            flavors: Vec::new(),
            room: Room::default(),
            networks: Vec::new(),
        };
        let grows = facts.members().count() < action.desired.replicas as usize;
        if action.is_withdrawal() || (!grows && action.mechanism == Mechanism::Replicas) {
            return Ok(facts);
        }
        facts.flavors = self.flavors().await?;
        facts.room = self.room(&all, &facts.flavors).await?;
        let is_configured = self.rules.groups.get(workload).is_some_and(|group| !group.config.networks.is_empty());
        if let Some(pattern) = facts.pattern().filter(|_| !is_configured) {
            facts.networks = self.networks(&pattern.id).await?;
        }
        Ok(facts)
    }

    fn standing(&self, facts: &Facts, aim: &Aim) -> Standing {
        plan::standing(facts, &self.rules, aim)
    }

    fn next(&self, facts: &Facts, aim: &Aim, now: EventTime) -> Step {
        plan::next(facts, &self.rules, aim, now)
    }

    async fn send(&self, request: &Request) -> Result<(), CallError> {
        self.api.write(request).await
    }

    /// Dry runs end before: Nova has no way to ask.
    async fn check(&self, _: &Request) -> Result<(), CallError> {
        Err(CallError::Refused { why: "OpenStack takes no dry runs".to_owned(), retryable: false })
    }
}

/// All servers of a project that wait for the end of a resize, or came to nothing, and that nobody has touched since `until`;
/// with their record.
///
/// # Errors
/// As [`CallError`] tells them apart.
pub(super) async fn untouched(api: &Api, until: &str) -> Result<Vec<Server>, CallError> {
    let mut found = Vec::new();
    for (status, name) in [(Status::VerifyResize, "VERIFY_RESIZE"), (Status::Error, "ERROR")] {
        let shown = api.list(&format!("/servers/detail?status={name}"), "servers").await?;
        let is_old = |server: &&Value| server["updated"].as_str().is_some_and(|updated| updated < until);
        let old: Vec<Value> = shown.iter().filter(is_old).cloned().collect();
        for mut server in read(&old)? {
            // A workload has to be named, else it is none of ours.
            if server.status == status && server.workload.is_some() {
                if server.mark.is_some() {
                    server.record = record(api, &server.id).await?;
                }
                found.push(server);
            }
        }
    }
    Ok(found)
}

fn read(shown: &[Value]) -> Result<Vec<Server>, CallError> {
    let servers: Result<Vec<Server>, String> = shown.iter().map(Server::read).collect();
    servers.map_err(|why| CallError::Unavailable { why })
}

async fn record(api: &Api, server: &str) -> Result<Vec<Deed>, CallError> {
    match api.get(&format!("/servers/{server}/os-instance-actions")).await {
        Ok(shown) => Ok(Deed::read_all(&shown, &api.user())),
        // It was removed meanwhile.
        Err(CallError::Gone { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
