//! Servers and actions for tests, and a Nova of a few servers that does what the real one was seen to do.

use super::group::{Facts, Room};
use super::server::{Deed, Flavor, RESIZE, RESIZE_DEED, ResizeMark, Server, Status};
use crate::drive::call::CallError;
use crate::drive::driver::Aim;
use crate::drive::order::Order;
use crate::drive::step::{Method, Request};
use prescale_chassis::audit::Place;
use prescale_domain::action::{Mechanism, Reason, Verdict};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const NOW: EventTime = EventTime::from_s(1060);

pub(super) fn flavor(name: &str, vcpus: u64) -> Flavor {
    Flavor { id: format!("id-{name}"), name: name.to_owned(), vcpus, ram_mib: 1024 * vcpus }
}

/// One of c1, c2 and c4.
fn known(name: &str) -> Flavor {
    let vcpus = name.trim_start_matches('c').parse().expect("it is one of the flavors");
    flavor(name, vcpus)
}

/// One that runs.
pub(super) fn server(id: &str, flavor: &str) -> Server {
    Server {
        id: id.to_owned(),
        status: Status::Active,
        is_busy: false,
        is_being_deleted: false,
        was_launched: true,
        is_locked: false,
        created: "2026-01-01T00:00:00Z".to_owned(),
        workload: Some("shop/web".to_owned()),
        made_by: None,
        mark: None,
        flavor: Flavor { id: String::new(), ..known(flavor) },
        image: "i-1".to_owned(),
        key_name: None,
        security_groups: Vec::new(),
        zone: String::new(),
        server_groups: Vec::new(),
        fault: None,
        record: Vec::new(),
    }
}

/// The same when an action has resized it, which waits for its confirmation.
pub(super) fn resized(server: Server, flavor: &str, action: &str) -> Server {
    let mark = ResizeMark { action: action.to_owned(), resizes: server.resizes(), flavor: flavor.to_owned() };
    let mut record = server.record.clone();
    record.insert(0, deed(RESIZE_DEED));
    let flavor = Flavor { id: String::new(), ..known(flavor) };
    Server { status: Status::VerifyResize, mark: Some(mark), flavor, record, ..server }
}

/// Something that we have done and that went well.
pub(super) fn deed(name: &str) -> Deed {
    Deed { name: name.to_owned(), is_failed: false, is_own: true }
}

pub(super) fn facts(servers: Vec<Server>) -> Facts {
    let flavors = ["c1", "c2", "c4"].map(known).to_vec();
    Facts { servers, flavors, room: Room::default(), networks: Vec::new() }
}

fn capacity((replicas, flavor): (u32, &str)) -> Capacity {
    let Flavor { vcpus, ram_mib, .. } = known(flavor);
    Capacity {
        replicas,
        cpu_cores_per_replica: vcpus as f64,
        memory_bytes_per_replica: ram_mib as f64 * 1_048_576.0,
        instance_type: Some(flavor.into()),
    }
}

/// An action from so many servers of a flavor to so many of another, as number `nth` of the log, decided at an instant and
/// valid for so long.
pub(super) fn order(from: (u32, &str), to: (u32, &str), (decided_s, valid_s): (i64, i64), nth: i64) -> Order {
    let mut input = crate::stage::tests::input(decided_s, from.0, to.0);
    let action = &mut input.value;
    action.workload = WorkloadId::new("shop/web").unwrap();
    action.platform = Platform::OPENSTACK;
    action.valid_until = action.decided_at.plus_s(valid_s);
    (action.current, action.desired) = (capacity(from), capacity(to));
    action.mechanism = if from.1 == to.1 { Mechanism::Replicas } else { Mechanism::InstanceType };
    let cores = (action.current.cpu_cores(), action.desired.cpu_cores());
    action.verdict = if cores.1 > cores.0 { Verdict::ScaleOut } else { Verdict::ScaleIn };
    input.envelope.id = format!("{nth:08}-of-the-log").into();
    Order { place: Place { partition: 0, offset: nth }, envelope: input.envelope, action: input.value }
}

/// As [`order`], decided at 1000 s.
pub(super) fn aim(from: (u32, &str), to: (u32, &str)) -> Aim {
    Aim { order: Arc::new(order(from, to, (1000, 900), 1)), sent_from: None }
}

/// The record that withdraws an action.
pub(super) fn withdrawn(of: &Order, nth: i64) -> Order {
    let why = Reason { rule: "governor.paused".into(), text: "paused".into() };
    let mut envelope = of.envelope.clone();
    envelope.id = format!("{nth:08}-of-the-log").into();
    Order { place: Place { partition: 0, offset: nth }, envelope, action: of.action.withdrawn(why) }
}

/// Its aim.
pub(super) fn withdrawal(of: &Aim) -> Aim {
    Aim { order: Arc::new(withdrawn(&of.order, 2)), sent_from: None }
}

/// A Nova with one workload. What was asked of it goes on when it is told so.
#[derive(Clone, Debug, Default)]
pub(super) struct Nova {
    pub(super) servers: Vec<Server>,
    /// Of a server that is resized the flavor that it will have, and once it has that, the one that it had.
    other_flavor: BTreeMap<String, Flavor>,
    named: usize,
    /// So many requests for new servers took effect, by action.
    pub(super) makes: BTreeMap<String, usize>,
    /// So many resizes began, by action and server.
    pub(super) resizes: BTreeMap<(String, String), usize>,
}

impl Nova {
    pub(super) fn of(servers: u32) -> Self {
        let mut nova = Self::default();
        for _ in 0..servers {
            let id = nova.name();
            nova.servers.push(server(&id, "c1"));
        }
        nova
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("s-{:04}", self.named)
    }

    pub(super) fn facts(&self) -> Facts {
        facts(self.servers.clone())
    }

    /// Takes a request in that was made for an action.
    pub(super) fn takes(&mut self, request: &Request, action: &str) -> Result<(), CallError> {
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method, parts.as_slice()) {
            (Method::Post, ["servers"]) => {
                self.makes(request, action);
                Ok(())
            }
            (Method::Delete, ["servers", id]) => {
                self.server(id)?.is_being_deleted = true;
                Ok(())
            }
            (Method::Post, ["servers", id, "metadata"]) => {
                let server = self.server(id)?;
                if server.status == Status::VerifyResize {
                    return Err(conflict("metadata of a server that waits for a confirmation"));
                }
                let written = request.body["metadata"][RESIZE].as_str().unwrap().to_owned();
                let shown = serde_json::json!({"id": "", "flavor": {"name": ""}, "metadata": {RESIZE: written}});
                server.mark = Server::read(&shown).unwrap().mark;
                Ok(())
            }
            (Method::Post, ["servers", id, "action"]) => self.acts(id, request, action),
            other => panic!("Nova knows no {other:?}"),
        }
    }

    fn makes(&mut self, request: &Request, action: &str) {
        *self.makes.entry(action.to_owned()).or_default() += 1;
        let asked = &request.body["server"];
        let name = asked["flavorRef"].as_str().unwrap().trim_start_matches("id-").to_owned();
        for _ in 0..asked["max_count"].as_u64().unwrap() {
            let id = self.name();
            let made_by = asked["metadata"]["prescale.action"].as_str().map(str::to_owned);
            let made =
                Server { status: Status::Build, is_busy: true, was_launched: false, made_by, ..server(&id, &name) };
            self.servers.push(made);
        }
    }

    fn acts(&mut self, id: &str, request: &Request, action: &str) -> Result<(), CallError> {
        let server = self.server(id)?;
        if let Some(wanted) = request.body["resize"]["flavorRef"].as_str() {
            if !server.is_settled() {
                return Err(conflict("it is not active"));
            }
            let wanted = known(wanted.trim_start_matches("id-"));
            if wanted.name == server.flavor.name {
                return Err(CallError::Refused { why: "400: it has that flavor".to_owned(), retryable: false });
            }
            server.status = Status::Resize;
            server.record.insert(0, deed(RESIZE_DEED));
            self.other_flavor.insert(id.to_owned(), Flavor { id: String::new(), ..wanted });
            *self.resizes.entry((action.to_owned(), id.to_owned())).or_default() += 1;
            return Ok(());
        }
        if request.body.get("reboot").is_some() {
            server.status = Status::Active;
            server.record.insert(0, deed("reboot"));
            return Ok(());
        }
        let name = if request.body.get("confirmResize").is_some() { "confirmResize" } else { "revertResize" };
        let is_ending = server.record.first().is_some_and(|deed| deed.name != RESIZE_DEED);
        if server.status != Status::VerifyResize || is_ending {
            return Err(conflict("400: it has not been resized"));
        }
        server.record.insert(0, deed(name));
        if name == "revertResize" {
            server.status = Status::RevertResize;
        }
        Ok(())
    }

    /// What is under way at a server goes on, or fails in one of the ways that it may.
    pub(super) fn goes_on(&mut self, which: usize, how: u8) {
        if self.servers.is_empty() {
            return;
        }
        let nth = which % self.servers.len();
        if self.servers[nth].is_being_deleted {
            self.servers.remove(nth);
            return;
        }
        let server = &mut self.servers[nth];
        let last = server.record.first().map(|deed| deed.name.clone()).unwrap_or_default();
        match (server.status, how % 8) {
            (Status::Build, 0) => {
                (server.status, server.is_busy) = (Status::Error, false);
                server.fault = Some("no host has room".to_owned());
            }
            (Status::Build, _) => {
                (server.status, server.is_busy, server.was_launched) = (Status::Active, false, true);
            }
            // There is no room: the old flavor, no fault, and nothing but the record tells.
            (Status::Resize, 0) => {
                server.status = Status::Active;
                server.record[0].is_failed = true;
            }
            (Status::Resize, 1) => {
                server.status = Status::Error;
                server.record[0].is_failed = true;
            }
            (Status::Resize, _) => {
                let other = self.other_flavor.get_mut(&server.id).expect("it is being resized");
                std::mem::swap(other, &mut server.flavor);
                server.status = Status::VerifyResize;
            }
            // A confirmation shows late.
            (Status::VerifyResize, _) if last == "confirmResize" => server.status = Status::Active,
            // Somebody else confirms.
            (Status::VerifyResize, 7) => {
                server.record.insert(0, Deed { is_own: false, ..deed("confirmResize") });
                server.status = Status::Active;
            }
            (Status::RevertResize, _) => {
                server.flavor = self.other_flavor.get(&server.id).expect("it was resized").clone();
                server.status = Status::Active;
            }
            _ => {}
        }
    }

    fn server(&mut self, id: &str) -> Result<&mut Server, CallError> {
        let found = self.servers.iter_mut().find(|server| server.id == id && !server.is_being_deleted);
        found.ok_or_else(|| conflict("404: there is no such server"))
    }
}

fn conflict(why: &str) -> CallError {
    CallError::Conflict { why: why.to_owned() }
}
