//! Driving one cloud: reads actions, makes the calls that the book asks for, and writes results. The edge, with the clock.
//!
//! What is to be sent is written down before it is sent, together with all results that there are. Each call has a thread
//! of control of its own on the runtime, so a slow one holds up nobody.

use super::answered::Answered;
use super::book::{Book, Came, Job, Kept, Limits};
use super::call::CallError;
use super::driver::{Aim, Driver};
use super::open::{Call, Now, Seen};
use super::order::Order;
use super::outage::{Change, Outage};
use super::position::{Course, Position};
use super::result::record;
use anyhow::{Context as _, Result};
use prescale_bus::crash_point::CrashPoint;
use prescale_bus::{Bus, BusError, CaughtUp, ConsumedRecord, ReadFrom, RecordReader, Source, cancelled_within};
use prescale_chassis::audit::Place;
use prescale_chassis::stage::decode_record;
use prescale_chassis::{BusRetry, ComponentHealth, Input};
use prescale_contracts::topics;
use prescale_domain::action::Action;
use prescale_domain::policy::violations;
use prescale_domain::time::EventTime;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// It waits for records at most so long at a time.
const POLL: Duration = Duration::from_millis(200);
/// So long while a call is under way, whose end it has to see.
const POLL_CALLED: Duration = Duration::from_millis(20);
const RECORDS_MAX: usize = 500;
/// After so many records without a result the position is written all the same.
const UNWRITTEN_MAX: usize = 1_000;
/// A reader that was lost is opened again after so long.
const REOPENED_AFTER: Duration = Duration::from_secs(1);
/// A partition that ends before what was read of it was made anew, where so many looks say so: one whose leader has just
/// changed may say so once.
const SHORT_LOOKS: u32 = 5;
/// What was not written down within so long is not sent, in milliseconds.
const WRITTEN_WITHIN_MS: u64 = 5_000;
/// Workloads of which nothing need be known are forgotten so often.
const FORGET_EVERY_MS: u64 = 60_000;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// The system's clocks.
pub fn system_clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let at = EventTime::from_ms(i64::try_from(ms(since_epoch)).unwrap_or(i64::MAX));
        Now { at, ms: ms(began.elapsed()) }
    })
}

/// What a cloud is driven with.
pub struct Setup<'a> {
    /// Name of the cloud, in metrics.
    pub cloud: &'static str,
    /// Id of the source that writes results.
    pub source: &'static str,
    /// What the cloud is called within.
    pub limits: Limits,
    /// A call that takes longer is given up, and its outcome is unknown.
    pub call_deadline: Duration,
    /// The bus.
    pub bus: &'a dyn Bus,
    /// Shows whether the cloud answers.
    pub health: ComponentHealth,
    /// Where calls run.
    pub runtime: &'a Handle,
    /// The time.
    pub clock: Clock,
}

/// What comes of a session that has ended: whoever was fenced, while another one drives the cloud, goes on after a pause.
///
/// # Errors
/// Any other error of the session.
pub fn after(
    ended: Result<()>,
    cloud: &str,
    health: &ComponentHealth,
    stop: &CancellationToken,
    fenced_pause: Duration,
) -> Result<()> {
    let Err(error) = ended else { return Ok(()) };
    health.failed(format!("{error:#}"));
    if !matches!(error.downcast_ref::<BusError>(), Some(BusError::Fenced { .. })) {
        return Err(error);
    }
    tracing::warn!("another one carries out the actions on {cloud}: {error:#}");
    cancelled_within(stop, fenced_pause);
    Ok(())
}

/// Drives a cloud until the shutdown. Blocks; what is open then is taken up again by the next run.
///
/// # Errors
/// When the bus is lost, or another one has opened the source meanwhile ([`BusError::Fenced`]).
pub fn run<D: Driver>(driver: &Arc<D>, setup: &Setup<'_>, stop: &CancellationToken) -> Result<()> {
    let retry = BusRetry::new(setup.source, setup.health.clone(), stop);
    match Session::open(driver, setup, retry)? {
        Some(session) => session.run(),
        None => Ok(()),
    }
}

/// A job, with what came of it.
type Done = (Job, Came);

struct Session<'a, D> {
    driver: &'a Arc<D>,
    setup: &'a Setup<'a>,
    retry: BusRetry,
    log: Box<dyn Source>,
    reader: Box<dyn RecordReader>,
    stored: Position,
    /// What had a result when this session began, until all that was there then is read.
    answered: Option<Answered>,
    course: Course,
    book: Book,
    outage: Outage,
    done: (SyncSender<Done>, Receiver<Done>),
    /// Calls whose end was not seen yet.
    under_way: usize,
    unwritten: usize,
    forgot_ms: u64,
}

impl<'a, D: Driver> Session<'a, D> {
    /// Takes up what the one before has left; `None` when the shutdown comes before the bus.
    fn open(driver: &'a Arc<D>, setup: &'a Setup<'a>, retry: BusRetry) -> Result<Option<Self>> {
        let opened = retry.run(|| {
            let mut log = setup.bus.source(setup.source)?;
            let stored = log.position()?;
            Ok((log, stored))
        });
        let Some((log, stored)) = opened.with_context(|| format!("cannot open source {}", setup.source))? else {
            return Ok(None);
        };
        let mut stored = stored.map(|bytes| Position::decode(&bytes)).transpose()?.unwrap_or_default();
        let Some(answered) = Answered::read(setup.bus, &retry)? else { return Ok(None) };
        let Some(reader) = reader(setup, &retry, &mut stored)? else { return Ok(None) };
        setup.health.ready();
        Ok(Some(Self {
            driver,
            setup,
            log,
            reader,
            course: Course::of(&stored),
            stored,
            answered: Some(answered),
            book: Book::new(setup.limits.clone(), driver.mechanisms(), driver.undoes_withdrawn()),
            outage: Outage::default(),
            done: sync_channel(setup.limits.calls_in_flight_max.max(1)),
            under_way: 0,
            unwritten: 0,
            forgot_ms: 0,
            retry,
        }))
    }

    fn run(mut self) -> Result<()> {
        let ended = self.goes_on();
        self.waits_for_calls();
        ended
    }

    /// Calls that are under way have their time, so that whoever calls next sees what came of them.
    fn waits_for_calls(&mut self) {
        self.setup.health.idle();
        let until = Instant::now() + self.setup.call_deadline;
        while self.under_way > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if self.done.1.recv_timeout(left).is_err() {
                return;
            }
            self.under_way -= 1;
        }
    }

    fn goes_on(&mut self) -> Result<()> {
        while !self.retry.shutdown().is_cancelled() {
            self.setup.health.alive();
            let now = (self.setup.clock)();
            while let Ok((job, came)) = self.done.1.try_recv() {
                self.under_way -= 1;
                self.came(&job, came, now);
            }
            let jobs = self.book.jobs(now);
            let sends = jobs.iter().any(|job| matches!(job.call, Call::Send(_)));
            if !self.write(sends, now)? {
                return Ok(());
            }
            self.make(jobs, now);
            if now.ms.saturating_sub(self.forgot_ms) >= FORGET_EVERY_MS {
                self.forgot_ms = now.ms;
                self.book.forget(now);
            }
            self.setup.health.idle();
            if !self.read(self.wait(now))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How long it may wait for records.
    fn wait(&self, now: Now) -> Duration {
        let most = if self.book.in_flight() > 0 { POLL_CALLED } else { POLL };
        let until_due = self.book.wake_ms(now).map(|at_ms| Duration::from_millis(at_ms.saturating_sub(now.ms)));
        until_due.map_or(most, |until_due| until_due.min(most))
    }

    /// Takes in what has come; false when the shutdown comes before the bus.
    fn read(&mut self, wait: Duration) -> Result<bool> {
        match self.reader.poll(RECORDS_MAX, wait) {
            Ok((records, caught_up)) => {
                let now = (self.setup.clock)();
                self.unwritten += records.len();
                for record in &records {
                    if !self.take(record, now)? {
                        return Ok(false);
                    }
                }
                if caught_up == CaughtUp::Yes {
                    self.answered = None;
                }
                Ok(true)
            }
            Err(BusError::Backend { retryable: true, context, message }) => {
                tracing::warn!(source = self.setup.source, "{context}: {message}; trying again");
                if cancelled_within(self.retry.shutdown(), REOPENED_AFTER) {
                    return Ok(false);
                }
                let from = self.course.next_offsets();
                let opened = self.retry.run(|| self.setup.bus.reader(topics::ACTIONS, ReadFrom::Offsets(from.clone())));
                let Some(reader) = opened.context("cannot read the actions")? else { return Ok(false) };
                self.reader = reader;
                Ok(true)
            }
            Err(error) => Err(error).context("cannot read the actions"),
        }
    }

    /// Takes up one of this cloud's actions; false when the shutdown comes before the bus. What cannot be decoded, or
    /// contradicts itself, is among the dead letters of the actuator's stage.
    fn take(&mut self, record: &ConsumedRecord, now: Now) -> Result<bool> {
        let place = Place::of(record);
        let platform = self.driver.platform();
        let is_ours = |Input { value: action, .. }: &Input<Action>| {
            action.platform == platform && (action.is_withdrawal() || violations(action).is_empty())
        };
        let Some(Input { envelope, value: action }) = decode_record(record).ok().filter(is_ours) else {
            self.course.pass(place, None);
            return Ok(true);
        };
        let order = Order { place, envelope, action };
        let until = order.remembered_until();
        if self.answered.is_none() && until <= now.at {
            // It comes later than any should: from the dead letters, perhaps, where it may have been answered before.
            self.answered = Answered::read(self.setup.bus, &self.retry)?;
            if self.answered.is_none() {
                return Ok(false);
            }
        }
        let is_answered = self.answered.as_ref().is_some_and(|answered| answered.has(&order));
        let kept = if is_answered { Kept::Answered } else { self.stored.kept(place) };
        self.book.take(order, kept, now);
        self.course.pass(place, Some(until));
        Ok(true)
    }

    /// Takes in how a call ended.
    fn came(&mut self, job: &Job, came: Came, now: Now) {
        let (call, ended) = (
            name_of(&job.call),
            match &came {
                Came::Failed(error) => Err(error),
                Came::Seen(_) | Came::Taken => Ok(()),
            },
        );
        let (cloud, came_to) = (self.setup.cloud, ended.map_or_else(CallError::name, |()| "answered"));
        metrics::counter!("prescale_actuator_calls_total", "cloud" => cloud, "call" => call, "came" => came_to)
            .increment(1);
        match self.outage.take(ended) {
            Change::None => {}
            Change::Begins(why) => {
                tracing::warn!(cloud, "it does not answer, and is called again: {why}");
                self.setup.health.failed(format!("waits: {why}"));
            }
            Change::Ends => {
                tracing::info!(cloud, "it answers again");
                self.setup.health.ready();
            }
        }
        self.book.came(job, came, now);
    }

    /// Writes the results that there are, with the position; the position alone where something is about to be sent, or
    /// after many records. False when the shutdown comes before the bus.
    fn write(&mut self, sends: bool, now: Now) -> Result<bool> {
        let ended = self.book.ended();
        if ended.is_empty() && !sends && self.unwritten < UNWRITTEN_MAX {
            return Ok(true);
        }
        let records = ended.iter().map(|ended| record(ended, now.at)).collect::<Result<Vec<_>, _>>()?;
        let position = self.course.position(self.book.open(), now).encode();
        let (log, mut is_again) = (&mut self.log, false);
        let written = self.retry.run(|| {
            let is_written = std::mem::replace(&mut is_again, true) && log.position()?.as_deref() == Some(&*position);
            if is_written { Ok(()) } else { log.append(records.clone(), &position) }
        });
        let written = written.with_context(|| format!("source {} cannot write", self.setup.source))?.is_some();
        if written {
            self.unwritten = 0;
            metrics::counter!("prescale_actuator_results_total", "cloud" => self.setup.cloud)
                .increment(ended.len() as u64);
            metrics::gauge!("prescale_actuator_open_actions", "cloud" => self.setup.cloud)
                .set(self.book.open().count() as f64);
        }
        Ok(written)
    }

    /// Makes the calls that were due at `due`. Where writing them down took long, what is to be sent is looked at anew:
    /// it may be void or withdrawn by now, or this one may not be the one any more that calls.
    fn make(&mut self, jobs: Vec<Job>, due: Now) {
        if self.retry.shutdown().is_cancelled() {
            return;
        }
        let now = (self.setup.clock)();
        let is_late = now.ms.saturating_sub(due.ms) > WRITTEN_WITHIN_MS;
        for job in jobs {
            let valid_until = job.aim.order.valid_until();
            let is_late = is_late || (due.at < valid_until && valid_until <= now.at);
            if is_late && matches!(job.call, Call::Send(_)) {
                let why = "it took long to write down what is to be sent".to_owned();
                tracing::warn!(cloud = self.setup.cloud, workload = %job.aim.order.workload(), "{why}");
                self.book.came(&job, Came::Failed(CallError::Conflict { why }), now);
            } else {
                self.call(job, now);
            }
        }
    }

    /// Makes a call; what comes of it is seen by the loop. It is given up when its action becomes void.
    fn call(&mut self, job: Job, now: Now) {
        self.under_way += 1;
        let (driver, clock, done) = (Arc::clone(self.driver), Arc::clone(&self.setup.clock), self.done.0.clone());
        let valid_ms = job.aim.order.valid_until().as_ms().saturating_sub(now.at.as_ms());
        let deadline = match (&job.call, u64::try_from(valid_ms)) {
            // One that is made although its action is void brings something to a close.
            (Call::Send(_), Ok(valid_ms @ 1..)) => self.setup.call_deadline.min(Duration::from_millis(valid_ms)),
            _ => self.setup.call_deadline,
        };
        let asked = job.clone();
        let answer = self.setup.runtime.spawn(async move {
            let answer = tokio::time::timeout(deadline, answer_of(driver.as_ref(), &asked, &clock)).await;
            let why = || format!("it took longer than {} s", deadline.as_secs_f64());
            answer.unwrap_or_else(|_| Came::Failed(CallError::Unknown { why: why() }))
        });
        self.setup.runtime.spawn(async move {
            let came = answer.await.unwrap_or_else(|error| {
                // A defect, which must not leave its workload without a next call.
                Came::Failed(CallError::Unknown { why: error.to_string() })
            });
            // There is room for as many as may be under way; nobody listens any more after the shutdown.
            drop(done.try_send((job, came)));
        });
    }
}

async fn answer_of<D: Driver>(driver: &D, Job { aim, call }: &Job, clock: &Clock) -> Came {
    let answer = match call {
        Call::Look => driver.observe(aim).await.map(|facts| Came::Seen(seen(driver, &facts, aim, clock().at))),
        Call::Send(request) => {
            CrashPoint::CloudCalling.pass();
            let answer = driver.send(request).await;
            CrashPoint::CloudAnswered.pass();
            answer.map(|()| Came::Taken)
        }
        Call::Check(request) => driver.check(request).await.map(|()| Came::Taken),
    };
    answer.unwrap_or_else(Came::Failed)
}

fn seen<D: Driver>(driver: &D, facts: &D::Facts, aim: &Aim, at: EventTime) -> Seen {
    Seen { standing: driver.standing(facts, aim), step: driver.next(facts, aim, at) }
}

fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Look => "look",
        Call::Send(_) => "send",
        Call::Check(_) => "check",
    }
}

/// A reader of the actions from where the position says; `None` when the shutdown comes before the bus.
fn reader(setup: &Setup<'_>, retry: &BusRetry, stored: &mut Position) -> Result<Option<Box<dyn RecordReader>>> {
    let mut looks = 0;
    loop {
        let from = stored.starts();
        let opened = retry.run(|| {
            let reader = setup.bus.reader(topics::ACTIONS, ReadFrom::Offsets(from.clone()))?;
            let reached = reader.reached()?;
            Ok((reader, reached))
        });
        let Some((reader, reached)) = opened.context("cannot read the actions")? else { return Ok(None) };
        let reaches = |partition: u32| reached.get(partition as usize).copied().unwrap_or(0);
        let anew: Vec<u32> = from.iter().filter(|(p, from)| reaches(**p) < **from).map(|(p, _)| *p).collect();
        if anew.is_empty() {
            return Ok(Some(reader));
        }
        looks += 1;
        if looks < SHORT_LOOKS {
            if cancelled_within(retry.shutdown(), REOPENED_AFTER) {
                return Ok(None);
            }
            continue;
        }
        tracing::warn!(source = setup.source, "partitions {anew:?} of the actions were made anew, and are read anew");
        anew.into_iter().for_each(|partition| stored.forget(partition));
    }
}
