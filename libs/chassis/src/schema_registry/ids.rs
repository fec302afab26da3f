//! The ids and schemas that this process has found out, and what it does for one that it needs: look
//! into the file, ask, register, or wait. Must not know stages or records.

use super::UNKNOWN_SCHEMA;
use super::http::Api;
use super::known::{KnownFile, Place};
use super::protocol::{Answer, Ask};
use crate::health::{ComponentHealth, HealthRegistry};
use crate::stage::UNDECODABLE;
use prescale_bus::backoff::any_seed;
use prescale_bus::{Backoff, BusError, Rejection, cancelled_within};
use prescale_contracts::interchange::{Reading, newest_schema};
use prescale_contracts::topics::subject_of;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An id that was absent is asked for again after so long.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// How subjects are named and whether they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    /// Before the names of topics on the cluster.
    pub(super) topic_prefix: String,
    /// Register what is missing.
    pub(super) register: bool,
}

/// What records of one topic under one id are to this process.
#[derive(Clone)]
pub(super) enum Judgement {
    /// They can be read.
    Readable(Arc<Reading>),
    /// The schema is there and cannot be used.
    Unusable(Rejection),
    /// The registry has no such schema.
    Absent,
}

/// Why there is no id to write under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoId {
    /// The registry cannot be asked now.
    Unavailable(String),
    /// It will not be there without somebody's doing.
    Refused(String),
}

/// The error of one who cannot have an id to write under.
pub(super) fn no_id(why: NoId) -> BusError {
    let (message, retryable) = match why {
        NoId::Unavailable(why) => (why, true),
        NoId::Refused(why) => (why, false),
    };
    BusError::Backend { context: "there is no schema id to write under".to_owned(), message, retryable }
}

/// How a wait ended.
pub(super) enum Waited<T> {
    For(T),
    Shutdown,
}

pub(super) struct Ids {
    api: Box<dyn Api>,
    naming: Naming,
    health: HealthRegistry,
    file: Mutex<KnownFile>,
    /// By topic, the id of its newest schema, once it was seen to be the registry's.
    written: Mutex<BTreeMap<String, u32>>,
    judged: Mutex<BTreeMap<(String, u32), Judgement>>,
    absent_since: Mutex<BTreeMap<u32, Instant>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ids {
    pub(super) fn new(api: Box<dyn Api>, naming: Naming, file: KnownFile, health: HealthRegistry) -> Self {
        Self {
            api,
            naming,
            health,
            file: Mutex::new(file),
            written: Mutex::default(),
            judged: Mutex::default(),
            absent_since: Mutex::default(),
        }
    }

    /// The id under which records of the topic are written; `None` for a topic that has no schema.
    pub(super) fn to_write(&self, topic: &str) -> Result<Option<u32>, NoId> {
        let Some(schema) = newest_schema(topic) else { return Ok(None) };
        if let Some(id) = locked(&self.written).get(topic) {
            return Ok(Some(*id));
        }
        let subject = format!("{}{}", self.naming.topic_prefix, subject_of(topic));
        let id = match self.asked_to_write(&subject, schema) {
            Ok(id) => {
                self.remember(|file| file.known.add_written(&subject, id, schema));
                id
            }
            Err(NoId::Unavailable(why)) => {
                let known = locked(&self.file).known.written(&subject, schema);
                let id = known.ok_or_else(|| NoId::Unavailable(why.clone()))?;
                tracing::warn!(
                    subject,
                    id,
                    why,
                    "the schema registry does not answer; the id is the one it gave before"
                );
                id
            }
            Err(refused) => return Err(refused),
        };
        locked(&self.written).insert(topic.to_owned(), id);
        Ok(Some(id))
    }

    fn asked_to_write(&self, subject: &str, schema: &str) -> Result<u32, NoId> {
        match self.ask(&Ask::Lookup { subject, schema }) {
            Answer::Absent(_) if self.naming.register => {}
            Answer::Absent(said) => {
                return Err(NoId::Refused(format!(
                    "the schema registry does not have this build's schema under subject {subject} ({said}): register it (`schemas/`), or set [schema_registry] register = true"
                )));
            }
            answer => return id_of(answer),
        }
        // First, so that no other version comes in between.
        match self.ask(&Ask::Restrict { subject }) {
            Answer::Done => {}
            answer => return id_of(answer),
        }
        match self.ask(&Ask::Register { subject, schema }) {
            Answer::Unusable(said) => Err(NoId::Refused(format!(
                "the schema registry refuses this build's schema under subject {subject}: {said}"
            ))),
            answer => {
                let id = id_of(answer)?;
                tracing::info!(subject, id, "registered the schema");
                Ok(id)
            }
        }
    }

    /// What records of the topic under this id are; `Err` with the reason when that cannot be said now.
    pub(super) fn judge(&self, topic: &str, id: u32) -> Result<Judgement, String> {
        let key = (topic.to_owned(), id);
        if let Some(judged) = locked(&self.judged).get(&key) {
            return Ok(judged.clone());
        }
        let known = locked(&self.file).known.schema(id).map(str::to_owned);
        let judgement = match known {
            Some(schema) => reading(topic, id, &schema),
            None => match self.asked_for(id)? {
                Answer::Schema(schema) => {
                    self.remember(|file| file.known.add_schema(id, &schema));
                    reading(topic, id, &schema)
                }
                Answer::Unusable(message) => unusable(message),
                _ => return Ok(Judgement::Absent),
            },
        };
        locked(&self.judged).insert(key, judgement.clone());
        Ok(judgement)
    }

    fn asked_for(&self, id: u32) -> Result<Answer, String> {
        let nothing = || Answer::Absent(String::new());
        if locked(&self.absent_since).get(&id).is_some_and(|since| since.elapsed() < ABSENT_FOR) {
            return Ok(nothing());
        }
        if i32::try_from(id).is_err() {
            return Ok(nothing());
        }
        match self.ask(&Ask::Schema { id }) {
            Answer::Unavailable(why) => Err(why),
            Answer::Absent(_) => {
                let mut absent = locked(&self.absent_since);
                absent.retain(|_, since| since.elapsed() < ABSENT_FOR);
                absent.insert(id, Instant::now());
                Ok(nothing())
            }
            answer => Ok(answer),
        }
    }

    fn ask(&self, ask: &Ask<'_>) -> Answer {
        metrics::counter!("prescale_schema_registry_requests_total").increment(1);
        ask.answer(self.api.ask(ask))
    }

    /// Whether the record at that place was judged absent before.
    pub(super) fn was_absent(&self, place: &Place, id: u32, offset: i64) -> bool {
        locked(&self.file).known.was_absent(place, id, offset)
    }

    /// Keeps that these records had no schema, so that a restart judges them alike.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep_absent(&self, place: &Place, found: &BTreeMap<u32, i64>) -> std::io::Result<()> {
        let mut file = locked(&self.file);
        for (id, offset) in found {
            file.known.add_absent(place, *id, *offset);
        }
        file.save()
    }

    /// Ids can be had again from the registry, so a file that cannot be written is no failure.
    fn remember(&self, add: impl FnOnce(&mut KnownFile)) {
        let mut file = locked(&self.file);
        add(&mut file);
        if let Err(error) = file.save() {
            tracing::warn!(%error, "cannot keep ids of the schema registry; a restart will need the registry");
        }
    }

    /// The health of one who may have to wait.
    pub(super) fn waiter(&self, name: &str) -> Waiter {
        let health = self.health.component(&format!("schema registry for {name}"));
        health.ready();
        Waiter { health, name: name.to_owned() }
    }
}

fn id_of(answer: Answer) -> Result<u32, NoId> {
    match answer {
        Answer::Id(id) => Ok(id),
        Answer::Unavailable(why) => Err(NoId::Unavailable(why)),
        other => Err(NoId::Unavailable(format!("it gave {other:?} where an id was asked for"))),
    }
}

fn reading(topic: &str, id: u32, schema: &str) -> Judgement {
    match Reading::of(topic, schema) {
        Ok(reading) => Judgement::Readable(Arc::new(reading)),
        Err(error) => unusable(format!("schema id {id}: {error}")),
    }
}

fn unusable(message: String) -> Judgement {
    Judgement::Unusable(Rejection { code: UNDECODABLE, message })
}

/// The rejection of a record whose schema the registry does not have.
pub(super) fn unknown_schema(id: u32) -> Rejection {
    let message = format!(
        "the schema registry has no schema under id {id}: register the producer's schema, then `prescale dlq replay` the topic with --reason {UNKNOWN_SCHEMA}"
    );
    Rejection { code: UNKNOWN_SCHEMA, message }
}

/// Waits for the registry, and shows it in the health.
pub(super) struct Waiter {
    health: ComponentHealth,
    name: String,
}

impl Waiter {
    /// Tries until the attempt succeeds, with longer and longer pauses, or until the shutdown.
    pub(super) fn until<T>(
        &self,
        shutdown: &CancellationToken,
        mut attempt: impl FnMut() -> Result<T, String>,
    ) -> Waited<T> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed());
        let mut said = None;
        loop {
            match attempt() {
                Ok(value) => {
                    if said.is_some() {
                        tracing::info!("{}: the schema registry answers again", self.name);
                        self.health.ready();
                    }
                    return Waited::For(value);
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::warn!("{} waits for the schema registry: {why}", self.name);
                        self.health.failed(format!("waits for the schema registry: {why}"));
                        said = Some(why);
                    }
                }
            }
            if cancelled_within(shutdown, backoff.pause()) {
                return Waited::Shutdown;
            }
        }
    }
}
