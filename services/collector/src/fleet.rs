//! The generated fleet, which feels the results of actions.
//!
//! First its history is written, in lock-step with the stages: a chunk of event time, then all that
//! follows from it is waited for, and the results of actions are heard of before the next chunk. So
//! what the fleet does is the same on every bus and at any speed. Then it goes on live, with what
//! it has heard of by then. After a stop the gap is history as well.

use crate::append::{Appended, Appender, PlacedSample};
use crate::clock;
use crate::config::FleetConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry};
use anyhow::{Context as _, Result};
use hearing::{Ear, FEEDBACK_GROUP};
use position::Position;
use prescale_bus::Bus;
use prescale_chassis::{BusRetry, Context, Graph, Settled, Use};
use prescale_contracts::{rfc3339, topics};
use prescale_domain::fleet::{Fleet, FleetSettings, FleetState};
use prescale_domain::time::EventTime;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

mod hearing;
mod position;

#[cfg(test)]
mod tests;

/// Its entry in the list of inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "fleet",
    table: None,
    check: |config| config.fleet.check(),
    is_on: |config| config.fleet.enabled,
    uses: |_, graph| hears_and_waits(graph),
    run: |l| run(&l.config.fleet, l.context, l.bus, l.stop, l.observe),
};

/// Ticks are written together up to about so many samples.
const BATCH_SAMPLES: usize = 2000;
/// A live fleet that is so many chunks late catches up in lock-step.
const LATE_CHUNKS: i64 = 2;

/// It hears of its actions' results, and waits for the stages that lead to them.
fn hears_and_waits(graph: &Graph) -> Vec<Use> {
    let topic = topics::ACTION_RESULTS;
    let heard = [Use::Reads(topic.to_owned()), Use::Ends { group: FEEDBACK_GROUP, topic }];
    heard.into_iter().chain(graph.leading(topics::RAW_KPIS, topic).into_iter().map(Use::Watches)).collect()
}

/// Generates until shutdown, or until the end of the span that the configuration names.
fn run(
    config: &FleetConfig,
    context: &Context,
    bus: &dyn Bus,
    shutdown: &CancellationToken,
    observe: &dyn Fn(Event),
) -> Result<()> {
    let settings = settings_of(config);
    let fleet = Fleet::new(settings.clone()).context("[collector.fleet] name")?;
    let retry = BusRetry::new(fleet.source(), inputs::health(context, &ENTRY), shutdown);
    let Some((appender, stored)) = Appender::open(bus, retry.clone())? else { return Ok(()) };
    let is_new = stored.is_none();
    let position = match stored {
        Some(bytes) => position::decode(&bytes, &settings)?,
        None => {
            let start = config.start.after(None).unwrap_or_else(|| oldest(config, clock::now()));
            Position { state: fleet.start(start), heard: Vec::new(), samples_written: 0 }
        }
    };
    let Some(ear) = Ear::open(bus, &retry, position.heard)? else { return Ok(()) };
    let Position { state, samples_written, .. } = position;
    retry.health().ready();
    let mut driver = Driver {
        config,
        context,
        bus,
        settings,
        fleet,
        state,
        ear,
        appender,
        retry,
        samples_written,
        has_lock_step: true,
        nothing_to_hear: is_new,
    };
    driver.run(observe)
}

fn settings_of(config: &FleetConfig) -> FleetSettings {
    FleetSettings {
        name: config.name.as_str().into(),
        workloads: config.workloads,
        step_s: config.step_s,
        seed: config.seed,
        missing_samples_share: config.missing_samples_share,
        missing_values_share: config.missing_values_share,
    }
}

/// First instant of a history that ends at `now`.
fn oldest(config: &FleetConfig, now: EventTime) -> EventTime {
    let begin = now.plus_s(-i64::from(config.history_s)).max(EventTime::from_ms(0));
    EventTime::of_bin(begin.bin(config.feedback_s), config.feedback_s)
}

struct Driver<'a> {
    config: &'a FleetConfig,
    context: &'a Context,
    bus: &'a dyn Bus,
    settings: FleetSettings,
    fleet: Fleet,
    state: FleetState,
    ear: Ear,
    appender: Appender,
    retry: BusRetry,
    samples_written: u64,
    /// False once the stages were waited for in vain.
    has_lock_step: bool,
    /// True for a new fleet, of which no result can be there.
    nothing_to_hear: bool,
}

impl Driver<'_> {
    fn run(&mut self, observe: &dyn Fn(Event)) -> Result<()> {
        if let Some(until) = self.config.until.after(self.config.start.after(None)) {
            self.announce("until", until);
            if self.history(Some(until), observe)? {
                tracing::info!(source = self.retry.id(), self.samples_written, "the fleet's span is written");
                self.retry.health().idle();
                observe(Event::FleetEnded { samples_written: self.samples_written });
            }
            return Ok(());
        }
        loop {
            self.skip_what_is_too_old();
            self.announce("and then live, now", clock::now());
            if !self.history(None, observe)? {
                return Ok(());
            }
            tracing::info!(source = self.retry.id(), "the fleet is live");
            observe(Event::FleetLive);
            if !self.live()? {
                return Ok(());
            }
        }
    }

    fn announce(&self, what: &str, until: EventTime) {
        let at = self.fleet.next_at(&self.state);
        if at >= until {
            return;
        }
        let (at, until) = (rfc3339(at), rfc3339(until));
        tracing::info!(source = self.retry.id(), "the fleet goes on from {at} in lock-step, {what} {until}");
    }

    fn skip_what_is_too_old(&mut self) {
        let (at, oldest) = (self.fleet.next_at(&self.state), oldest(self.config, clock::now()));
        if at < oldest && self.samples_written > 0 {
            tracing::warn!(
                source = self.retry.id(),
                "the fleet stood still for longer than history_s: {} to {} is left out",
                rfc3339(at),
                rfc3339(oldest)
            );
            self.fleet.skip_to(&mut self.state, oldest);
        }
    }

    /// Writes whole chunks up to the clock, or chunks up to `until`; false when the shutdown came
    /// first.
    fn history(&mut self, until: Option<EventTime>, observe: &dyn Fn(Event)) -> Result<bool> {
        let chunk_s = self.config.feedback_s;
        self.has_lock_step = true;
        loop {
            let at = self.fleet.next_at(&self.state);
            let chunk_end = EventTime::of_bin(at.bin(chunk_s) + 1, chunk_s);
            let limit = until.unwrap_or_else(clock::now);
            let end = if until.is_some() { chunk_end.min(limit) } else { chunk_end };
            if at >= limit || end > limit {
                return Ok(true);
            }
            let begins_a_chunk = at.bin(chunk_s) != at.plus_s(-i64::from(self.config.step_s)).bin(chunk_s);
            if begins_a_chunk && !self.nothing_to_hear && !self.hear_in_lock_step()? {
                return Ok(false);
            }
            self.nothing_to_hear = false;
            if !self.write_until(end)? {
                return Ok(false);
            }
            observe(Event::FleetProgress { at: end, until: limit });
        }
    }

    /// Goes on with the clock; false at the shutdown, true when it fell behind.
    fn live(&mut self) -> Result<bool> {
        let (step_s, late_s) = (i64::from(self.config.step_s), LATE_CHUNKS * i64::from(self.config.feedback_s));
        loop {
            let due = self.fleet.next_at(&self.state);
            self.retry.health().idle();
            if clock::now() >= due.plus_s(late_s + step_s) {
                return Ok(true);
            }
            if !clock::wait_until(due, self.retry.shutdown()) || !self.hear_now()? {
                return Ok(false);
            }
            if !self.write_until(due.plus_s(1))? {
                return Ok(false);
            }
        }
    }

    fn hear_in_lock_step(&mut self) -> Result<bool> {
        if !self.has_lock_step {
            return self.hear_now();
        }
        self.retry.health().idle();
        let patience = Duration::from_secs(self.config.settle_s_max.into());
        let settled = self.retry.run(|| self.context.settled_while_moving(self.bus, self.retry.shutdown(), patience));
        match settled.context("cannot see whether the stages have caught up")? {
            None | Some(Some(Settled::Shutdown)) => Ok(false),
            Some(None) => {
                tracing::warn!(
                    source = self.retry.id(),
                    "the stages have not moved for {} s: the history goes on without waiting for them, and results of \
                     actions are felt when they come",
                    self.config.settle_s_max
                );
                self.has_lock_step = false;
                self.hear_now()
            }
            Some(Some(Settled::Yes)) => {
                let Self { ear, bus, retry, fleet, state, .. } = self;
                ear.hear_all(*bus, retry, |result| {
                    fleet.feel(state, &result);
                })
            }
        }
    }

    fn hear_now(&mut self) -> Result<bool> {
        let Self { ear, retry, fleet, state, .. } = self;
        ear.hear_now(retry, |result| {
            fleet.feel(state, &result);
        })
    }

    /// Writes the ticks before `end`; false when the shutdown came first.
    fn write_until(&mut self, end: EventTime) -> Result<bool> {
        while self.fleet.next_at(&self.state) < end {
            let mut batch = Vec::new();
            while batch.len() < BATCH_SAMPLES && self.fleet.next_at(&self.state) < end {
                let place = self.fleet.next_at(&self.state).as_ms().to_string();
                let samples = self.fleet.tick(&mut self.state).into_iter();
                batch.extend(samples.map(|sample| PlacedSample { sample, place: place.clone() }));
            }
            self.samples_written += batch.len() as u64;
            let position = Position {
                state: self.state.clone(),
                heard: self.ear.heard().clone(),
                samples_written: self.samples_written,
            };
            let position = position::encode(&self.settings, position);
            if self.appender.append(&batch, &position)? == Appended::Shutdown {
                return Ok(false);
            }
        }
        Ok(!self.retry.shutdown().is_cancelled())
    }
}
