//! Sessions over the embedded log, against cells that may hang.

use super::book::Limits;
use super::call::CallError;
use super::driver::{Aim, Driver, Standing};
use super::open::Now;
use super::order::Order;
use super::session::{Setup, run};
use super::step::{Request, Step};
use super::testing::{CELLS, Cell, Cells, id_of, next, order, standing};
use prescale_bus::{Bus, BusError, CaughtUp, Cleanup, ReadFrom, TopicSpec};
use prescale_chassis::bus_access::{BusConfig, EmbeddedConfig};
use prescale_chassis::{HealthRegistry, open_bus, output_record};
use prescale_contracts::{Contract, topics};
use prescale_domain::action::{ActionOutcome, ActionResult, Mechanism};
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const WITHIN: Duration = Duration::from_secs(120);

#[derive(Default)]
struct CellDriver {
    cells: Mutex<Cells>,
    /// Workloads of which no call ends.
    hang: Mutex<BTreeSet<String>>,
}

impl CellDriver {
    async fn answers(&self, workload: &str) {
        if self.hang.lock().unwrap().contains(workload) {
            std::future::pending::<()>().await;
        }
    }
}

impl Driver for CellDriver {
    type Facts = Cell;

    fn platform(&self) -> Platform {
        CELLS
    }

    fn mechanisms(&self) -> &'static [Mechanism] {
        &[Mechanism::Replicas]
    }

    fn undoes_withdrawn(&self) -> bool {
        false
    }

    async fn observe(&self, aim: &Aim) -> Result<Cell, CallError> {
        self.answers(aim.order.workload().as_str()).await;
        Ok(self.cells.lock().unwrap().cell(aim.order.workload()))
    }

    fn standing(&self, cell: &Cell, aim: &Aim) -> Standing {
        standing(cell, aim)
    }

    fn next(&self, cell: &Cell, aim: &Aim, now: EventTime) -> Step {
        next(cell, aim, now)
    }

    async fn send(&self, request: &Request) -> Result<(), CallError> {
        self.answers(&request.path).await;
        self.cells.lock().unwrap().change(request)
    }

    async fn check(&self, _request: &Request) -> Result<(), CallError> {
        Ok(())
    }
}

/// A log, a cloud and a wall clock that stands still until it is told otherwise.
struct World {
    bus: Arc<dyn Bus>,
    driver: Arc<CellDriver>,
    runtime: Runtime,
    wall_s: Arc<AtomicI64>,
    began: Instant,
}

impl World {
    fn new(folder: &Path) -> Self {
        let embedded = EmbeddedConfig { path: folder.join("bus.db"), ..EmbeddedConfig::default() };
        let bus = open_bus(&BusConfig { embedded, ..BusConfig::default() }).unwrap();
        let spec = |name: &str| TopicSpec {
            name: name.to_owned(),
            partitions: 2,
            replication: 1,
            cleanup: Cleanup::Delete { retention_ms: i64::MAX },
        };
        bus.ensure_topics(&[spec(topics::ACTIONS), spec(topics::ACTION_RESULTS)]).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let (wall_s, began) = (Arc::new(AtomicI64::new(1)), Instant::now());
        Self { bus, driver: Arc::default(), runtime, wall_s, began }
    }

    fn write(&self, orders: &[Order]) {
        let record = |order: &Order| output_record(&order.envelope, topics::ACTIONS, &order.action).unwrap();
        self.bus.source("test").unwrap().append(orders.iter().map(record).collect(), b"0").unwrap();
    }

    fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let (wall_s, began) = (Arc::clone(&self.wall_s), self.began);
        let setup = Setup {
            cloud: "cells",
            source: "actuator.cells",
            limits: Limits { calls_in_flight_max: 4, calls_per_s_max: 10_000.0, settle_s: 1 },
            call_deadline: Duration::from_millis(50),
            bus: self.bus.as_ref(),
            health: HealthRegistry::default().component("actuator.cells"),
            runtime: self.runtime.handle(),
            clock: Arc::new(move || {
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap();
                Now { at: EventTime::from_s(wall_s.load(Ordering::Relaxed)), ms }
            }),
        };
        run(&self.driver, &setup, stop)
    }

    /// Results by action, once there are so many.
    fn results(&self, count: usize) -> BTreeMap<String, ActionOutcome> {
        let began = Instant::now();
        loop {
            let mut reader = self.bus.reader(topics::ACTION_RESULTS, ReadFrom::Earliest).unwrap();
            let mut results = Vec::new();
            loop {
                let (records, caught_up) = reader.poll(1000, Duration::from_millis(20)).unwrap();
                let result = |bytes: &[u8]| ActionResult::decode(bytes).unwrap();
                results.extend(records.iter().map(|record| result(record.value.as_deref().unwrap())));
                if caught_up == CaughtUp::Yes {
                    break;
                }
            }
            if results.len() >= count {
                assert_eq!(results.len(), count, "{results:?}");
                let all: BTreeMap<String, ActionOutcome> =
                    results.into_iter().map(|result| (result.action_id.to_string(), result.outcome)).collect();
                assert_eq!(all.len(), count, "each action has one");
                return all;
            }
            assert!(began.elapsed() < WITHIN, "{} of {count} results", results.len());
        }
    }
}

fn orders(count: i64) -> Vec<Order> {
    (0..count).map(|nth| order(&format!("w{nth}"), (0, 900), 4, nth)).collect()
}

#[test]
fn a_call_that_hangs_holds_up_nobody_else_and_is_given_up_when_its_action_is_void() {
    let folder = tempfile::tempdir().unwrap();
    let (world, orders, stop) = (World::new(folder.path()), orders(20), CancellationToken::new());
    world.driver.hang.lock().unwrap().insert("w7".to_owned());
    world.write(&orders);
    std::thread::scope(|scope| {
        let session = scope.spawn(|| world.run(&stop));
        let applied = world.results(19);
        assert!(applied.values().all(|outcome| matches!(outcome, ActionOutcome::Applied { .. })), "{applied:?}");
        assert!(!applied.contains_key(&id_of(&orders[7])));
        world.wall_s.store(901, Ordering::Relaxed);
        let hung = world.results(20).remove(&id_of(&orders[7])).unwrap();
        assert!(matches!(&hung, ActionOutcome::Superseded { why } if why.contains("void")), "{hung:?}");
        stop.cancel();
        session.join().unwrap().unwrap();
    });
    let cells = world.driver.cells.lock().unwrap();
    assert_eq!((cells.effects.len(), cells.effects.values().max()), (19, Some(&1)));
}

#[test]
fn a_new_session_takes_up_what_is_open_and_fences_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (world, orders, stop) = (World::new(folder.path()), orders(6), CancellationToken::new());
    world.driver.hang.lock().unwrap().insert("w3".to_owned());
    world.write(&orders);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.run(&stop));
        world.results(5);
        let second = scope.spawn(|| world.run(&stop));
        world.driver.hang.lock().unwrap().clear();
        let all = world.results(6);
        assert!(all.values().all(|outcome| matches!(outcome, ActionOutcome::Applied { .. })), "{all:?}");
        // Whoever of the two came last has the source, and the other one ends once it wants to write.
        let (began, mut count) = (Instant::now(), 6);
        while !first.is_finished() && !second.is_finished() {
            assert!(began.elapsed() < WITHIN, "none of them has ended");
            world.write(&[order(&format!("more{count}"), (0, 900), 4, count)]);
            count += 1;
            world.results(usize::try_from(count).unwrap());
        }
        stop.cancel();
        let ended = [first.join().unwrap(), second.join().unwrap()];
        let fenced = ended.iter().filter_map(|ended| ended.as_ref().err()?.downcast_ref::<BusError>());
        assert_eq!(fenced.filter(|error| matches!(error, BusError::Fenced { .. })).count(), 1, "{ended:?}");
    });
    assert_eq!(world.driver.cells.lock().unwrap().effects.values().max(), Some(&1));
}
