//! One fleet: what would take something away waits, bin by bin, until its partitions have come past the bin and
//! the fleet is in the next one, and is then ruled on together, in an order of its own. Increases are ruled on as
//! they come.

use super::books::{Books, Change, HOUR_S};
use super::census::{Census, Count};
use super::orders::{Effect, Order, Orders};
use super::rules::GovernorRules;
use super::ruling::Ruling;
use super::{Proposal, View};
use crate::action::{Action, Reason, Verdict};
use crate::forecast::GRID_STEP_S;
use crate::guardrail::ASKS;
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::wording::{counted, instant, number, reason};
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// What of a workload decides on later proposals is remembered for so long, in seconds.
const REMEMBERED_S: i64 = 86_400;

/// An operator's word that a workload may change counts for what is planned within so long of it, in seconds.
const ANSWERED_S: i64 = 3600;

/// A proposal on its way; the tag says where it came from.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Pending<T> {
    tag: T,
    proposal: Proposal,
    /// It is out already: it only has to be noted in the books.
    is_out: bool,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Known {
    /// When its newest proposal was decided.
    newest: EventTime,
    /// When its newest one was decided that asked for more than one before it, or than what serves: what waits from before
    /// that is overtaken, since its planner goes on from the newest.
    raised: Option<EventTime>,
    /// What its newest one asks for.
    asked: Option<Capacity>,
    /// Its newest dry run that went out.
    standing: Option<Standing>,
}

/// A dry run that went out.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Standing {
    /// What served then.
    from: Capacity,
    desired: Capacity,
}

/// What went out to be carried out.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Out {
    action: Action,
    /// Whether it has more of anything than what served, or than what was out before.
    adds: bool,
}

/// What is remembered of one fleet.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Fleet<T> {
    census: Census,
    /// The newest bin that anything was heard of.
    bin: Option<i64>,
    /// The newest bin that is over.
    over: Option<i64>,
    /// Workloads that were known then.
    known: u32,
    newest_at: Option<EventTime>,
    /// By partition, what came after its newest view.
    open: BTreeMap<u32, Vec<Pending<T>>>,
    /// By bin.
    waiting: BTreeMap<i64, Vec<Pending<T>>>,
    /// Of what is carried out, and of dry runs.
    books: [Books; 2],
    workloads: BTreeMap<WorkloadId, Known>,
    /// What went out to be carried out and is still valid.
    valid: BTreeMap<WorkloadId, Out>,
    /// The newest of a workload, where live use demands it and it is held: by an order, or since it is out already, which
    /// an order may yet withdraw.
    kept: BTreeMap<WorkloadId, Pending<T>>,
}

impl<T> Default for Fleet<T> {
    fn default() -> Self {
        Self {
            census: Census::default(),
            bin: None,
            over: None,
            known: 0,
            newest_at: None,
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            books: <[Books; 2]>::default(),
            workloads: BTreeMap::new(),
            valid: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }
}

/// What rulings depend on beside the fleet.
pub(super) struct Bench<'a> {
    pub(super) rules: &'a GovernorRules,
    /// Partitions of the topic of the predictions.
    pub(super) partitions: u32,
    pub(super) orders: &'a Orders,
    pub(super) fleet: &'a WorkloadId,
}

/// What rulings on what was proposed in one bin depend on.
struct Hearing<'a> {
    bench: &'a Bench<'a>,
    count: Count,
    /// When they are made.
    now: EventTime,
}

impl<T: Clone> Fleet<T> {
    /// Takes a proposal in, which was made as of `as_of`. `None` when it is not newer than the last one of its workload.
    pub(super) fn propose(
        &mut self,
        bench: &Bench<'_>,
        (tag, proposal): (T, Proposal),
        as_of: EventTime,
    ) -> Option<Vec<Ruling<T>>> {
        let (at, workload) = (proposal.action.decided_at, proposal.action.workload.clone());
        if self.workloads.get(&workload).is_some_and(|known| known.newest >= at) {
            return None;
        }
        self.newest_at = self.newest_at.max(Some(at));
        self.kept.remove(&workload);
        let mut rulings = self.pass(bench, as_of);
        let proposal = without_what_an_order_holds(bench, proposal);
        let new = || Known { newest: at, raised: None, asked: None, standing: None };
        let known = self.workloads.entry(workload).or_insert_with(new);
        known.newest = at;
        let desired = &proposal.action.desired;
        if known.asked.replace(desired.clone()).is_some_and(|asked| exceeds(desired, &asked)) {
            known.raised = Some(at);
        }
        let ruling = self.at_once(bench, &proposal);
        let is_out = matches!(ruling, Some(Ok(_)));
        match ruling {
            Some(Ok(why)) => rulings.push(self.admit(tag.clone(), &proposal.action, why)),
            Some(Err(why)) => {
                rulings.push(Ruling::held(tag.clone(), &proposal.action, why));
                if proposal.demanded {
                    let workload = proposal.action.workload.clone();
                    self.kept.insert(workload, Pending { tag, proposal, is_out: true });
                }
                return Some(rulings);
            }
            None => {}
        }
        self.open.entry(proposal.partition).or_default().push(Pending { tag, proposal, is_out });
        Some(rulings)
    }

    /// The ruling on an increase, which waits for nobody; `None` on what takes something away. What live use demands is held
    /// by an order alone, or where the same is out already.
    fn at_once(&mut self, bench: &Bench<'_>, proposal: &Proposal) -> Option<Result<Reason, Reason>> {
        let action = &proposal.action;
        let adds = if proposal.demanded { self.adds(action) } else { self.adds_to_what_is_out(action) };
        let is_increase = action.verdict == Verdict::ScaleOut || adds;
        if (is_increase || proposal.demanded)
            && let Some(known) = self.workloads.get_mut(&action.workload)
        {
            known.raised = Some(action.decided_at);
        }
        if !is_increase {
            // It takes something away, or its planner raised a decrease of its own that is not out: that waits as any
            // decrease.
            return None;
        }
        if let Some(order) = bench.orders.holding(bench.fleet, &action.workload, false) {
            return Some(Err(by_order(order)));
        }
        if !proposal.demanded
            && let Some(why) = unanswered(bench, action)
                .or_else(|| self.stands(action))
                .or_else(|| self.grows_as_one(bench.rules, action))
        {
            return Some(Err(why));
        }
        if !action.dry_run && self.out(action).is_some_and(|out| *out == action.desired) {
            return Some(Err(reason("governor.stands", "it is out already, and still valid".to_owned())));
        }
        Some(Ok(if proposal.demanded {
            reason("governor.urgent", "live use demands it: neither share nor budget holds it".to_owned())
        } else {
            reason("governor.admitted", "an increase waits for nobody".to_owned())
        }))
    }

    /// Why growth that nothing but a forecast wants is held: too much of the fleet has grown so, by the bins that are
    /// over.
    fn grows_as_one(&self, rules: &GovernorRules, action: &Action) -> Option<Reason> {
        if action.verdict != Verdict::ScaleOut {
            return None;
        }
        let (known, window_s) = (self.known, rules.changed_window_s);
        let most = rules.wanted_max(known);
        let wanted = self.books[usize::from(action.dry_run)].wanted(action.decided_at, i64::from(window_s));
        (wanted >= most).then(|| {
            let text = format!(
                "{} grew within {window_s} s for the sake of forecasts alone, {most} may: this waits until live use demands it \
                 or they are fewer",
                of_known(wanted, known)
            );
            reason("governor.wanted_share", text)
        })
    }

    /// Rules on what is ripe once the fleet has come to a later bin. By then all that came with the bin before is
    /// known, in whatever order its partitions came. What a sample that had waited behind a gap led to tells of the bin
    /// in which its turn came, not of its own.
    fn pass(&mut self, bench: &Bench<'_>, as_of: EventTime) -> Vec<Ruling<T>> {
        let bin = as_of.bin(GRID_STEP_S);
        let mut rulings = Vec::new();
        if self.bin.is_some_and(|newest| bin <= newest) {
            return rulings;
        }
        self.bin = Some(bin);
        while let Some(bin) = self.next_bin()
            && let Some(until) = self.census.closing(bin, bench.rules.patience_s, bench.partitions)
        {
            self.close(bench, bin, until, &mut rulings);
        }
        rulings
    }

    /// Takes a view in. `None` when it is not newer than the last one of its partition.
    pub(super) fn view(&mut self, bench: &Bench<'_>, view: &View) -> Option<Vec<Ruling<T>>> {
        if self.census.has(view) {
            return None;
        }
        let rulings = self.pass(bench, view.told_at);
        let bin = self.census.take(view, bench.rules.patience_s);
        self.newest_at = self.newest_at.max(Some(view.at));
        if let Some(came) = self.open.remove(&view.partition) {
            let bin = self.over.map_or(bin, |over| bin.max(over + 1));
            self.waiting.entry(bin).or_default().extend(came);
        }
        Some(rulings)
    }

    /// Withdraws what an order holds and may not have been carried out yet. One that stops decreases withdraws none that
    /// adds something: without it less would come than what its planner counts on, be it what it raised. Of that the
    /// order takes back what it takes away, where that can be told apart.
    pub(super) fn withdraw(&mut self, fleet: &WorkloadId, order: &Order) -> Vec<Ruling<T>> {
        let now = self.newest_at;
        let stops_all = match order.effect {
            Effect::Pause => true,
            Effect::PauseScaleIn => false,
            Effect::Resume => return Vec::new(),
        };
        let is_held = |workload: &WorkloadId, Out { action, .. }: &Out| {
            let is_of_order = stops_all || action.verdict != Verdict::ScaleOut;
            order.scope.covers(fleet, workload) && is_of_order && now.is_none_or(|now| now < action.valid_until)
        };
        let (held, valid) = std::mem::take(&mut self.valid).into_iter().partition(|(w, out)| is_held(w, out));
        self.valid = valid;
        BTreeMap::into_values(held).filter_map(|out| self.taken_back(order, stops_all, out)).collect()
    }

    /// What an order makes of an action that is out; `None` where it stands as it is.
    fn taken_back(&mut self, order: &Order, stops_all: bool, out: Out) -> Option<Ruling<T>> {
        if stops_all || !out.adds {
            return Some(Ruling::Withdrawn(Box::new(out.action.withdrawn(by_order(order)))));
        }
        let kept = out.action.without_decreases();
        if kept.desired == out.action.desired {
            self.valid.insert(out.action.workload.clone(), out);
            return None;
        }
        Some(Ruling::Released(Box::new(self.let_out(&kept, by_order(order)))))
    }

    /// Lets out what live use demands and neither an order holds any more, since the one given last, nor what is out
    /// covers, while it is valid: whoever asked for it does not ask again before it is void. Each was held before, so it
    /// follows from the order. What it would take away besides stays.
    pub(super) fn release(&mut self, fleet: &WorkloadId, orders: &Orders, last: &Order) -> Vec<Ruling<T>> {
        let kept = std::mem::take(&mut self.kept);
        let is_free = |workload: &WorkloadId, Pending { proposal, .. }: &Pending<T>| {
            orders.holding(fleet, workload, false).is_none() && !self.is_covered(&proposal.action)
        };
        let (free, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            kept.into_iter().partition(|(workload, pending)| is_free(workload, pending));
        self.kept = kept;
        let now = self.newest_at;
        let mut released = Vec::new();
        for mut pending in free.into_values() {
            let Proposal { action, partition, .. } = &mut pending.proposal;
            if now.is_some_and(|now| now >= action.valid_until) {
                continue;
            }
            *action = action.without_decreases();
            let text = format!("live use demands it, and no order holds it any more; {}", by_order(last).text);
            released.push(Ruling::Released(Box::new(self.let_out(action, reason("governor.urgent", text)))));
            self.open.entry(*partition).or_default().push(pending);
        }
        released
    }

    /// Proposals that were not ruled on yet.
    pub(super) fn pending(&self) -> usize {
        let all = self.open.values().chain(self.waiting.values());
        all.map(|pending| pending.iter().filter(|p| !p.is_out).count()).sum()
    }

    fn next_bin(&self) -> Option<i64> {
        let waiting = self.waiting.keys().next().copied();
        [self.census.next_after(self.over), waiting].into_iter().flatten().min()
    }

    fn close(&mut self, bench: &Bench<'_>, bin: i64, until: i64, rulings: &mut Vec<Ruling<T>>) {
        let rules = bench.rules;
        let count = self.census.close(bin, rules.gone_share_max, rules.patience_s);
        (self.over, self.known) = (Some(bin), count.known);
        let now = EventTime::of_bin(until, GRID_STEP_S);
        let mut pending = self.waiting.remove(&bin).unwrap_or_default();
        pending.sort_by_cached_key(|p| {
            let action = &p.proposal.action;
            (!p.is_out, action.decided_at, action.workload.clone())
        });
        let mut newest = BTreeMap::new();
        for Pending { proposal: Proposal { action, .. }, .. } in &pending {
            let newest = newest.entry(action.workload.clone()).or_insert(action.decided_at);
            *newest = action.decided_at.max(*newest);
        }
        let hearing = Hearing { bench, count, now };
        for Pending { tag, proposal, is_out } in pending {
            let action = &proposal.action;
            let newest = newest.get(&action.workload).copied();
            let change = self.change(&proposal, is_out);
            let noted = if is_out { Ok(None) } else { self.ruling(&hearing, newest, action).map(Some) };
            match noted {
                Ok(why) => {
                    let books = &mut self.books[usize::from(action.dry_run)];
                    books.note(action.decided_at, action.workload.clone(), change);
                    rulings.extend(why.map(|why| self.admit(tag, action, why)));
                }
                Err(why) => rulings.push(Ruling::held(tag, action, why)),
            }
        }
        self.forget(rules, bin);
    }

    /// Why what takes something away may go out, or why it may not. `newest` is the instant of its workload's newest in the bin.
    fn ruling(&self, hearing: &Hearing<'_>, newest: Option<EventTime>, action: &Action) -> Result<Reason, Reason> {
        let Hearing { bench, count, now } = hearing;
        if let Some(order) = bench.orders.holding(bench.fleet, &action.workload, true) {
            return Err(by_order(order));
        }
        if let Some(why) = unanswered(bench, action) {
            return Err(why);
        }
        let raised = self.workloads.get(&action.workload).and_then(|known| known.raised);
        if let Some(newer) = raised.max(newest).filter(|newer| *newer > action.decided_at) {
            let text = format!("another decision was made about it at {}, while this waited", instant(newer));
            return Err(reason("governor.overtaken", text));
        }
        if let Some(stands) = self.stands(action) {
            return Err(stands);
        }
        if *now >= action.valid_until {
            let text =
                format!("it was void at {}, when the fleet's other partitions had been waited for", instant(*now));
            return Err(reason("governor.expired", text));
        }
        may_shrink(bench.rules, count)?;
        self.within_budgets(bench.rules, count, action)
    }

    fn within_budgets(&self, rules: &GovernorRules, count: &Count, action: &Action) -> Result<Reason, Reason> {
        let books = &self.books[usize::from(action.dry_run)];
        let (at, known) = (action.decided_at, count.known);
        let (changed_max, scale_ins_max) = (rules.changed_max(known), rules.scale_ins_max(known));
        let window_s = rules.changed_window_s;
        let changed = books.others_changed(at, i64::from(window_s), &action.workload);
        let scale_ins = books.scale_ins(at);
        if scale_ins >= scale_ins_max {
            let text = format!(
                "{} within an hour, of {} at most {scale_ins_max} may be",
                counted(scale_ins, "scale-in"),
                counted(known as usize, "workload")
            );
            return Err(reason("governor.scale_in_budget", text));
        }
        if changed >= changed_max {
            let text = format!(
                "{} changed within {window_s} s, of {known} at most {changed_max} may",
                counted(changed, "other workload")
            );
            return Err(reason("governor.changed_share", text));
        }
        let text = format!(
            "{} changed within {window_s} s (at most {changed_max}), {} within an hour (at most {scale_ins_max})",
            of_known(changed, known),
            counted(scale_ins, "scale-in")
        );
        Ok(reason("governor.admitted", text))
    }

    /// Why a dry run need not be told of again.
    fn stands(&self, action: &Action) -> Option<Reason> {
        let standing = self.workloads.get(&action.workload)?.standing.as_ref()?;
        let is_said = action.dry_run && standing.desired == action.desired;
        is_said.then(|| reason("governor.stands", "it was asked for before and still stands".to_owned()))
    }

    /// Whether an action adds something to what its workload has, or to what it is to have by what went out last.
    fn adds(&self, action: &Action) -> bool {
        let is_above = |other: &Capacity| exceeds(&action.desired, other);
        is_above(&action.current) || self.out(action).is_some_and(is_above)
    }

    /// Whether an action adds to what its workload is to have by what went out last, and takes nothing of that away.
    fn adds_to_what_is_out(&self, action: &Action) -> bool {
        self.out(action).is_some_and(|out| exceeds(&action.desired, out) && !exceeds(out, &action.desired))
    }

    /// Whether all that an action asks for is out already, to be carried out.
    fn is_covered(&self, action: &Action) -> bool {
        !action.dry_run && self.out(action).is_some_and(|out| !exceeds(&action.desired, out))
    }

    /// What the workload of an action is to have by what went out last, if that still counts.
    fn out(&self, action: &Action) -> Option<&Capacity> {
        if action.dry_run {
            // Of one that was made from another capacity its planner goes on no more.
            let standing = self.workloads.get(&action.workload)?.standing.as_ref();
            return standing.filter(|standing| standing.from == action.current).map(|standing| &standing.desired);
        }
        let Out { action: out, .. } = self.valid.get(&action.workload)?;
        (action.decided_at < out.valid_until).then_some(&out.desired)
    }

    fn change(&self, proposal: &Proposal, is_out: bool) -> Change {
        if proposal.demanded && is_out {
            Change::Demanded
        } else if !is_out && self.shrinks(&proposal.action) {
            Change::Shrinks
        } else {
            Change::Wanted
        }
    }

    /// Whether an action takes something away of what its workload has, or by its newest dry run is to have.
    fn shrinks(&self, action: &Action) -> bool {
        let standing = self.workloads.get(&action.workload).and_then(|known| known.standing.as_ref());
        match standing.filter(|_| action.dry_run) {
            Some(standing) => exceeds(&standing.desired, &action.desired),
            None => action.verdict != Verdict::ScaleOut,
        }
    }

    fn admit(&mut self, tag: T, action: &Action, why: Reason) -> Ruling<T> {
        Ruling::Admitted { tag, action: Box::new(self.let_out(action, why)) }
    }

    /// The action as it goes out, which is remembered.
    fn let_out(&mut self, action: &Action, why: Reason) -> Action {
        let mut admitted = action.clone();
        admitted.reasons.push(why);
        if admitted.dry_run {
            if let Some(known) = self.workloads.get_mut(&admitted.workload) {
                known.standing = Some(Standing { from: admitted.current.clone(), desired: admitted.desired.clone() });
            }
        } else {
            let out = Out { action: admitted.clone(), adds: self.adds(action) };
            self.valid.insert(admitted.workload.clone(), out);
        }
        admitted
    }

    fn forget(&mut self, rules: &GovernorRules, bin: i64) {
        let books_s = i64::from(rules.changed_window_s).max(HOUR_S);
        let now = EventTime::of_bin(bin, GRID_STEP_S);
        // What comes late is held against the books of its own time.
        self.books.iter_mut().for_each(|books| books.forget_before(now.plus_s(-books_s - REMEMBERED_S / 24)));
        let newest = self.newest_at.unwrap_or(now);
        // Others may be behind by a patience.
        let patience_s = i64::from(rules.patience_s);
        self.valid.retain(|_, out| newest < out.action.valid_until.plus_s(patience_s));
        self.kept.retain(|_, pending| newest < pending.proposal.action.valid_until);
        self.workloads.retain(|_, known| known.newest >= now.plus_s(-REMEMBERED_S));
    }
}

/// So many of a fleet's workloads, in words.
fn of_known(count: usize, known: u32) -> String {
    format!("{count} of {}", counted(known as usize, "workload"))
}

/// Whether a capacity has more of anything than another.
fn exceeds(a: &Capacity, b: &Capacity) -> bool {
    a.cpu_cores() > b.cpu_cores() || a.memory_bytes() > b.memory_bytes()
}

/// What blocks every scale-in of a fleet.
fn may_shrink(rules: &GovernorRules, count: &Count) -> Result<(), Reason> {
    if let Some(known) = count.known_before_gone {
        let text = format!(
            "only {} can be seen; from a share of {} gone on nothing shrinks",
            of_known(count.present as usize, known),
            number(rules.gone_share_max),
        );
        return Err(reason("governor.fleet_gone", text));
    }
    let share = rules.migrated_share_max;
    if f64::from(count.lost_kpi) > share * f64::from(count.present) {
        let text = format!(
            "{} lost a KPI; above a share of {} nothing shrinks",
            of_known(count.lost_kpi as usize, count.present),
            number(share),
        );
        return Err(reason("governor.kpis_lost", text));
    }
    Ok(())
}

/// What live use demands does not wait for an order that stops decreases: what it would take away besides stays.
fn without_what_an_order_holds(bench: &Bench<'_>, mut proposal: Proposal) -> Proposal {
    if proposal.demanded && bench.orders.holding(bench.fleet, &proposal.action.workload, true).is_some() {
        proposal.action = proposal.action.without_decreases();
    }
    proposal
}

/// Why an action that asks for an operator's word waits, where nobody has given it.
fn unanswered(bench: &Bench<'_>, action: &Action) -> Option<Reason> {
    let asks = action.reasons.iter().find(|reason| &*reason.rule == ASKS)?;
    let resumed_at = bench.orders.resumed_at(bench.fleet, &action.workload);
    let is_answered = resumed_at.is_some_and(|at| (at.as_ms() - action.decided_at.as_ms()).abs() <= ANSWERED_S * 1000);
    (!is_answered).then(|| {
        let text =
            format!("{}; `prescale resume --workload {}` lets it change for an hour", asks.text, action.workload);
        reason("governor.asks", text)
    })
}

fn by_order(order: &Order) -> Reason {
    let what = match order.effect {
        Effect::Pause => "nothing changes",
        Effect::PauseScaleIn => "nothing shrinks",
        Effect::Resume => "it was lifted",
    };
    let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
    let text = format!("{}: {what} since {} by order of {}{why}", order.scope, instant(order.at), order.by);
    reason("governor.paused", text)
}
