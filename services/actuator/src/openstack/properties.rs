//! Random orders of actions, withdrawals, crashes, lost and late answers, failures and other people, over a Nova that does
//! what the real one was seen to do: each action has one result, makes servers and resizes each at most once, and no resize is
//! left waiting.

use super::config::ResizeMode;
use super::leftovers::abandoned;
use super::plan::{Rules, next, standing};
use super::server::{Server, Status};
use super::testing::{Nova, order, withdrawn};
use crate::drive::book::{Book, Came, Job, Limits};
use crate::drive::call::CallError;
use crate::drive::open::{Call, Now, Seen};
use crate::drive::order::Order;
use crate::drive::position::{Course, Position};
use crate::drive::step::Request;
use prescale_domain::action::ActionOutcome;
use prescale_domain::time::EventTime;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FLAVORS: [&str; 3] = ["c1", "c2", "c4"];

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next record is read.
    Reads,
    /// What is due is written down and called.
    Calls,
    /// As before, with a crash between; what was under way may take effect.
    CallsAndCrashes(u8),
    /// One of the calls under way ends so.
    Ends {
        which: usize,
        how: u8,
    },
    /// A request arrives whose sender has given it up.
    Arrives(usize),
    /// Nova goes on with a server, or fails.
    GoesOn {
        which: usize,
        how: u8,
    },
    Passes {
        s: i64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Reads),
        6 => Just(Event::Calls),
        1 => any::<u8>().prop_map(Event::CallsAndCrashes),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Event::Ends { which, how }),
        1 => any::<usize>().prop_map(Event::Arrives),
        6 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Event::GoesOn { which, how }),
        4 => (1..40i64).prop_map(|s| Event::Passes { s }),
    ]
}

/// Actions that follow one another, some withdrawn.
fn log() -> impl Strategy<Value = Vec<Order>> {
    let one = (1..5u32, 0..FLAVORS.len(), 0..FLAVORS.len(), 1..5u32, 60..900i64, 0..6u8);
    prop::collection::vec(one, 1..8).prop_map(|drawn| {
        let mut log: Vec<Order> = Vec::new();
        for (from, had, wanted, to, valid_s, kind) in drawn {
            let nth = i64::try_from(log.len()).unwrap();
            let one = match log.last() {
                Some(before) if kind == 0 && !before.action.is_withdrawal() => withdrawn(before, nth),
                _ => order((from, FLAVORS[had]), (to, FLAVORS[wanted]), (100 * nth, valid_s), nth),
            };
            log.push(one);
        }
        log
    })
}

struct World {
    rules: Rules,
    log: Vec<Order>,
    next: usize,
    book: Book,
    course: Course,
    stored: Position,
    under_way: Vec<Job>,
    /// Requests that nobody waits for any more, each with its action.
    late: Vec<(Request, String)>,
    nova: Nova,
    results: BTreeMap<String, Vec<ActionOutcome>>,
    now: Now,
}

impl World {
    fn of(log: Vec<Order>, servers: u32, resize: ResizeMode) -> Self {
        let stored = Position::default();
        Self {
            rules: Rules { resize, ..Rules::default() },
            log,
            next: 0,
            book: fresh(),
            course: Course::of(&stored),
            stored,
            under_way: Vec::new(),
            late: Vec::new(),
            nova: Nova::of(servers),
            results: BTreeMap::new(),
            now: Now { at: EventTime::from_s(0), ms: 0 },
        }
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Reads => self.reads(),
            Event::Calls => self.calls()?,
            Event::CallsAndCrashes(how) => {
                self.calls()?;
                self.crashes(how);
            }
            Event::Ends { which, how } if !self.under_way.is_empty() => {
                let job = self.under_way.remove(which % self.under_way.len());
                self.ends(&job, how);
            }
            Event::Arrives(which) if !self.late.is_empty() => {
                let (request, action) = self.late.remove(which % self.late.len());
                drop(self.nova.takes(&request, &action));
            }
            Event::Ends { .. } | Event::Arrives(_) => {}
            Event::GoesOn { which, how } => self.nova.goes_on(which, how),
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
        self.book.take(order, self.stored.kept(place), self.now);
        self.course.pass(place, Some(until));
    }

    fn calls(&mut self) -> Result<(), TestCaseError> {
        let jobs = self.book.jobs(self.now);
        for ended in self.book.ended() {
            self.results.entry(ended.order.id().to_string()).or_default().push(ended.outcome);
        }
        self.stored = self.course.position(self.book.open(), self.now);
        for job in jobs {
            if let Call::Send(request) = &job.call {
                let is_begun = request.path == "/servers" || request.body.get("resize").is_some();
                let is_void = self.now.at >= job.aim.order.valid_until();
                prop_assert!(!(is_begun && is_void), "{request:?} of an action that is void");
            }
            self.under_way.push(job);
        }
        Ok(())
    }

    fn crashes(&mut self, how: u8) {
        for job in std::mem::take(&mut self.under_way) {
            let Call::Send(request) = job.call else { continue };
            let action = job.aim.order.id().to_string();
            match how % 3 {
                0 => drop(self.nova.takes(&request, &action)),
                1 => self.late.push((request, action)),
                _ => {}
            }
        }
        (self.book, self.course) = (fresh(), Course::of(&self.stored));
        self.next = self.stored.starts().get(&0).map_or(0, |offset| usize::try_from(*offset).unwrap());
    }

    fn ends(&mut self, job: &Job, how: u8) {
        let lost = || Came::Failed(CallError::Unknown { why: "no answer".to_owned() });
        let action = job.aim.order.id().to_string();
        let came = match (&job.call, how % 8) {
            (Call::Send(request), 0) => {
                drop(self.nova.takes(request, &action));
                lost()
            }
            (Call::Send(request), 1) => {
                self.late.push((request.clone(), action));
                lost()
            }
            (Call::Send(request), 2) => {
                // Nova has begun, and tells of a failure.
                drop(self.nova.takes(request, &action));
                Came::Failed(CallError::Aborted { why: "500".to_owned() })
            }
            (_, 3) => Came::Failed(CallError::Aborted { why: "503".to_owned() }),
            (Call::Send(request), _) => self.nova.takes(request, &action).map_or_else(Came::Failed, |()| Came::Taken),
            (Call::Look, _) => {
                let facts = self.nova.facts();
                let step = next(&facts, &self.rules, &job.aim, self.now.at);
                Came::Seen(Seen { standing: standing(&facts, &self.rules, &job.aim), step })
            }
            (Call::Check(_), _) => lost(),
        };
        self.book.came(job, came, self.now);
    }

    /// Everything is read, arrives, is answered and goes on, and time passes, until nothing is left to do.
    fn comes_to_rest(&mut self) -> Result<(), TestCaseError> {
        while let Some((request, action)) = self.late.pop() {
            drop(self.nova.takes(&request, &action));
        }
        for _ in 0..500 {
            while self.next < self.log.len() {
                self.reads();
            }
            self.calls()?;
            while let Some(job) = self.under_way.pop() {
                self.ends(&job, 7);
            }
            for which in 0..self.nova.servers.len() {
                self.nova.goes_on(which, 5);
            }
            self.happens(Event::Passes { s: 5 })?;
        }
        // What no action looks after is swept.
        let swept: Vec<Request> = self.nova.servers.iter().filter_map(abandoned).collect();
        for request in swept {
            drop(self.nova.takes(&request, "swept"));
        }
        for _ in 0..3 {
            (0..self.nova.servers.len()).for_each(|which| self.nova.goes_on(which, 5));
        }
        self.calls()
    }
}

fn fresh() -> Book {
    let limits = Limits { calls_in_flight_max: 2, calls_per_s_max: 50.0, settle_s: 300 };
    Book::new(limits, super::MECHANISMS, true)
}

fn mode() -> impl Strategy<Value = ResizeMode> {
    prop::sample::select(vec![ResizeMode::Restart, ResizeMode::Restart, ResizeMode::Replace, ResizeMode::Refuse])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn each_action_has_one_result_and_each_effect_at_most_once_and_no_resize_is_left_waiting(
        (log, servers, mode) in (log(), 1..4u32, mode()),
        events in prop::collection::vec(event(), 0..200),
    ) {
        let ids: Vec<String> = log.iter().map(|order| order.id().to_string()).collect();
        let mut world = World::of(log, servers, mode);
        for event in events {
            world.happens(event)?;
        }
        world.comes_to_rest()?;
        for id in &ids {
            prop_assert_eq!(world.results.get(id).map(Vec::len), Some(1), "{} of {:?}", id, world.results);
        }
        for (id, times) in &world.nova.makes {
            prop_assert!(*times <= 1, "{id} has made servers {times} times");
        }
        for ((id, server), times) in &world.nova.resizes {
            prop_assert!(*times <= 1, "{id} has resized {server} {times} times");
        }
        let is_left = |server: &&Server| matches!(server.status, Status::Resize | Status::VerifyResize | Status::RevertResize);
        let left: Vec<&Server> = world.nova.servers.iter().filter(is_left).collect();
        prop_assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn where_nothing_goes_wrong_the_newest_action_is_what_there_is(
        from in 1..4u32,
        (to, wanted) in (1..4u32, 0..FLAVORS.len()),
        restarts in any::<bool>(),
    ) {
        let mode = if restarts { ResizeMode::Restart } else { ResizeMode::Replace };
        let order = order((from, "c1"), (to, FLAVORS[wanted]), (0, 900), 0);
        let mut world = World::of(vec![order], from, mode);
        world.comes_to_rest()?;
        let flavors: Vec<&str> = world.nova.servers.iter().map(|server| server.flavor.name.as_str()).collect();
        prop_assert_eq!(flavors, vec![FLAVORS[wanted]; to as usize], "{:?}", world.results);
        let outcomes: Vec<&ActionOutcome> = world.results.values().flatten().collect();
        prop_assert!(matches!(outcomes[..], [ActionOutcome::Applied { .. }]), "{outcomes:?}");
    }
}
