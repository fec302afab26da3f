//! What a process of the fault suite does: write the suite's input, or run its stage, until told
//! to stop. Its settings travel as arguments of the form `key=value`.

use crate::conformance::fixture::inputs;
use crate::conformance::stage::ChainingFactory;
use prescale_bus::crash_point::CrashPoint;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{Bus, BusError, OutputRecord, StageOptions, cancelled_within};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A session without a heartbeat for so long ends.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// A transaction that is open for longer is aborted.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Lease of a partition on the embedded bus.
const LEASE: Duration = Duration::from_millis(600);
/// Pause before a call that failed is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAt {
    /// A file.
    Embedded(PathBuf),
    /// A cluster.
    Kafka {
        /// `host:port`, comma-separated.
        servers: String,
        /// Prefix of topics, groups and ids.
        prefix: String,
        /// Folder with a folder for each instance's snapshots.
        state_dir: PathBuf,
    },
}

impl BusAt {
    /// Opens it as this instance, with further librdkafka properties.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, instance: &str, extra: &BTreeMap<String, String>) -> Result<Arc<dyn Bus>, BusError> {
        Ok(match self {
            Self::Embedded(path) => {
                let options = EmbeddedOptions { lease: LEASE, ..EmbeddedOptions::default() };
                Arc::new(EmbeddedBus::open(path, options)?)
            }
            Self::Kafka { servers, prefix, state_dir } => Arc::new(KafkaBus::connect(KafkaOptions {
                bootstrap_servers: servers.clone(),
                instance_id: instance.to_owned(),
                topic_prefix: prefix.clone(),
                state_dir: state_dir.join(instance),
                transaction_timeout_ms: TRANSACTION_TIMEOUT.as_millis() as u32,
                session_timeout_ms: SESSION_TIMEOUT.as_millis() as u32,
                request_timeout: Duration::from_secs(5),
                stall_after: Duration::from_secs(10),
                extra: extra.clone(),
                ..KafkaOptions::default()
            })?),
        })
    }
}

/// What the process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes the suite's input, batch after batch, with a pause between two.
    Source {
        /// Records in a batch.
        batch: usize,
        /// Pause between batches.
        pause: Duration,
        /// Records in all, after which it waits to be stopped.
        records: usize,
    },
    /// Runs the suite's stage.
    Stage {
        /// Topic read.
        input: String,
        /// Topic written.
        output: String,
        /// A payload at which it waits once, and how long.
        slow: Option<(String, Duration)>,
    },
}

/// Settings of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySettings {
    /// Where the bus is.
    pub bus: BusAt,
    /// Its instance, or the source's name.
    pub instance: String,
    /// What it does.
    pub role: Role,
    /// Where it is to abort, and at which passing.
    pub crash: Option<(CrashPoint, u32)>,
    /// Further librdkafka properties.
    pub extra: BTreeMap<String, String>,
}

impl CopySettings {
    /// The group of a stage that reads this topic.
    pub fn group(input: &str) -> String {
        format!("copies-{input}")
    }

    /// As arguments.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![format!("instance={}", self.instance)];
        match &self.bus {
            BusAt::Embedded(path) => args.push(format!("path={}", path.display())),
            BusAt::Kafka { servers, prefix, state_dir } => args.extend([
                format!("servers={servers}"),
                format!("prefix={prefix}"),
                format!("state_dir={}", state_dir.display()),
            ]),
        }
        match &self.role {
            Role::Source { batch, pause, records } => args.extend([
                format!("batch={batch}"),
                format!("pause_ms={}", pause.as_millis()),
                format!("records={records}"),
            ]),
            Role::Stage { input, output, slow } => {
                args.extend([format!("input={input}"), format!("output={output}")]);
                if let Some((payload, wait)) = slow {
                    args.extend([format!("slow={payload}"), format!("slow_ms={}", wait.as_millis())]);
                }
            }
        }
        if let Some((point, passing)) = self.crash {
            args.extend([format!("crash={}", point.name()), format!("passing={passing}")]);
        }
        args.extend(self.extra.iter().map(|(name, value)| format!("kafka:{name}={value}")));
        args
    }

    /// What [`Self::to_args`] made.
    ///
    /// # Errors
    /// Which argument is missing or wrong.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let mut extra = BTreeMap::new();
        for arg in args {
            let (key, value) = arg.split_once('=').ok_or_else(|| format!("{arg:?} is not key=value"))?;
            match key.strip_prefix("kafka:") {
                Some(name) => extra.insert(name.to_owned(), value.to_owned()),
                None => given.insert(key.to_owned(), value.to_owned()),
            };
        }
        let text = |key: &str| given.get(key).cloned().ok_or_else(|| format!("{key}= is missing"));
        let number = |key: &str| text(key)?.parse::<usize>().map_err(|e| format!("{key}: {e}"));
        let millis = |key: &str| number(key).map(|ms| Duration::from_millis(ms as u64));
        let bus = match text("path") {
            Ok(path) => BusAt::Embedded(path.into()),
            Err(_) => BusAt::Kafka {
                servers: text("servers")?,
                prefix: text("prefix")?,
                state_dir: text("state_dir")?.into(),
            },
        };
        let role = match text("input") {
            Ok(input) => {
                let slow = text("slow").ok().map(|payload| Ok::<_, String>((payload, millis("slow_ms")?)));
                Role::Stage { input, output: text("output")?, slow: slow.transpose()? }
            }
            Err(_) => Role::Source { batch: number("batch")?, pause: millis("pause_ms")?, records: number("records")? },
        };
        let crash = text("crash").ok().map(|name| {
            let point = CrashPoint::named(&name).ok_or_else(|| format!("crash: there is no point {name:?}"))?;
            let passing = u32::try_from(number("passing")?).map_err(|e| e.to_string())?;
            Ok::<_, String>((point, passing))
        });
        Ok(Self { bus, instance: text("instance")?, role, crash: crash.transpose()?, extra })
    }

    /// Does what the settings say, until `shutdown`.
    ///
    /// # Errors
    /// What trying again does not mend.
    pub fn run(&self, shutdown: &CancellationToken) -> Result<(), BusError> {
        if let Some((point, passing)) = self.crash {
            point.arm(passing);
        }
        let Some(bus) = again(shutdown, || self.bus.open(&self.instance, &self.extra))? else { return Ok(()) };
        match &self.role {
            Role::Source { batch, pause, records } => {
                self.write(bus.as_ref(), shutdown, |written| (written < *records).then_some(*batch), *pause)
            }
            Role::Stage { input, output, slow } => {
                let group = Self::group(input);
                let options = StageOptions { group, batch_records_max: 200, snapshot_every_records: 50 };
                let factory = ChainingFactory::new(input, output);
                let factory = ChainingFactory { slow: Arc::new(Mutex::new(slow.clone())), ..factory };
                bus.run_stage(Arc::new(factory), &options, shutdown)
            }
        }
    }

    /// Writes batches, each as large as `next` says to what is written so far.
    fn write(
        &self,
        bus: &dyn Bus,
        shutdown: &CancellationToken,
        next: impl Fn(usize) -> Option<usize>,
        pause: Duration,
    ) -> Result<(), BusError> {
        let Some(mut source) = again(shutdown, || bus.source(&self.instance))? else { return Ok(()) };
        while !cancelled_within(shutdown, pause) {
            let Some(position) = again(shutdown, || source.position())? else { return Ok(()) };
            let written = written_of(position.as_deref());
            let Some(count) = next(written) else {
                cancelled_within(shutdown, AGAIN_AFTER);
                continue;
            };
            let batch: Vec<OutputRecord> = inputs(written, count);
            match source.append(batch, (written + count).to_string().as_bytes()) {
                Err(BusError::Backend { context, message, retryable: true }) => {
                    tracing::warn!(message, "{context}; trying again");
                    cancelled_within(shutdown, AGAIN_AFTER);
                }
                result => result?,
            }
        }
        Ok(())
    }
}

/// How many records a source has written that stands there.
///
/// # Panics
/// When the position is not the suite's.
pub fn written_of(position: Option<&[u8]>) -> usize {
    position.map_or(0, |bytes| std::str::from_utf8(bytes).expect("text").parse().expect("a number"))
}

/// Calls until it succeeds; `None` when the shutdown came first.
fn again<T>(
    shutdown: &CancellationToken,
    mut call: impl FnMut() -> Result<T, BusError>,
) -> Result<Option<T>, BusError> {
    loop {
        match call() {
            Err(BusError::Backend { context, message, retryable: true }) => {
                tracing::warn!(message, "{context}; trying again");
                if cancelled_within(shutdown, AGAIN_AFTER) {
                    return Ok(None);
                }
            }
            result => return result.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_command_line() {
        let stage = CopySettings {
            bus: BusAt::Kafka { servers: "a:1,b:2".into(), prefix: "t1.".into(), state_dir: "/tmp/x".into() },
            instance: "a".into(),
            role: Role::Stage {
                input: "in".into(),
                output: "out".into(),
                slow: Some(("payload-3".into(), Duration::from_millis(7))),
            },
            crash: Some((CrashPoint::KafkaDelivered, 3)),
            extra: BTreeMap::from([("max.poll.interval.ms".to_owned(), "6000".to_owned())]),
        };
        let source = CopySettings {
            bus: BusAt::Embedded("/tmp/log.db".into()),
            role: Role::Source { batch: 20, pause: Duration::from_millis(5), records: 100 },
            crash: None,
            extra: BTreeMap::new(),
            ..stage.clone()
        };
        for settings in [stage, source] {
            assert_eq!(CopySettings::from_args(settings.to_args()), Ok(settings));
        }
        assert!(CopySettings::from_args(["instance=a".to_owned()]).is_err_and(|e| e.contains("servers")));
    }
}
