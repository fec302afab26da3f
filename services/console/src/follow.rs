//! Reads the topics, each on a thread of its own, into the view.

use crate::pipeline::Pipeline;
use crate::view::{Fact, Taken, View};
use prescale_bus::{Bus, BusError, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_chassis::{ComponentHealth, Context, StageEntry};
use prescale_contracts::{Contract, ContractError, topics};
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::evaluation::Outcome;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::governor::{Effect, Order, StandingOrder};
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const POLL_RECORDS: usize = 1_000;
const POLL_WAIT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_secs(3);
/// Newest fingerprints are enough: only the last one is shown, and the last one that has features, which at one
/// sample a minute is one of five.
const FINGERPRINTS_BACK: u64 = 100_000;

/// What the readers fill and the HTTP handlers show.
#[derive(Debug)]
pub(crate) struct Shared {
    view: Mutex<View>,
    pipeline: Mutex<Pipeline>,
    /// The newest order of each scope.
    orders: Mutex<BTreeMap<String, Order>>,
}

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        Self { view: Mutex::new(view), pipeline: Mutex::default(), orders: Mutex::default() }
    }

    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pipeline(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders that stand, by scope.
    pub(crate) fn standing(&self) -> Vec<Order> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.values().filter(|order| order.effect != Effect::Resume).cloned().collect()
    }

    pub(crate) fn take_order(&self, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.get(order.scope.key().as_str()).is_none_or(|known| known.at < order.at) {
            orders.insert(order.scope.to_string(), order);
        }
    }
}

/// A decoded record.
enum Heard {
    OfWorkload(Fact),
    OfGroup(Arc<str>, GroupPrediction),
}

/// How the records of a topic are decoded.
#[derive(Clone, Copy)]
enum About {
    Workloads(fn(&ConsumedRecord) -> Result<Fact, ContractError>),
    Groups,
}

/// One topic to follow.
struct Topic {
    name: &'static str,
    about: About,
    back_max: u64,
}

impl Topic {
    /// Of records about workloads, of which so many are read back at most.
    const fn new(
        name: &'static str,
        decode: fn(&ConsumedRecord) -> Result<Fact, ContractError>,
        back_max: u64,
    ) -> Self {
        Self { name, about: About::Workloads(decode), back_max }
    }

    /// Whether a record would be used; asked before it is decoded.
    fn is_admitted(&self, view: &mut View, record: &ConsumedRecord) -> bool {
        match self.about {
            About::Workloads(_) => view.admits(&key(record), record.appended_at_ms),
            About::Groups => true,
        }
    }

    fn decode(&self, record: &ConsumedRecord) -> Result<Heard, ContractError> {
        match self.about {
            About::Workloads(decode) => decode(record).map(Heard::OfWorkload),
            About::Groups => GroupPrediction::decode(value(record)).map(|p| Heard::OfGroup(id(record), p)),
        }
    }
}

impl Heard {
    fn into_view(self, view: &mut View, appended_ms: i64) -> Taken {
        match self {
            Self::OfWorkload(fact) => view.take(fact, appended_ms),
            Self::OfGroup(id, prediction) => view.take_group(id, prediction, appended_ms),
        }
    }
}

fn value(record: &ConsumedRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

fn id(record: &ConsumedRecord) -> Arc<str> {
    match record.header("ce_id") {
        Some(id) => String::from_utf8_lossy(id).into(),
        None => format!("{}/{}@{}", record.topic, record.partition, record.offset).into(),
    }
}

/// All topics that the console reads, beside the dead letter queues: those that it follows, and those that orders and
/// explanations are made from.
pub const READS: [&str; 9] = [
    topics::RAW_KPIS,
    topics::FINGERPRINTS,
    topics::PREDICTIONS,
    topics::GROUP_PREDICTIONS,
    topics::PROPOSALS,
    topics::ACTIONS,
    topics::ACTION_RESULTS,
    topics::CONTROL,
    topics::OUTCOMES,
];

const TOPICS: [Topic; 7] = [
    Topic::new(topics::RAW_KPIS, |r| Sample::decode(value(r)).map(Fact::Sample), u64::MAX),
    Topic::new(
        topics::FINGERPRINTS,
        |r| Fingerprint::decode(value(r)).map(|f| Fact::Fingerprint(Box::new(f))),
        FINGERPRINTS_BACK,
    ),
    Topic::new(topics::PREDICTIONS, |r| Prediction::decode(value(r)).map(|p| Fact::Prediction(id(r), p)), u64::MAX),
    Topic { name: topics::GROUP_PREDICTIONS, about: About::Groups, back_max: u64::MAX },
    Topic::new(topics::ACTIONS, |r| Action::decode(value(r)).map(|a| Fact::Action(id(r), Box::new(a))), u64::MAX),
    Topic::new(topics::ACTION_RESULTS, |r| ActionResult::decode(value(r)).map(|a| Fact::Result(Box::new(a))), u64::MAX),
    Topic::new(topics::OUTCOMES, |r| Outcome::decode(value(r)).map(|o| Fact::Outcome(Box::new(o))), u64::MAX),
];

/// What every thread needs.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: Context,
    pub(crate) shutdown: CancellationToken,
    pub(crate) runtime: Handle,
    pub(crate) history_records: u64,
}

impl Follower {
    /// Starts the threads; they end with the token.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(&self) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
        let mut threads = Vec::new();
        for topic in &TOPICS {
            self.shared.pipeline().reading(topic.name);
            threads.push(self.spawn(format!("console {}", topic.name), move |f| f.follow(topic))?);
        }
        threads.push(self.spawn("console dlq".to_owned(), Self::follow_dead_letters)?);
        threads.push(self.spawn("console control".to_owned(), Self::follow_control)?);
        threads.push(self.spawn("console lag".to_owned(), Self::watch_lag)?);
        Ok(threads)
    }

    fn spawn(
        &self,
        name: String,
        work: impl FnOnce(&Self) + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let follower = self.clone();
        std::thread::Builder::new().name(name).spawn(move || work(&follower))
    }

    /// Waits for `time` or the shutdown, and says whether it was the latter.
    fn stopped_within(&self, time: Duration) -> bool {
        self.runtime.block_on(async { tokio::time::timeout(time, self.shutdown.cancelled()).await.is_ok() })
    }

    fn follow(&self, topic: &Topic) {
        let health = self.context.health.component(&format!("console {}", topic.name));
        let mut seen = BTreeMap::new();
        while !self.shutdown.is_cancelled() {
            if let Err(error) = self.read(topic, &mut seen, &health) {
                tracing::warn!(topic = topic.name, %error, "cannot read; trying again");
                health.failed(error.to_string());
                self.shared.pipeline().reading(topic.name).error = Some(error.to_string());
                if self.stopped_within(RETRY_AFTER) {
                    return;
                }
            }
        }
    }

    /// Reads until shutdown. A reader that was lost is opened anew over the same history; what was
    /// `seen` of it, the newest offset a partition, is passed over.
    fn read(&self, topic: &Topic, seen: &mut BTreeMap<u32, i64>, health: &ComponentHealth) -> Result<(), BusError> {
        let partitions = self.bus.topics()?.iter().find(|(name, _)| name == topic.name).map_or(1, |(_, n)| *n);
        let records = self.history_records.min(topic.back_max);
        let back = ReadFrom::Back((records / u64::from(partitions.max(1))).max(1));
        let mut reader = self.bus.reader(topic.name, back)?;
        health.ready();
        while !self.shutdown.is_cancelled() {
            let (mut records, caught_up) = reader.poll(POLL_RECORDS, POLL_WAIT)?;
            records.retain(|r| is_new(seen, r));
            self.take(topic, &records, caught_up == CaughtUp::Yes);
        }
        Ok(())
    }

    fn take(&self, topic: &Topic, records: &[ConsumedRecord], caught_up: bool) {
        let wanted: Vec<&ConsumedRecord> = {
            let mut view = self.shared.view();
            records.iter().filter(|r| r.value.is_some() && topic.is_admitted(&mut view, r)).collect()
        };
        let decoded: Vec<_> = wanted.iter().map(|r| (topic.decode(r), r.appended_at_ms)).collect();
        let (mut undecodable, mut left_out) = (0, (records.len() - wanted.len()) as u64);
        {
            let mut view = self.shared.view();
            for (heard, appended_ms) in decoded {
                match heard {
                    Ok(heard) => match heard.into_view(&mut view, appended_ms) {
                        Taken::Used | Taken::Known => {}
                        Taken::NoRoom | Taken::Ahead => left_out += 1,
                    },
                    Err(_) => undecodable += 1,
                }
            }
        }
        let mut pipeline = self.shared.pipeline();
        let reading = pipeline.reading(topic.name);
        reading.records += records.len() as u64;
        reading.undecodable += undecodable;
        reading.left_out += left_out;
        reading.caught_up = caught_up;
        reading.error = None;
    }

    fn follow_dead_letters(&self) {
        let queues: Vec<String> = self.context.graph.inputs().into_iter().map(topics::dlq_of).collect();
        for queue in &queues {
            self.shared.pipeline().queue(queue);
        }
        let mut readers: Vec<_> = queues.iter().map(|queue| (queue, None)).collect();
        while !self.shutdown.is_cancelled() {
            for (queue, reader) in &mut readers {
                if let Err(error) = self.read_dead_letters(queue, reader) {
                    tracing::debug!(queue = queue.as_str(), %error, "cannot read the dead letters; trying again");
                }
            }
            if self.stopped_within(LOOK_EVERY) {
                return;
            }
        }
    }

    fn follow_control(&self) {
        let mut reader = None;
        while !self.shutdown.is_cancelled() {
            if let Err(error) = self.read_control(&mut reader) {
                tracing::debug!(%error, "cannot read the orders that stand; trying again");
                reader = None;
            }
            if self.stopped_within(LOOK_EVERY) {
                return;
            }
        }
    }

    fn read_control(&self, reader: &mut Option<Box<dyn prescale_bus::RecordReader>>) -> Result<(), BusError> {
        let open = match reader {
            Some(open) => open,
            None => reader.insert(self.bus.reader(topics::CONTROL, ReadFrom::Earliest)?),
        };
        while !self.shutdown.is_cancelled() {
            let (records, caught_up) = open.poll(POLL_RECORDS, Duration::ZERO)?;
            let standing = records.iter().filter_map(|record| StandingOrder::decode(value(record)).ok());
            standing.for_each(|standing| self.shared.take_order(standing.order));
            if caught_up == CaughtUp::Yes {
                break;
            }
        }
        Ok(())
    }

    fn read_dead_letters(
        &self,
        queue: &str,
        reader: &mut Option<Box<dyn prescale_bus::RecordReader>>,
    ) -> Result<(), BusError> {
        let open = match reader {
            Some(open) => open,
            None => reader.insert(self.bus.reader(queue, ReadFrom::Earliest)?),
        };
        while !self.shutdown.is_cancelled() {
            let (records, caught_up) = open.poll(POLL_RECORDS, Duration::ZERO)?;
            let mut pipeline = self.shared.pipeline();
            records.iter().for_each(|record| pipeline.letter(record));
            if caught_up == CaughtUp::Yes {
                break;
            }
        }
        Ok(())
    }

    fn watch_lag(&self) {
        let began = Instant::now();
        loop {
            for StageEntry { stage, input, .. } in self.context.graph.stages() {
                let group = self.context.group(stage);
                let lags = self.bus.lag(&group, input).map_err(|error| error.to_string());
                self.shared.pipeline().look((*stage, *input), &group, began.elapsed().as_secs_f64(), lags);
            }
            if self.stopped_within(LOOK_EVERY) {
                return;
            }
        }
    }
}

fn key(record: &ConsumedRecord) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default())
}

fn is_new(seen: &mut BTreeMap<u32, i64>, record: &ConsumedRecord) -> bool {
    let newest = seen.entry(record.partition).or_insert(-1);
    let new = record.offset > *newest;
    *newest = record.offset.max(*newest);
    new
}
