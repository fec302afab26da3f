//! The instance type and count that cover what is wanted at the least price.
//!
//! For each type the least count that covers is the cheapest of that type, so one look at each type is exact.

use crate::cloud::PriceList;
use crate::policy::sizing::{round_down, round_up};
use crate::sample::Capacity;
use crate::wording::{capacity as capacity_words, number};

/// What has to be covered, over all replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// CPU, in cores.
    pub cpu_cores: f64,
    /// Memory, in bytes.
    pub memory_bytes: f64,
    /// Fewest replicas, at least 1.
    pub replicas: u32,
}

/// What may be had.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Types and prices.
    pub prices: &'a PriceList,
    /// Most replicas.
    pub replicas_max: u32,
    /// Most cores over all replicas.
    pub cpu_cores_max: f64,
    /// Most memory over all replicas, in bytes.
    pub memory_bytes_max: f64,
}

/// A capacity with its price.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// The capacity.
    pub capacity: Capacity,
    /// Price per hour; `None` where it is of no listed type and such capacity has no price.
    pub price_per_h: Option<f64>,
}

/// What is chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What to have.
    pub chosen: Priced,
    /// Whether it covers what is wanted; if not it is what covers most.
    pub covers: bool,
    /// What else covers it, of each other type the cheapest, the cheapest first.
    pub alternatives: Vec<Priced>,
}

impl Wanted {
    /// Share of what is scarcest that a capacity covers, at most 1.
    fn share_covered(&self, capacity: &Capacity) -> f64 {
        let share = |have: f64, want: f64| if want > 0.0 { have / want } else { 1.0 };
        let cpu = share(capacity.cpu_cores(), self.cpu_cores);
        let replicas = share(f64::from(capacity.replicas), f64::from(self.replicas));
        cpu.min(share(capacity.memory_bytes(), self.memory_bytes)).min(replicas).min(1.0)
    }

    /// Least count of replicas of that size that covers it; `None` where no count does.
    fn count(&self, cpu_cores: f64, memory_bytes: f64) -> Option<u32> {
        let count = |want: f64, each: f64| match (want > 0.0, each > 0.0) {
            (false, _) => Some(1.0),
            (true, false) => None,
            (true, true) => Some(round_up(want / each, 1.0)),
        };
        let most = count(self.cpu_cores, cpu_cores)?.max(count(self.memory_bytes, memory_bytes)?);
        (most <= f64::from(u32::MAX)).then_some(most as u32).map(|n| n.max(self.replicas).max(1))
    }
}

impl Offer<'_> {
    fn allows(&self, capacity: &Capacity) -> bool {
        capacity.replicas <= self.replicas_max
            && capacity.cpu_cores() <= self.cpu_cores_max * (1.0 + 1e-9)
            && capacity.memory_bytes() <= self.memory_bytes_max * (1.0 + 1e-9)
    }

    fn priced(&self, capacity: Capacity) -> Priced {
        Priced { price_per_h: self.prices.price_per_h(&capacity), capacity }
    }

    /// Whether more of what there is now can be had: its type is on offer, or it is of no listed type.
    fn may_grow(&self, now: &Capacity) -> bool {
        let listed = now.instance_type.as_deref().and_then(|name| self.prices.instance_type(name));
        listed.is_none_or(|t| t.is_available)
    }

    /// The most of a replica's size that is allowed.
    fn most_of(&self, one: &Capacity) -> Capacity {
        let by = |most: f64, each: f64| if each > 0.0 { round_down(most / each, 1.0) as u32 } else { u32::MAX };
        let cpu = by(self.cpu_cores_max, one.cpu_cores_per_replica);
        let memory = by(self.memory_bytes_max, one.memory_bytes_per_replica);
        Capacity { replicas: self.replicas_max.min(cpu).min(memory), ..one.clone() }
    }
}

/// A capacity with its price, in words.
pub(in crate::policy) fn priced_words(priced: &Priced) -> String {
    let price =
        priced.price_per_h.map_or_else(|| "at no known price".to_owned(), |p| format!("at {} an hour", number(p)));
    format!("{} {price}", capacity_words(&priced.capacity))
}

/// Whether replicas of one are replicas of the other.
pub(in crate::policy) fn is_same_kind(a: &Capacity, b: &Capacity) -> bool {
    a.instance_type == b.instance_type
        && a.cpu_cores_per_replica == b.cpu_cores_per_replica
        && a.memory_bytes_per_replica == b.memory_bytes_per_replica
}

/// Chooses among the types on offer, coming from `now`. More or fewer of the present type are preferred, unless another
/// type saves `switch_saving_min` of their price; a type that is not available is kept, and not grown. Of what costs the
/// same, what changes less is taken, then the first by name: the order of the list makes no difference. Where nothing
/// covers what is wanted, what covers most of it is taken, if that is more than now.
pub fn choose(now: &Capacity, wanted: &Wanted, offer: &Offer<'_>, switch_saving_min: f64) -> Choice {
    let stay = staying(now, wanted, offer);
    let mut others: Vec<Priced> = offer
        .prices
        .instance_types
        .iter()
        .filter(|t| t.is_available)
        .filter_map(|t| Some(t.capacity(wanted.count(t.cpu_cores, t.memory_bytes)?)))
        .filter(|capacity| offer.allows(capacity) && !is_same_kind(capacity, now))
        .map(|capacity| offer.priced(capacity))
        .collect();
    others.sort_by(|a, b| {
        price(a).total_cmp(&price(b)).then_with(|| a.capacity.instance_type.cmp(&b.capacity.instance_type))
    });
    let switches = match (&stay, others.first()) {
        (Some(stay), Some(best)) => {
            let pays = price(best) <= price(stay) * (1.0 - switch_saving_min) && price(best) < price(stay);
            stay.price_per_h.is_some() && pays
        }
        (None, best) => best.is_some(),
        (Some(_), None) => false,
    };
    if switches {
        let chosen = others.remove(0);
        let alternatives = stay.into_iter().chain(others).collect();
        return Choice { chosen, covers: true, alternatives: sorted(alternatives) };
    }
    match stay {
        Some(chosen) => Choice { chosen, covers: true, alternatives: others },
        None => Choice { chosen: nearest(now, wanted, offer), covers: false, alternatives: Vec::new() },
    }
}

fn price(priced: &Priced) -> f64 {
    priced.price_per_h.unwrap_or(f64::INFINITY)
}

fn sorted(mut priced: Vec<Priced>) -> Vec<Priced> {
    priced.sort_by(|a, b| price(a).total_cmp(&price(b)));
    priced
}

/// The least of the present type that covers it, where that can be had.
fn staying(now: &Capacity, wanted: &Wanted, offer: &Offer<'_>) -> Option<Priced> {
    let replicas = wanted.count(now.cpu_cores_per_replica, now.memory_bytes_per_replica)?;
    let capacity = Capacity { replicas, ..now.clone() };
    let can_be_had = replicas <= now.replicas || (offer.may_grow(now) && offer.allows(&capacity));
    can_be_had.then(|| offer.priced(capacity))
}

/// What covers most, where nothing covers all: as it is now, unless something covers more.
fn nearest(now: &Capacity, wanted: &Wanted, offer: &Offer<'_>) -> Priced {
    let mut found = (wanted.share_covered(now), now.clone());
    let grown = offer.prices.instance_types.iter().filter(|t| t.is_available).map(|t| t.capacity(1));
    let more_of_now = offer.may_grow(now).then(|| now.clone());
    let most = grown.chain(more_of_now).map(|one| offer.most_of(&one));
    let mut candidates: Vec<Capacity> = most.filter(|c| c.replicas >= 1).collect();
    candidates.sort_by(|a, b| a.instance_type.cmp(&b.instance_type));
    for capacity in candidates {
        let share = wanted.share_covered(&capacity);
        if share > found.0 + 1e-9 {
            found = (share, capacity);
        }
    }
    offer.priced(found.1)
}
