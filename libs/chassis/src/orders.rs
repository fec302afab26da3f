//! Orders of operators to the governor, from the command line or the console: written where it reads, in every
//! partition.

use crate::stage::{decode_record, output_record};
use anyhow::{Context as _, Result, bail};
use prescale_bus::partitioner::key_of;
use prescale_bus::{Bus, CaughtUp, ReadFrom, RecordReader, cancelled_within};
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::governor::{Effect, FleetRecord, ORDER_KEY, Order, Said, Scope, StandingOrder};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Source that orders are written by; whoever gives one opens it anew.
pub const SOURCE: &str = "orders";

const PAGE_RECORDS: usize = 1_000;
const WAIT: Duration = Duration::from_millis(200);
/// How long the governor is waited for.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Of what.
    pub scope: Scope,
    /// What is to happen.
    pub effect: Effect,
    /// Why; may be empty.
    pub why: String,
    /// Who wants it.
    pub by: String,
}

/// Records of each partition in which a fleet or a workload is looked for.
const HEARD_RECORDS: u64 = 5_000;
/// Names that a warning lists.
const NAMES_SHOWN: usize = 8;

/// Gives the order, waits until the governor shows it, and says what came of it, and whether nobody of that name was
/// heard of.
///
/// # Errors
/// When the bus cannot be read or written.
pub fn order(bus: &dyn Bus, wish: Wish, shutdown: &CancellationToken) -> Result<String> {
    let mut control = bus.reader(topics::CONTROL, ReadFrom::Earliest)?;
    let known = shown(control.as_mut(), shutdown)?;
    let order = give(bus, wish, &known)?;
    let began = Instant::now();
    while began.elapsed() < SHOWN_WITHIN && !cancelled_within(shutdown, WAIT) {
        if shown(control.as_mut(), shutdown)?.contains(&order) {
            let warning = covers_nobody(bus, &order.scope, shutdown)?.unwrap_or_default();
            return Ok(format!("{}: {}\n{warning}", order.scope, effect_text(order.effect)));
        }
    }
    bail!(
        "{}: the order is written, and no governor has shown it within {} s: it takes effect when one runs (`prescale bus tail {}` shows it then)",
        order.scope,
        SHOWN_WITHIN.as_secs(),
        topics::CONTROL
    )
}

/// Writes an order into every partition. It is newer than all that are `known`, whatever the clocks of those
/// who gave them said.
fn give(bus: &dyn Bus, wish: Wish, known: &[Order]) -> Result<Order> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis() as i64;
    let newest = known.iter().map(|order| order.at.as_ms() + 1).max();
    let Wish { scope, effect, why, by } = wish;
    let at = EventTime::from_ms(newest.map_or(now, |newest| now.max(newest)));
    let order = Order { scope, effect, at, why, by, is_repetition: false };
    let partitions = bus.topics()?.into_iter().find(|(name, _)| name == topics::PROPOSALS);
    let (_, partitions) = partitions.context("topic \"proposals\" does not exist: run `prescale topics apply`")?;
    let record = |partition: u32| {
        let key = WorkloadId::new(&key_of(ORDER_KEY, partition, partitions))?;
        let position = key.to_string();
        let record = FleetRecord { key, said: Said::Order(order.clone()) };
        let envelope = Envelope::root(SOURCE, record.event_type(), order.scope.key(), at, &position);
        Ok(output_record(&envelope, topics::PROPOSALS, &record)?)
    };
    let records = (0..partitions).map(record).collect::<Result<Vec<_>>>()?;
    let position = format!("{} {}", at.as_ms(), order.scope);
    bus.source(SOURCE)?.append(records, position.as_bytes()).context("the order could not be written")?;
    Ok(order)
}

/// The orders that are shown and were not read yet.
fn shown(control: &mut dyn RecordReader, shutdown: &CancellationToken) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    while !shutdown.is_cancelled() {
        let (records, caught_up) = control.poll(PAGE_RECORDS, WAIT)?;
        orders.extend(records.iter().filter_map(|r| Some(decode_record::<StandingOrder>(r).ok()?.value.order)));
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    Ok(orders)
}

/// A warning where nothing that the scope covers was heard of lately: its name may be mistyped.
fn covers_nobody(bus: &dyn Bus, scope: &Scope, shutdown: &CancellationToken) -> Result<Option<String>> {
    if *scope == Scope::all() {
        return Ok(None);
    }
    let topic = if scope.is_fleet() { topics::PROPOSALS } else { topics::PREDICTIONS };
    let mut reader = bus.reader(topic, ReadFrom::Back(HEARD_RECORDS))?;
    let mut heard = BTreeSet::new();
    while !shutdown.is_cancelled() {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
        let keys = records.iter().filter_map(|record| std::str::from_utf8(record.key.as_deref()?).ok());
        heard.extend(keys.filter(|key| !key.starts_with(ORDER_KEY)).map(str::to_owned));
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    let covers = |name: &String| WorkloadId::new(name).is_ok_and(|name| scope.covers(&name, &name));
    if heard.iter().any(covers) {
        return Ok(None);
    }
    let names: Vec<&str> = heard.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    let there = if names.is_empty() { "none was".to_owned() } else { format!("there are {}", names.join(", ")) };
    let more = if heard.len() > NAMES_SHOWN { " and others" } else { "" };
    Ok(Some(format!("warning: nothing of that name was heard of lately ({there}{more}): it may be mistyped\n")))
}

fn effect_text(effect: Effect) -> &'static str {
    match effect {
        Effect::Pause => "paused, nothing changes until it is resumed",
        Effect::PauseScaleIn => "nothing shrinks until it is resumed",
        Effect::Resume => "resumed; other orders may stand",
    }
}
