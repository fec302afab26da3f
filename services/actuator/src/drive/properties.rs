//! Random orders of actions, withdrawals, duplicates, answers and crashes, with somebody else who changes things: each
//! action has one result and takes effect at most once, the newest wins, and nothing is sent that should not be.

use super::book::{Book, Came, Job, Kept, Limits};
use super::call::CallError;
use super::open::{Call, Now, Seen};
use super::order::Order;
use super::position::{Course, Position};
use super::testing::{Cells, at_s, id_of, next, order, standing, withdrawal};
use prescale_domain::action::{ActionOutcome, Mechanism};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const WORKLOADS: [&str; 3] = ["app", "db", "web"];

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next record is read.
    Reads,
    /// What is due is written down and called.
    Calls,
    /// As before, with a crash between.
    CallsAndCrashes,
    /// One of the calls under way ends so.
    Ends {
        which: usize,
        how: u8,
    },
    /// Somebody else changes a cell.
    Meddles {
        which: usize,
        replicas: u32,
    },
    Passes {
        s: i64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Reads),
        4 => Just(Event::Calls),
        1 => Just(Event::CallsAndCrashes),
        6 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Event::Ends { which, how }),
        1 => (0..WORKLOADS.len(), 1..9u32).prop_map(|(which, replicas)| Event::Meddles { which, replicas }),
        3 => (1..200i64).prop_map(|s| Event::Passes { s }),
    ]
}

/// Actions in a random order, some withdrawn, some there twice.
fn log() -> impl Strategy<Value = Vec<Order>> {
    let one = (0..WORKLOADS.len(), 0..600i64, 60..900i64, 1..9u32, 0..8u8, any::<prop::sample::Index>());
    prop::collection::vec(one, 1..14).prop_map(|drawn| {
        let mut log: Vec<Order> = Vec::new();
        for (workload, decided_s, valid_s, replicas, kind, earlier) in drawn {
            let nth = log.len() as i64;
            let before = log.get(if log.is_empty() { 0 } else { earlier.index(log.len()) });
            let one = match (kind, before) {
                (0, Some(before)) if !before.action.is_withdrawal() => withdrawal(before, nth),
                (1, Some(before)) => {
                    let mut again = before.clone();
                    again.place.offset = nth;
                    again
                }
                _ => order(WORKLOADS[workload], (decided_s, valid_s), replicas, nth),
            };
            log.push(one);
        }
        log
    })
}

struct World {
    log: Vec<Order>,
    /// The next record to be read.
    next: usize,
    book: Book,
    course: Course,
    stored: Position,
    under_way: Vec<Job>,
    cells: Cells,
    results: BTreeMap<String, Vec<ActionOutcome>>,
    now: Now,
}

impl World {
    fn of(log: Vec<Order>) -> Self {
        let (stored, cells) = (Position::default(), Cells::default());
        let (book, course) = (fresh(), Course::of(&stored));
        let results = BTreeMap::new();
        Self { log, next: 0, book, course, stored, under_way: Vec::new(), cells, results, now: at_s(0) }
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Reads => self.reads(),
            Event::Calls => self.calls(false)?,
            Event::CallsAndCrashes => self.calls(true)?,
            Event::Ends { which, how } if !self.under_way.is_empty() => {
                let job = self.under_way.remove(which % self.under_way.len());
                self.ends(&job, how);
            }
            Event::Ends { .. } => {}
            Event::Meddles { which, replicas } => self.cells.meddle(WORKLOADS[which], replicas),
            Event::Passes { s } => {
                let (at, ms) = (self.now.at.plus_s(s), self.now.ms + 1000 * s.unsigned_abs());
                self.now = Now { at, ms };
            }
        }
        Ok(())
    }

    fn reads(&mut self) {
        let Some(order) = self.log.get(self.next).cloned() else { return };
        self.next += 1;
        let (place, until) = (order.place, order.remembered_until());
        let is_answered = until <= self.now.at && self.results.contains_key(&id_of(&order));
        let kept = if is_answered { Kept::Answered } else { self.stored.kept(place) };
        self.book.take(order, kept, self.now);
        self.course.pass(place, Some(until));
    }

    fn calls(&mut self, crashes: bool) -> Result<(), TestCaseError> {
        let jobs = self.book.jobs(self.now);
        for ended in self.book.ended() {
            self.results.entry(id_of(&ended.order)).or_default().push(ended.outcome);
        }
        self.stored = self.course.position(self.book.open(), self.now);
        for job in jobs {
            let is_of_workload = |other: &&Job| other.aim.order.workload() == job.aim.order.workload();
            prop_assert_eq!(self.under_way.iter().filter(is_of_workload).count(), 0, "two calls at a time");
            if let Call::Send(_) = job.call {
                let action = &job.aim.order.action;
                prop_assert!(self.now.at < action.valid_until, "it is void");
                let read = self.log[..self.next].iter().map(|order| &order.action);
                let newest = read.filter(|other| other.workload == action.workload).map(|other| other.decided_at).max();
                prop_assert_eq!(Some(action.decided_at), newest, "an older one");
            }
            self.under_way.push(job);
        }
        if crashes {
            self.crashes();
        }
        Ok(())
    }

    /// Calls that are under way may take effect all the same; nobody hears of it.
    fn crashes(&mut self) {
        for (nth, job) in std::mem::take(&mut self.under_way).into_iter().enumerate() {
            if let (Call::Send(request), 0) = (&job.call, nth % 2) {
                drop(self.cells.change(request));
            }
        }
        (self.book, self.course) = (fresh(), Course::of(&self.stored));
        self.next = self.stored.starts().get(&0).map_or(0, |offset| usize::try_from(*offset).unwrap());
    }

    fn ends(&mut self, job: &Job, how: u8) {
        let lost = || Came::Failed(CallError::Unknown { why: "no answer".to_owned() });
        let down = || Came::Failed(CallError::Unavailable { why: "503".to_owned() });
        let came = match (&job.call, how % 6) {
            (_, 0) => down(),
            (Call::Send(request), 1) => {
                drop(self.cells.change(request));
                lost()
            }
            (_, 2) => lost(),
            (Call::Send(request), _) => self.cells.change(request).map_or_else(Came::Failed, |()| Came::Taken),
            (Call::Check(_), _) => Came::Taken,
            (Call::Look, _) => {
                let cell = self.cells.cell(job.aim.order.workload());
                let step = next(&cell, &job.aim, self.now.at);
                Came::Seen(Seen { standing: standing(&cell, &job.aim), step })
            }
        };
        self.book.came(job, came, self.now);
    }

    /// All calls that can be made now are made and answered.
    fn answers_all(&mut self) -> Result<(), TestCaseError> {
        loop {
            self.calls(false)?;
            if self.under_way.is_empty() {
                return Ok(());
            }
            while let Some(job) = self.under_way.pop() {
                self.ends(&job, 3);
            }
        }
    }

    /// Everything is read and answered, and time passes, until nothing is left to do.
    fn comes_to_rest(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..200 {
            while self.next < self.log.len() {
                self.reads();
            }
            self.answers_all()?;
            self.happens(Event::Passes { s: 40 })?;
        }
        self.calls(false)
    }
}

fn fresh() -> Book {
    let limits = Limits { calls_in_flight_max: 2, calls_per_s_max: 50.0, settle_s: 300 };
    Book::new(limits, &[Mechanism::Replicas], false)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn each_action_has_one_result_and_takes_effect_at_most_once(
        log in log(),
        events in prop::collection::vec(event(), 0..160),
    ) {
        let ids: BTreeSet<String> = log.iter().map(id_of).collect();
        let mut world = World::of(log);
        for event in events {
            world.happens(event)?;
        }
        world.comes_to_rest()?;
        for id in &ids {
            prop_assert_eq!(world.results.get(id).map(Vec::len), Some(1), "{} of {:?}", id, world.results);
        }
        prop_assert_eq!(world.results.len(), ids.len());
        for (id, times) in &world.cells.effects {
            prop_assert!(*times <= 1, "{id} took effect {times} times");
        }
        prop_assert_eq!(world.book.open().count(), 0);
    }

    #[test]
    fn where_nothing_goes_wrong_the_newest_is_what_there_is(log in log(), cuts in prop::collection::vec(0..20u8, 0..9)) {
        let mut world = World::of(log.clone());
        for reads in cuts {
            (0..reads).for_each(|_| world.reads());
            world.answers_all()?;
        }
        world.comes_to_rest()?;
        for workload in WORKLOADS {
            let of_it = || log.iter().filter(|order| order.workload().as_str() == workload);
            let Some(newest) = of_it().map(|order| order.action.decided_at).max() else { continue };
            let last: Vec<&Order> = of_it().filter(|order| order.action.decided_at == newest).collect();
            let is_void = last.iter().any(|order| order.action.is_withdrawal() || order.valid_until() <= at_s(0).at);
            if let ([only], false) = (&last[..], is_void) {
                let replicas = world.cells.cell(only.workload()).replicas;
                prop_assert_eq!(replicas, only.action.desired.replicas, "{} of {:?}", workload, only);
            }
        }
    }
}
