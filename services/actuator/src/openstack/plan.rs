//! What comes next for the servers of a workload. Pure.
//!
//! Servers are made by one request (for each zone), all of them or none, and bear the action's id from the beginning. A server
//! that is to be resized is first marked with the action and with how many resizes are on its record; one more on it
//! means that the resize has begun. So whoever is killed anywhere, or hears no answer, finds out by looking. Making and
//! resizing are never asked for twice from the same state; removing a server twice, or marking it twice, does no harm.

use super::config::ResizeMode;
use super::group::{Demand, Facts, Group, Template};
use super::leftovers;
use super::moves::{Move, again, failed, wait};
use super::request;
use super::server::{Flavor, RESIZE_DEED, ResizeMark, Server, Status};
use super::windows::Windows;
use crate::drive::driver::{Aim, Standing};
use crate::drive::open::shown;
use crate::drive::step::Step;
use prescale_domain::action::{ActionOutcome, Mechanism, Verdict};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Seconds until servers that are made, removed or resized are looked at again.
const LOOK_AGAIN_S: u32 = 2;
/// Seconds until what somebody else does is looked at again.
const OTHERS_LOOK_AGAIN_S: u32 = 10;
/// Seconds until what was sent and does not show is looked at again.
const UNSEEN_LOOK_AGAIN_S: u32 = 5;
const MIB: f64 = 1_048_576.0;
/// A flavor's size may differ so much from what the plan takes it for, as a share.
const SIZE_TOLERANCE: f64 = 0.01;

/// By what rules servers are changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    pub(super) resize: ResizeMode,
    pub(super) windows: Windows,
    pub(super) groups: BTreeMap<String, Group>,
}

/// How far the servers are from what an action asks for.
pub(super) fn standing(facts: &Facts, rules: &Rules, aim: &Aim) -> Standing {
    let id = &**aim.order.id();
    let is_marked = |server: &Server| server.mark.as_ref().is_some_and(|mark| mark.action == id);
    let bears = facts.servers.iter().any(|server| server.was_made_by(id) || is_marked(server));
    let next = plan(facts, rules, aim);
    Standing {
        is_taken: bears || next == Move::Finished,
        is_dry_run: false,
        mark: next.name().into(),
        capacity: Some(capacity(facts, &aim.order.action.current)),
    }
}

/// What comes next.
pub(super) fn next(facts: &Facts, rules: &Rules, aim: &Aim, now: EventTime) -> Step {
    let next = plan(facts, rules, aim);
    let is_dry_run = aim.order.action.dry_run;
    if next.restarts() && !rules.windows.has(now) {
        let why = format!("a resize restarts the guest, and is allowed {} alone", rules.windows);
        return Step::Done(ActionOutcome::Failed { why, retryable: true });
    }
    let was_sent = aim.sent_from.as_deref() == Some(&*next.name());
    if was_sent && !is_dry_run && matches!(next, Move::Make { .. } | Move::Resize { .. }) {
        let why = format!("it was asked for ({}), was not answered, and does not show", next.name());
        return Step::Wait { why, look_again_s: UNSEEN_LOOK_AGAIN_S };
    }
    let step = match next {
        Move::Make { zone, count, flavor, template } => {
            Step::Send(request::make(&aim.order, (zone, count), flavor, &template))
        }
        // A dry run shows what it is about.
        Move::Mark { server, flavor, .. } if is_dry_run => Step::Send(request::resize(server, flavor)),
        Move::Mark { server, mark, .. } => Step::Send(request::mark(server, &mark)),
        Move::Resize { server, flavor } => Step::Send(request::resize(server, flavor)),
        Move::Remove(server) => Step::Send(request::remove(&server.id)),
        Move::Clear(server) => Step::TidyUp(request::remove(&server.id)),
        Move::Confirm(server) => Step::TidyUp(request::confirm(&server.id)),
        Move::Revert(server) => Step::TidyUp(request::revert(&server.id)),
        Move::Revive(server) => Step::TidyUp(request::revive(&server.id)),
        Move::Wait { why, look_again_s } => Step::Wait { why, look_again_s },
        Move::Finished => Step::Done(ActionOutcome::Applied { effective_at: now }),
        Move::Ended(outcome) => Step::Done(outcome),
    };
    match step {
        // Nova has no way to ask whether it would take a request.
        Step::Send(request) | Step::TidyUp(request) if is_dry_run => {
            Step::Done(ActionOutcome::DryRun { request: Some(shown(&request, None)), said: None })
        }
        step => step,
    }
}

/// Capacity that there is; of its size where all servers have the same.
fn capacity(facts: &Facts, current: &Capacity) -> Capacity {
    let replicas = u32::try_from(facts.members().count()).unwrap_or(u32::MAX);
    let Some(flavor) = facts.members().next().map(|server| &server.flavor) else {
        return Capacity { replicas, ..current.clone() };
    };
    if facts.members().any(|server| server.flavor != *flavor) {
        return Capacity { replicas, ..current.clone() };
    }
    Capacity {
        replicas,
        cpu_cores_per_replica: flavor.vcpus as f64,
        memory_bytes_per_replica: flavor.ram_mib as f64 * MIB,
        instance_type: Some(flavor.name.as_str().into()),
    }
}

fn plan<'a>(facts: &'a Facts, rules: &'a Rules, aim: &Aim) -> Move<'a> {
    let action = &aim.order.action;
    if !action.dry_run
        && let Some(leftover) = leftovers::next(facts, aim)
    {
        return leftover;
    }
    if let Some(why) = aim.order.withdrawn_for() {
        return Move::Ended(ActionOutcome::Superseded { why });
    }
    let group = rules.groups.get(aim.order.workload().as_str());
    Planned { facts, rules, aim, group, wanted: wanted(aim) }.next()
}

/// The flavor that all servers are to have, where the action is about that.
fn wanted(aim: &Aim) -> Option<&str> {
    let action = &aim.order.action;
    let is_about_it = action.mechanism == Mechanism::InstanceType;
    action.desired.instance_type.as_deref().filter(|_| is_about_it)
}

struct Planned<'a, 'b> {
    facts: &'a Facts,
    rules: &'a Rules,
    aim: &'b Aim,
    group: Option<&'a Group>,
    wanted: Option<&'b str>,
}

impl<'a> Planned<'a, '_> {
    fn next(&self) -> Move<'a> {
        let desired = self.aim.order.action.desired.replicas as usize;
        let members: Vec<&Server> = self.facts.members().collect();
        let ends = self.refused(&members).or_else(|| self.broken()).or_else(|| self.overtaken(members.len()));
        if let Some(end) = ends {
            return end;
        }
        let counts = |server: &&&Server| self.rules.resize != ResizeMode::Replace || self.fits(server);
        let missing = desired.saturating_sub(members.iter().filter(counts).count());
        if missing > 0 {
            return self.make(&members, missing).unwrap_or_else(failed);
        }
        if let Some(wait) = self.comes_up(&members) {
            return wait;
        }
        // What adds takes nothing away, also where others have added as well.
        let only_adds = self.wanted.is_none() && self.aim.order.action.verdict == Verdict::ScaleOut;
        let surplus = if only_adds { 0 } else { members.len().saturating_sub(desired) };
        let removable = self.removable(&members, surplus);
        let kept = members.iter().filter(|server| !removable.iter().any(|other| other.id == server.id));
        if let Some(resize) = kept.copied().filter(|server| !self.fits(server)).find_map(|server| self.resize(server)) {
            return resize;
        }
        if let Some(first) = removable.first().copied() {
            return Move::Remove(first);
        }
        if surplus > 0 {
            return failed(format!("{} servers are there, and those that could go are locked", members.len()));
        }
        if self.facts.servers.iter().any(|server| server.is_being_deleted) {
            return wait("servers are being removed".to_owned(), LOOK_AGAIN_S);
        }
        Move::Finished
    }

    fn id(&self) -> &str {
        self.aim.order.id()
    }

    /// Whether a server has the flavor that it is to have.
    fn fits(&self, server: &Server) -> bool {
        self.wanted.is_none_or(|name| server.flavor.name == name)
    }

    /// The end of an action that the rules do not allow, or that makes no sense here.
    fn refused(&self, members: &[&Server]) -> Option<Move<'a>> {
        let wanted = self.wanted?;
        if members.iter().all(|server| self.fits(server)) {
            return None;
        }
        if self.rules.resize == ResizeMode::Refuse {
            return Some(failed(
                "a resize restarts the guests: set [actuator.openstack] resize = \"restart\", or \"replace\" for new servers"
                    .to_owned(),
            ));
        }
        self.flavor(wanted).err().map(failed)
    }

    /// The end where the cloud has not done what was asked for.
    fn broken(&self) -> Option<Move<'a>> {
        let is_of_it = |server: &&Server| {
            let is_marked = server.mark.as_ref().is_some_and(|mark| mark.action == self.id());
            server.status == Status::Error && (is_marked || server.was_made_by(self.id()))
        };
        if let Some(server) = self.facts.servers.iter().find(is_of_it) {
            let why = server.fault.as_deref().unwrap_or("it does not say why");
            return Some(again(format!("Nova has put server {} into ERROR: {why}", server.id)));
        }
        let has_come_to_nothing = |server: &&Server| {
            let is_broken = server.status == Status::Error && !server.is_busy && !server.is_being_deleted;
            is_broken && server.made_by.is_some() && !server.was_launched && !server.is_locked
        };
        let cleared = self.facts.servers.iter().find(has_come_to_nothing).filter(|_| !self.aim.order.action.dry_run);
        cleared.map(Move::Clear)
    }

    /// The end where others have changed the number of servers beyond what is asked for.
    fn overtaken(&self, members: usize) -> Option<Move<'a>> {
        let action = &self.aim.order.action;
        let desired = action.desired.replicas as usize;
        let has_begun = self.aim.sent_from.is_some() || self.wanted.is_some();
        let why = match action.verdict {
            Verdict::ScaleOut if members > desired && !has_begun => {
                format!("it has {members} servers already, and the action adds to fewer")
            }
            Verdict::ScaleIn if members < desired && self.wanted.is_none() => {
                format!("it has {members} servers by now, and the action takes away from more")
            }
            _ => return None,
        };
        Some(Move::Ended(ActionOutcome::Superseded { why }))
    }

    /// Makes what is missing, in the first zone that is to have any of it.
    fn make(&self, members: &[&Server], missing: usize) -> Result<Move<'a>, String> {
        let (facts, aim) = (self.facts, self.aim);
        let none = Group::default();
        let group = self.group.unwrap_or(&none);
        let template = Template::of(group, facts)?;
        let configured = Some(group.config.flavor.as_str()).filter(|name| !name.is_empty());
        let desired = aim.order.action.desired.instance_type.as_deref();
        let of_pattern = facts.pattern().map(|server| server.flavor.name.as_str());
        let name = desired.or(configured).or(of_pattern).ok_or("no server of it runs, and no flavor is configured")?;
        let flavor = if self.wanted.is_some() { self.flavor(name)? } else { self.known(name)? };
        let count = u32::try_from(missing).map_err(|_| format!("{missing} servers are too many"))?;
        if let Some(lack) = facts.room.lacks(Demand::of(count, flavor)) {
            return Ok(again(lack));
        }
        let made = |zone: Option<&str>| {
            let mut of_it = facts.servers.iter().filter(|server| server.was_made_by(self.id()));
            of_it.any(|server| zone.is_none_or(|zone| server.zone == zone))
        };
        let zones: &'a [String] = self.group.map_or(&[], |group| group.config.zones.as_slice());
        let (zone, count) = if zones.is_empty() {
            (None, count)
        } else {
            let free: Vec<&'a str> = zones.iter().map(String::as_str).filter(|zone| !made(Some(*zone))).collect();
            spread(&free, members, count).ok_or_else(|| self.gone())?
        };
        if made(zone) {
            return Err(self.gone());
        }
        Ok(Move::Make { zone, count, flavor, template: Box::new(template) })
    }

    fn gone(&self) -> String {
        "servers that it has made are gone again".to_owned()
    }

    /// Waits for those that the action has made.
    fn comes_up(&self, members: &[&Server]) -> Option<Move<'a>> {
        let made: Vec<&&Server> = members.iter().filter(|server| server.was_made_by(self.id())).collect();
        let comes = made.iter().filter(|server| server.status == Status::Build || server.is_busy).count();
        (comes > 0).then(|| {
            let why = format!("{} of the {} servers that it has made run", made.len() - comes, made.len());
            wait(why, LOOK_AGAIN_S)
        })
    }

    /// Those that go, in this order: what does not fit, what does not run, of the zone that has most, the youngest.
    fn removable(&self, members: &[&'a Server], count: usize) -> Vec<&'a Server> {
        let mut left: Vec<&Server> = members.iter().copied().filter(|server| !server.is_locked).collect();
        let mut in_zone: BTreeMap<&str, usize> = BTreeMap::new();
        members.iter().for_each(|server| *in_zone.entry(&server.zone).or_default() += 1);
        let mut gone = Vec::new();
        while gone.len() < count {
            let rank = |server: &Server| {
                let crowd = in_zone.get(server.zone.as_str()).copied().unwrap_or_default();
                (!self.fits(server), !server.is_settled(), crowd, server.created.clone(), server.id.clone())
            };
            let Some(nth) = (0..left.len()).max_by_key(|nth| rank(left[*nth])) else { break };
            let server = left.swap_remove(nth);
            if let Some(servers) = in_zone.get_mut(server.zone.as_str()) {
                *servers -= 1;
            }
            gone.push(server);
        }
        gone
    }

    /// What comes next for a server that is to have another flavor; `None` where it is not resized.
    fn resize(&self, server: &'a Server) -> Option<Move<'a>> {
        if self.rules.resize != ResizeMode::Restart {
            return None;
        }
        let flavor = match self.flavor(self.wanted?) {
            Ok(flavor) => flavor,
            Err(why) => return Some(failed(why)),
        };
        let id = &server.id;
        let mark = server.mark.as_ref().filter(|mark| mark.action == self.id() && mark.flavor == flavor.name);
        if let Some(mark) = mark.filter(|mark| server.has_begun(mark)) {
            return Some(self.unsuccessful(server, mark));
        }
        if server.is_locked {
            return Some(failed(format!("server {id} is locked")));
        }
        let resize = Move::Resize { server, flavor };
        if mark.is_none() && self.aim.sent_from.as_deref() == Some(&*resize.name()) {
            return Some(again(format!("the mark of server {id} was changed while it was being resized")));
        }
        if !server.is_settled() {
            let why = format!("server {id} is not in a state from which it can be resized");
            return Some(wait(why, OTHERS_LOOK_AGAIN_S));
        }
        if let Some(lack) = self.facts.room.lacks(Demand::of_resize(&server.flavor, flavor)) {
            return Some(again(lack));
        }
        Some(match mark {
            Some(_) => resize,
            None => {
                let resizes = server.resizes();
                let mark = ResizeMark { action: self.id().to_owned(), resizes, flavor: flavor.name.clone() };
                Move::Mark { server, mark, flavor }
            }
        })
    }

    /// Of a server whose resize has begun, and that has its old flavor: whether it still goes on, or what became of it.
    fn unsuccessful(&self, server: &Server, mark: &ResizeMark) -> Move<'a> {
        let since = server.resizes() - mark.resizes;
        // The newest come first: all that was done since, back to the resize itself.
        let deeds = server.record.iter().scan(0, |resizes, deed| {
            let is_since = *resizes < since;
            *resizes += usize::from(deed.name == RESIZE_DEED);
            is_since.then_some(deed)
        });
        let deeds: Vec<_> = deeds.collect();
        if deeds.iter().any(|deed| deed.name == "revertResize" && !deed.is_failed) {
            let why = format!("somebody has reverted the resize of server {}", server.id);
            return Move::Ended(ActionOutcome::Superseded { why });
        }
        if deeds.iter().any(|deed| deed.is_failed) {
            return again(format!(
                "Nova could not resize server {} to {}, by its record: mostly no host has room",
                server.id, mark.flavor
            ));
        }
        // It may be about to say so. Where a compute has died meanwhile it never will.
        let why =
            format!("server {} has its old flavor, and its record does not say what became of its resize", server.id);
        wait(why, LOOK_AGAIN_S)
    }

    fn known(&self, name: &str) -> Result<&'a Flavor, String> {
        self.facts.flavor(name).ok_or_else(|| format!("there is no flavor {name:?}"))
    }

    /// The flavor of that name, where it is as large as the plan takes it for.
    fn flavor(&self, name: &str) -> Result<&'a Flavor, String> {
        let (flavor, desired) = (self.known(name)?, &self.aim.order.action.desired);
        let is = |size: f64, wanted: f64| (size - wanted).abs() <= SIZE_TOLERANCE * wanted;
        let is_as_planned = is(flavor.vcpus as f64, desired.cpu_cores_per_replica)
            && is(flavor.ram_mib as f64 * MIB, desired.memory_bytes_per_replica);
        if is_as_planned {
            return Ok(flavor);
        }
        let Flavor { vcpus, ram_mib, .. } = flavor;
        Err(format!(
            "flavor {name:?} has {vcpus} vCPUs and {ram_mib} MiB, not what the plan takes it for: see [prices]"
        ))
    }
}

/// Of so many servers how many the first zone gets, where each goes to the zone that then has fewest.
fn spread<'a>(zones: &[&'a str], members: &[&Server], count: u32) -> Option<(Option<&'a str>, u32)> {
    let in_zone = |zone: &str| members.iter().filter(|server| server.zone == zone).count();
    let mut have: Vec<(usize, u32)> = zones.iter().map(|zone| (in_zone(zone), 0)).collect();
    for _ in 0..count {
        let fewest = have.iter_mut().min_by_key(|(servers, _)| *servers)?;
        *fewest = (fewest.0 + 1, fewest.1 + 1);
    }
    let mut given: Vec<(&str, u32)> = zones.iter().copied().zip(have.into_iter().map(|(_, new)| new)).collect();
    given.sort_by_key(|(_, new)| Reverse(*new));
    given.first().filter(|(_, new)| *new > 0).map(|(zone, new)| (Some(*zone), *new))
}

#[cfg(test)]
mod tests;
