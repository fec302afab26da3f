//! Topics of others: what Telegraf, `prometheus-kafka-adapter` or anybody else writes to a Kafka, as points or samples.
//!
//! A topic is read as part of no group. How far it was read is the source's position, written in one step with what became
//! of the messages, so a stop or a crash leaves nothing out and writes nothing twice. What cannot be used goes to the dead
//! letters, with where it lay and why. A cluster that is away is waited for.

use crate::append;
use crate::clock;
use crate::config::{Config, KafkaStart, KafkaTopicConfig};
use crate::inputs::{self, InputEntry, Launch};
use crate::replay::pace::BackPressure;
use anyhow::{Context as _, Result, anyhow};
use messages::{Made, Messages};
use position::{Change, Position};
use prescale_bus::backoff::any_seed;
use prescale_bus::kafka::{ForeignTopic, KafkaOptions};
use prescale_bus::{Backoff, BusError, ConsumedRecord, OutputRecord, Source, cancelled_within};
use prescale_chassis::{BusRetry, SourceEntry, Use};
use prescale_contracts::topics;
use std::collections::BTreeMap;
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

pub(crate) mod messages;
mod position;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "kafka_topics",
    table: None,
    check,
    is_on: |config| !config.kafka_topics.is_empty(),
    uses: |config, graph| {
        let written = [(true, POINTS), (false, SAMPLES)].into_iter().filter_map(|(of_series, source)| {
            let is_wanted = config.kafka_topics.values().any(|topic| topic.is_of_series() == of_series);
            is_wanted.then_some(Use::Writes(source))
        });
        let watched = INPUTS.into_iter().flat_map(|topic| graph.reading(topic)).copied().map(Use::Watches);
        written.chain(watched).collect()
    },
    run,
};

const POINTS: SourceEntry = SourceEntry { id: None, topics: &[topics::RAW_POINTS, "raw-points.dlq"] };
const SAMPLES: SourceEntry = SourceEntry { id: None, topics: &[topics::RAW_KPIS, "raw-kpis.dlq"] };
/// Topics whose readers hold it back where they are too far behind.
const INPUTS: [&str; 2] = [topics::RAW_POINTS, topics::RAW_KPIS];
/// So long it waits for messages at a time.
const POLL: Duration = Duration::from_millis(200);
/// How often it looks whether a topic has got partitions.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

fn check(config: &Config) -> Result<()> {
    for (name, topic) in &config.kafka_topics {
        topic.check(name)?;
        Messages::new(name, topic)?;
    }
    Ok(())
}

/// Reads all of the topics until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    // Each topic has a health of its own.
    inputs::health(launch.context, &ENTRY).ready();
    scope(|threads| {
        let mut running: Vec<ScopedJoinHandle<'_, Result<()>>> = Vec::new();
        for (name, config) in &launch.config.kafka_topics {
            let read = move || {
                let _ends = launch.stop.clone().drop_guard();
                Reading::new(name, config, launch)?.map_or(Ok(()), Reading::run)
            };
            let started = Builder::new().name(format!("topic {name}")).spawn_scoped(threads, read);
            running.push(started.inspect_err(|_| launch.stop.cancel()).context("cannot start a topic's thread")?);
        }
        let join = |thread: ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that reads a topic panicked")))
        };
        let results: Vec<Result<()>> = running.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}

/// Why reading stopped.
enum Trouble {
    /// The cluster that has the topic cannot be used: it is waited for.
    Theirs(BusError),
    /// What is written to cannot be.
    Ours(anyhow::Error),
}

impl From<BusError> for Trouble {
    fn from(error: BusError) -> Self {
        Self::Theirs(error)
    }
}

/// A topic that is read.
struct Reading<'a> {
    config: &'a KafkaTopicConfig,
    access: KafkaOptions,
    messages: Messages,
    position: Position,
    log: Box<dyn Source>,
    back_pressure: BackPressure<'a>,
    retry: BusRetry,
    /// Whether anything was heard of it since it was last lost.
    has_answered: bool,
}

impl<'a> Reading<'a> {
    /// Opens the source; `None` when the shutdown comes before the bus.
    fn new(name: &str, config: &'a KafkaTopicConfig, launch: &Launch<'a>) -> Result<Option<Self>> {
        let Launch { context, bus, stop, .. } = launch;
        let source = config.source(name)?;
        let access = config.access(name, &context.kafka)?;
        let messages = Messages::new(name, config)?;
        let retry = BusRetry::new(&source, context.health.component(&format!("collector.kafka_topics.{name}")), stop);
        let Some((log, stored)) = append::open(*bus, &retry)? else { return Ok(None) };
        let position = match stored {
            Some(stored) => Position::decode(&stored, name, &config.topic)?,
            None => Position::of(&config.topic),
        };
        let back_pressure = BackPressure::on(&INPUTS, context, *bus, config.lag_max_records);
        let has_answered = false;
        Ok(Some(Self { config, access, messages, position, log, back_pressure, retry, has_answered }))
    }

    /// Reads until the shutdown, anew whenever the cluster was lost.
    fn run(mut self) -> Result<()> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed());
        loop {
            self.retry.health().alive();
            let error = match self.session() {
                Ok(()) => return Ok(()),
                Err(Trouble::Ours(error)) => return Err(error),
                Err(Trouble::Theirs(error)) => error,
            };
            if std::mem::take(&mut self.has_answered) {
                backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed());
            }
            let (pause, topic) = (backoff.pause(), &self.config.topic);
            tracing::warn!(source = self.retry.id(), %error, "trying again in {} ms", pause.as_millis());
            self.retry.health().failed(format!("topic {topic:?} cannot be read: {error}"));
            self.retry.health().idle();
            if cancelled_within(self.retry.shutdown(), pause) {
                return Ok(());
            }
        }
    }

    /// Reads until the shutdown, or until the cluster is lost.
    fn session(&mut self) -> Result<(), Trouble> {
        let mut topic = ForeignTopic::connect(self.access.clone(), &self.config.topic)?;
        self.arrange(&mut topic)?;
        self.has_answered = true;
        self.retry.health().ready();
        let mut looked = Instant::now();
        let mut has_written = true;
        while !self.retry.shutdown().is_cancelled() {
            // Where it writes nothing nobody falls behind it.
            if std::mem::take(&mut has_written) && !self.back_pressure.wait(&self.retry).map_err(Trouble::Ours)? {
                return Ok(());
            }
            self.retry.health().alive();
            let messages = topic.poll(self.config.batch_messages_max, POLL)?;
            has_written = !messages.is_empty();
            if has_written && !self.take(&messages)? {
                return Ok(());
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if topic.partitions()? as usize != self.position.next.len() {
                    self.arrange(&mut topic)?;
                }
            }
            self.retry.health().idle();
        }
        Ok(())
    }

    /// Begins to read each partition where it was left.
    fn arrange(&mut self, topic: &mut ForeignTopic) -> Result<(), Trouble> {
        let partitions = 0..topic.partitions()?;
        let bounds: BTreeMap<u32, position::Bounds> =
            partitions.map(|partition| Ok((partition, topic.bounds(partition)?))).collect::<Result<_, BusError>>()?;
        let (mut fitted, from_end) = (self.position.clone(), self.config.start == KafkaStart::Latest);
        for change in fitted.fit(&bounds, from_end) {
            self.tell(change);
        }
        let (count, before) = (fitted.next.len(), self.position.next.len());
        tracing::info!(source = self.retry.id(), "reading {count} partitions of topic {:?}", self.config.topic);
        // What is skipped once must not come after a restart.
        if before == 0 && from_end {
            self.append(&[], &fitted)?;
        }
        topic.read_from(&fitted.next)?;
        self.position = fitted;
        Ok(())
    }

    fn tell(&self, change: Change) {
        let source = self.retry.id().to_owned();
        match change {
            Change::Gone { partition, messages } => {
                metrics::counter!("prescale_collector_kafka_messages_gone_total", "source" => source.clone())
                    .increment(messages.unsigned_abs());
                tracing::warn!(
                    source,
                    partition,
                    messages,
                    "messages are gone that were not read: the topic keeps them too short"
                );
            }
            Change::MadeAnew { partition } => {
                tracing::warn!(source, partition, "it ends before where it was read to: it is read from its beginning");
            }
        }
    }

    /// Writes what becomes of messages, and the position behind them; false when the shutdown came first.
    fn take(&mut self, messages: &[ConsumedRecord]) -> Result<bool, Trouble> {
        let Made { records, written, left_out, left_out_metrics, letters } = self.messages.read(messages, clock::now());
        if !left_out_metrics.is_empty() {
            let metrics = left_out_metrics.join(", ");
            tracing::info!(source = self.retry.id(), "left out, since no rule of the preset names them: {metrics}");
        }
        let mut position = self.position.clone();
        for message in messages {
            position.next.insert(message.partition, message.offset + 1);
        }
        if !self.append(&records, &position)? {
            return Ok(false);
        }
        self.position = position;
        let counted = [("written", written), ("left_out", left_out)];
        for (what, values) in counted {
            metrics::counter!("prescale_collector_received_samples_total", "by" => "kafka-topic", "what" => what)
                .increment(values);
        }
        let source = self.retry.id().to_owned();
        metrics::counter!("prescale_collector_kafka_letters_total", "source" => source).increment(letters);
        Ok(true)
    }

    /// Writes the records and the position, or nothing, until it works; false when the shutdown came first.
    fn append(&mut self, records: &[OutputRecord], position: &Position) -> Result<bool, Trouble> {
        let Self { log, retry, .. } = self;
        let position = position.encode();
        let mut is_again = false;
        let written = retry.run(|| {
            let is_written = std::mem::replace(&mut is_again, true) && log.position()?.as_deref() == Some(&*position);
            if is_written { Ok(()) } else { log.append(records.to_vec(), &position) }
        });
        let written = written.with_context(|| format!("source {} cannot write", retry.id())).map_err(Trouble::Ours)?;
        Ok(written.is_some())
    }
}
