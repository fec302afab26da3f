//! What a partition remembers of values that cannot be: which were put aside, and which workloads have nothing
//! else, so that their unit or the mapping is most likely wrong. It must not know windows or features.

use bitcode::{Decode, Encode};
use metrics::counter;
use prescale_domain::resource::Resource;
use prescale_domain::sample::Sample;
use prescale_domain::slots::Slots;
use prescale_domain::stream::impossible::{Reading, Trail, put_aside};
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};

/// So many workloads are named in the log for each resource.
const NAMED_MAX: u32 = 20;

type Trails = [Trail; Resource::ALL.len()];

/// Workloads of a partition whose use of a resource has been above their capacity by far for an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Excess {
    /// Of which resource.
    pub resource: Resource,
    /// How many workloads.
    pub workloads: usize,
    /// How many times their capacity the use is: the median over the workloads.
    pub times: f64,
}

/// The readings of a partition's workloads.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Plausibility {
    trails: Slots<Trails>,
    /// Those in excess for an hour, with how many times their capacity it was when that was found.
    lasting: [BTreeMap<WorkloadId, f64>; Resource::ALL.len()],
    /// How many were named in the log.
    named: [u32; Resource::ALL.len()],
}

impl Plausibility {
    /// Makes impossible values missing, and counts them. Where most of a resource's last values are impossible the
    /// sample's capacity is taken away as well: it is as doubtful as they are, and nobody must decide by it.
    pub fn screen(&mut self, sample: &mut Sample, impossible_above: f64) {
        let readings = put_aside(sample, impossible_above);
        let says_something = readings.iter().any(|reading| *reading != Reading::Missing);
        let trails = if says_something {
            self.trails.get_or_insert_with(&sample.workload, Trails::default)
        } else {
            let Some(trails) = self.trails.get_mut(&sample.workload) else { return };
            trails
        };
        for (resource, (trail, reading)) in Resource::ALL.into_iter().zip(trails.iter_mut().zip(&readings)) {
            if let Reading::Impossible(why) = reading {
                let labels = [("kpi", resource.kpi()), ("reason", why.code())];
                counter!("prescale_fingerprinter_values_put_aside_total", &labels).increment(1);
            }
            trail.observe(sample.at, reading);
            let known = &mut self.lasting[resource as usize];
            match trail.lasting(sample.at) {
                None if known.is_empty() => {}
                None => {
                    known.remove(&sample.workload);
                }
                Some(_) if known.contains_key(&sample.workload) => {}
                Some(times) => {
                    let named = &mut self.named[resource as usize];
                    if *named < NAMED_MAX {
                        *named += 1;
                        warn(&sample.workload, resource, times);
                    }
                    known.insert(sample.workload.clone(), times);
                }
            }
        }
        if trails.iter().any(Trail::is_doubtful) {
            sample.capacity = None;
        }
    }

    /// Bytes that a workload takes.
    pub const fn bytes_each() -> usize {
        Slots::<Trails>::bytes_each()
    }

    /// Forgets workloads.
    pub fn forget(&mut self, workloads: &BTreeSet<WorkloadId>) {
        self.trails.retain(|workload, _| !workloads.contains(workload));
        for known in &mut self.lasting {
            known.retain(|workload, _| !workloads.contains(workload));
        }
    }

    /// The workloads in lasting excess, by resource; none where there are none.
    pub fn excesses(&self) -> Vec<Excess> {
        let of = |resource: Resource| {
            let mut times: Vec<f64> = self.lasting[resource as usize].values().copied().collect();
            times.sort_by(f64::total_cmp);
            let median = *times.get(times.len() / 2)?;
            Some(Excess { resource, workloads: times.len(), times: median })
        };
        Resource::ALL.into_iter().filter_map(of).collect()
    }

    /// How many workloads are in lasting excess of some resource, each counted once a resource.
    pub fn excess_count(&self) -> usize {
        self.lasting.iter().map(BTreeMap::len).sum()
    }
}

fn warn(workload: &WorkloadId, resource: Resource, times: f64) {
    tracing::warn!(
        %workload,
        kpi = resource.kpi(),
        "most values of the last hour are about {times:.0} times the capacity: a likely error of the KPI's unit or of \
         the mapping; they count as missing, and no capacity is asked for"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::tests::enveloped;
    use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName, MEMORY_BYTES};

    fn kpi(name: &str, value: f64) -> Kpi {
        Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: Some(value) }
    }

    /// A sample of a workload with 2 cores and 2 GB.
    fn sample(name: &str, minute: i64, cpu: f64, memory: f64) -> Sample {
        let kpis = vec![kpi(CPU_CORES_USED, cpu), kpi(MEMORY_BYTES, memory)];
        enveloped(name, 1_699_920_000 + 60 * minute, 60, kpis).sample
    }

    #[test]
    fn a_single_spike_costs_one_value() {
        let mut plausibility = Plausibility::default();
        for minute in 0..120 {
            let cpu = if minute == 70 { 1.8e16 } else { 0.3 };
            let mut sample = sample("api-7", minute, cpu, 2e8);
            plausibility.screen(&mut sample, 10.0);
            assert_eq!(sample.kpis[0].value, (minute != 70).then_some(0.3));
            assert_eq!((sample.kpis[1].value, sample.capacity.is_some()), (Some(2e8), true));
        }
        assert_eq!(plausibility.excesses(), []);
    }

    #[test]
    fn lasting_excess_is_told_with_its_factor_and_leaves_no_capacity() {
        let mut plausibility = Plausibility::default();
        for minute in 0..90 {
            for (name, cpu, times) in [("a", 3.9, 50.0), ("b", 80.0, 51.0), ("c", 0.5, 52.0), ("sound", 1.0, 0.5)] {
                let mut sample = sample(name, minute, cpu, times * 2e9);
                plausibility.screen(&mut sample, 10.0);
                assert_eq!(sample.capacity.is_some(), name == "sound", "not even at first");
            }
        }
        let excess = |resource, workloads, times| Excess { resource, workloads, times };
        assert_eq!(plausibility.excesses(), [excess(Resource::Cpu, 1, 40.0), excess(Resource::Memory, 3, 51.0)]);
        plausibility.forget(&BTreeSet::from([sample("b", 0, 0.0, 0.0).workload]));
        assert_eq!(plausibility.excesses(), [excess(Resource::Memory, 2, 52.0)]);
        assert_eq!(plausibility.excess_count(), 2);
    }
}
