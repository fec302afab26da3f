//! What is kept of groups: the newest forecast of each, its demand over the last day, and what was forecast of it.

use super::Taken;
use super::series::{Foretold, Series, Spread};
use super::workload::{KPIS_MAX, note_foretold};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::{GroupName, GroupPrediction};
use prescale_domain::kpi::KpiName;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Groups kept; each is named in a configuration, so there are far fewer.
const GROUPS_MAX: usize = 1_000;

/// The state of one group.
#[derive(Clone, Debug)]
pub struct Group {
    /// `ce_id` of the newest forecast.
    pub id: Arc<str>,
    /// The newest forecast.
    pub newest: GroupPrediction,
    /// The members' demand, by resource.
    pub demand: BTreeMap<KpiName, Series<Spread>>,
    /// What was forecast some time ahead, by resource, at the instants it was for.
    pub trails: BTreeMap<KpiName, Series<Foretold>>,
    /// Changes with every record used.
    pub revision: u64,
}

/// The groups, by name.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    by_name: BTreeMap<GroupName, Group>,
}

impl Groups {
    /// Takes in a forecast with its `ce_id`; those that are not newer than the one kept are known.
    pub fn take(&mut self, id: Arc<str>, prediction: GroupPrediction, points_max: usize) -> Taken {
        let is_full = self.by_name.len() >= GROUPS_MAX;
        let group = match self.by_name.entry(prediction.group.clone()) {
            Entry::Vacant(_) if is_full => return Taken::NoRoom,
            Entry::Vacant(free) => {
                let (demand, trails) = (BTreeMap::new(), BTreeMap::new());
                free.insert(Group { id, newest: prediction, demand, trails, revision: 0 })
            }
            Entry::Occupied(known) if known.get().newest.made_at >= prediction.made_at => return Taken::Known,
            Entry::Occupied(known) => {
                let group = known.into_mut();
                (group.id, group.newest) = (id, prediction);
                group
            }
        };
        group.note(points_max);
        Taken::Used
    }

    /// The group of that name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        GroupName::new(name).ok().and_then(|name| self.by_name.get(&name))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values()
    }
}

impl Group {
    fn note(&mut self, points_max: usize) {
        let Self { newest, demand, trails, revision, .. } = self;
        *revision += 1;
        for forecast in newest.resources.iter().take(KPIS_MAX) {
            if let Some(last) = forecast.last {
                let curve = demand.entry(forecast.resource.clone()).or_insert_with(|| Series::new(GRID_STEP_S));
                curve.push(newest.made_at, Spread::of(last), points_max);
            }
        }
        note_foretold(trails, (newest.made_at, GRID_STEP_S), &newest.resources, points_max);
    }
}
