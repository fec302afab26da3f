//! The protocol of the Kafka backend under a seeded scheduler: thousands of orders in which calls,
//! markers, rebalances, crashes, stops and lost answers can come, over a model of Kafka. What comes
//! out must be exactly what the inputs ask for. That each guard is needed is shown by leaving it out.
//!
//! `SIMULATION_SEEDS=100000 cargo test --release -p bus-tests simulation` tries more of them.

mod cluster;
mod instance;

use bus_tests::conformance::stage::{ChainingFactory, expected_values};
use bus_tests::faults::seed::Chance;
use cluster::{Broken, Cluster, Name};
use instance::{Careless, Disk, Instance};
use prescale_bus::StageFactory;
use std::collections::BTreeMap;
use std::sync::Arc;

const PARTITIONS: usize = 3;
const KEYS: usize = 7;
const NAMES: Name = 2;
/// Steps with faults; then the faults end.
const STEPS_FAULTY: usize = 600;
/// A wrong output stays, so it need not be looked for after every step.
const CHECKED_EVERY_STEPS: usize = 25;
/// Steps after which the work must be done once the faults have ended.
const STEPS_MAX: usize = 60_000;

/// One run.
struct Simulation {
    cluster: Cluster,
    disks: BTreeMap<Name, Disk>,
    /// The processes; a later one of a name has taken over from the earlier ones.
    instances: Vec<Instance>,
    random: Chance,
    careless: Careless,
}

impl Simulation {
    fn new(seed: u64, broken: Broken, careless: Careless) -> Self {
        let mut random = Chance::seeded(seed);
        let mut inputs = vec![Vec::new(); PARTITIONS];
        for i in 0..20 + random.among(0..40) {
            let key = random.among(0..KEYS);
            inputs[key % PARTITIONS].push((format!("key-{key}").into_bytes(), format!("payload-{i}").into_bytes()));
        }
        let mut simulation = Self {
            cluster: Cluster::new(inputs, broken),
            disks: (0..NAMES).map(|name| (name, Disk::new())).collect(),
            instances: Vec::new(),
            random,
            careless,
        };
        (0..NAMES).for_each(|name| simulation.start(name));
        simulation
    }

    fn start(&mut self, name: Name) {
        let factory: Arc<dyn StageFactory> = Arc::new(ChainingFactory::new("in", "out"));
        let batch_records_max = 1 + self.random.among(0..5);
        self.instances.push(Instance::new(name, factory, batch_records_max, self.careless));
    }

    /// One step of one process, with its answer lost once in `losses`; never when that is 0.
    fn step(&mut self, losses: usize) {
        let at = self.random.among(0..self.instances.len());
        let answered = losses == 0 || self.random.among(0..losses) != 0;
        let name = self.instances[at].name;
        let is_newest = self.instances[at + 1..].iter().all(|later| later.name != name);
        let disk = self.disks.get_mut(&name).expect("each name has a disk");
        self.instances[at].step(&mut self.cluster, disk, answered, is_newest);
        self.instances.retain(|instance| !instance.is_over());
    }

    fn fault(&mut self) {
        let name = u32::try_from(self.random.among(0..NAMES as usize)).expect("few names");
        match self.random.among(0..4) {
            0 => {
                // Killed, and started again.
                self.instances.retain(|instance| instance.name != name);
                self.start(name);
            }
            // Stopped, and another one started in its place; it will go on.
            1 if self.instances.len() < 6 => self.start(name),
            2 => self.cluster.expel(name),
            _ => self.cluster.time_out(name),
        }
    }

    /// Runs to the end; `Err` says what was wrong.
    fn run(mut self) -> Result<(), String> {
        for step in 0..STEPS_FAULTY {
            match self.random.among(0..40) {
                0 => self.fault(),
                1..=12 => self.write_marker(),
                _ => self.step(30),
            }
            if step % CHECKED_EVERY_STEPS == 0 {
                self.check_prefix()?;
            }
        }
        for _ in 0..STEPS_MAX {
            self.write_marker();
            self.step(0);
            if self.is_done() {
                return self.check_prefix();
            }
        }
        Err("the work is not done although the faults have ended".to_owned())
    }

    fn write_marker(&mut self) {
        let name = u32::try_from(self.random.among(0..NAMES as usize)).expect("few names");
        let pick = self.random.among(0..1 << 16);
        self.cluster.go_on(name, pick);
    }

    fn is_done(&self) -> bool {
        (0..PARTITIONS).all(|p| {
            self.cluster.stable_position(p) == Some(self.cluster.inputs[p].len()) && self.cluster.committed(p).1
        })
    }

    /// What is committed is the beginning of what the inputs ask for, key by key, and goes at least
    /// as far as the positions.
    fn check_prefix(&self) -> Result<(), String> {
        for partition in 0..PARTITIONS {
            let (committed, is_settled) = self.cluster.committed(partition);
            let mut got: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
            for record in committed {
                got.entry(&record.key).or_default().push(record.value.as_deref().unwrap_or_default());
            }
            let inputs = &self.cluster.inputs[partition];
            let position = self.cluster.position(partition);
            for key in 0..KEYS {
                let key = format!("key-{key}").into_bytes();
                let of_key = |upto: usize| inputs[..upto].iter().filter(|(k, _)| *k == key).map(|(_, p)| p.as_slice());
                let wanted = expected_values(of_key(inputs.len()));
                let got = got.remove(key.as_slice()).unwrap_or_default();
                if got.len() > wanted.len() || got.iter().zip(&wanted).any(|(got, wanted)| got != wanted) {
                    let key = String::from_utf8_lossy(&key);
                    return Err(format!(
                        "partition {partition}: {key} has {} outputs, not a beginning of {}",
                        got.len(),
                        wanted.len()
                    ));
                }
                if is_settled && got.len() < of_key(position).count() {
                    return Err(format!("partition {partition}: the position {position} is ahead of the outputs"));
                }
            }
        }
        Ok(())
    }
}

fn seeds() -> u64 {
    std::env::var("SIMULATION_SEEDS").map_or(4000, |seeds| seeds.parse().expect("SIMULATION_SEEDS is a number"))
}

#[test]
fn no_order_of_events_loses_or_repeats_anything() {
    for seed in 0..seeds() {
        let ended = Simulation::new(seed, Broken::Nothing, Careless::No).run();
        assert_eq!(ended, Ok(()), "seed {seed}");
    }
}

/// Each guard that is left out shows in some order of events.
#[test]
fn every_guard_is_needed() {
    let without = [
        (Broken::Fencing, Careless::No),
        (Broken::Generations, Careless::No),
        (Broken::Nothing, Careless::AboutAnswers),
        (Broken::Nothing, Careless::AboutPositions),
        (Broken::Nothing, Careless::AboutRevocation),
    ];
    for (broken, careless) in without {
        let noticed = (0..seeds()).any(|seed| Simulation::new(seed, broken, careless).run().is_err());
        assert!(noticed, "{broken:?}, {careless:?}");
    }
}
