//! KPIs that a Prometheus has, or what answers like it: its history first, then step by step what comes.
//!
//! What to ask, and what becomes of the answers, is a preset's. A piece's samples and the position behind it are
//! written in one step, so a stop or a crash leaves nothing out and writes nothing twice. A server that is away, slow or
//! answers in part is waited for.

use crate::append::{Appended, Appender, PlacedSample};
use crate::clock;
use crate::config::PrometheusConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry};
use crate::replay::pace::BackPressure;
use anyhow::{Result, bail};
use api::{Api, Instants, QueryError};
use course::{Course, Next, Position};
use prescale_bus::backoff::any_seed;
use prescale_bus::{Backoff, Bus, cancelled_within};
use prescale_chassis::{BusRetry, Context, Use};
use prescale_contracts::{rfc3339, topics};
use prescale_domain::sample::Sample;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use preset::Preset;
use std::collections::BTreeSet;
use std::time::Duration;
use table::Table;
use tokio_util::sync::CancellationToken;

mod api;
mod course;
mod naming;
pub(crate) mod preset;
pub mod preview;
pub(crate) mod pushed;
mod table;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "prometheus",
    table: None,
    check: |config| check(&config.prometheus),
    is_on: |config| config.prometheus.is_enabled(),
    uses: |_, graph| graph.reading(topics::RAW_KPIS).copied().map(Use::Watches).collect(),
    run: |l| run(&l.config.prometheus, l.context, l.bus, l.stop, l.observe),
};

const SECTION: &str = "collector.prometheus";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

fn check(config: &PrometheusConfig) -> Result<()> {
    config.check()?;
    if config.is_enabled() { preset(config).map(drop) } else { Ok(()) }
}

fn preset(config: &PrometheusConfig) -> Result<Preset> {
    Preset::load_with(SECTION, &config.preset, &config.kpis)
}

/// Reads until the shutdown.
fn run(
    config: &PrometheusConfig,
    context: &Context,
    bus: &dyn Bus,
    shutdown: &CancellationToken,
    observe: &dyn Fn(Event),
) -> Result<()> {
    let asked = Asked::new(config)?;
    let retry = BusRetry::new(&asked.source, inputs::health(context, &ENTRY), shutdown);
    let Some((appender, stored)) = Appender::open(bus, retry.clone())? else { return Ok(()) };
    let back_pressure = BackPressure::of(context, bus, config.lag_max_records);
    let course = Course::new(config.step_s, config.history_step_s, config.history_s, config.delay_s);
    let position = match stored {
        Some(bytes) => Position::decode(&bytes)?,
        None => course.start(clock::now()),
    };
    let mut reading = Reading {
        asked,
        course,
        position,
        appender,
        retry,
        has_answered: false,
        has_told_left_out: false,
        told_refused: BTreeSet::new(),
        found: None,
    };
    reading.skip();
    let mut is_told = false;
    loop {
        let retry = &reading.retry;
        match reading.course.next(reading.position, clock::now()) {
            Next::GoLive => {
                reading.position.is_live = true;
                tracing::info!(source = retry.id(), "the history is read, going on live");
                if reading.found == Some(false) {
                    tracing::warn!(
                        source = retry.id(),
                        "nothing was found in it: `prescale preview` says which series are missing"
                    );
                }
                is_told = true;
                observe(Event::PrometheusLive);
            }
            Next::Wait(at) => {
                retry.health().idle();
                if !std::mem::replace(&mut is_told, true) {
                    observe(Event::PrometheusLive);
                }
                if !clock::wait_until(at, shutdown) {
                    return Ok(());
                }
            }
            Next::Read(piece) => {
                if !back_pressure.wait(retry)? || !reading.read(piece)? {
                    return Ok(());
                }
                if !reading.position.is_live {
                    let at = EventTime::from_ms(reading.position.until_ms);
                    observe(Event::PrometheusProgress { at, until: clock::now() });
                }
            }
        }
    }
}

/// A server and what it is asked.
struct Asked {
    api: Api,
    preset: Preset,
    /// The same for bins of the history.
    of_bins: Preset,
    step_s: u32,
    rate_window_s: u32,
    source: SourceName,
}

impl Asked {
    fn new(config: &PrometheusConfig) -> Result<Self> {
        let preset = preset(config)?;
        let window_s = config.rate_window_s.max(config.step_s);
        Ok(Self {
            api: Api::new(config)?,
            of_bins: preset.of_bins(config.history_step_s, config.step_s, window_s),
            preset,
            step_s: config.step_s,
            rate_window_s: config.rate_window_s,
            source: config.source()?,
        })
    }

    /// The answers to all of the preset's queries at these instants; what cannot be asked at all is noted in it.
    fn table(&self, instants: Instants) -> Result<Table<'_>, QueryError> {
        let preset = if instants.step_s > self.step_s { &self.of_bins } else { &self.preset };
        let mut table = Table::new(preset, instants);
        let window_s = self.rate_window_s.max(instants.step_s);
        for (number, column) in preset.columns.iter().enumerate() {
            match self.api.range(&column.query(window_s), instants) {
                Ok(answer) => table.take(number, answer),
                Err(QueryError::Refused(why)) => table.refuse(number, why),
                Err(error) => return Err(named(column.name(), error)),
            }
        }
        Ok(table)
    }
}

/// The error with what was asked for.
fn named(column: &str, error: QueryError) -> QueryError {
    match error {
        QueryError::Unavailable(why) => QueryError::Unavailable(format!("{column}: {why}")),
        QueryError::TooMuch(why) => QueryError::TooMuch(format!("{column}: {why}")),
        QueryError::Refused(why) => QueryError::Refused(format!("{column}: {why}")),
    }
}

/// Tells which queries cannot be answered: each KPI once, and counts them.
///
/// # Errors
/// When no KPI is left.
fn tell_refused(table: &Table<'_>, id: &str, told: &mut BTreeSet<String>) -> Result<()> {
    for (column, why) in table.refused() {
        let name = column.name();
        metrics::counter!("prescale_collector_queries_refused_total", "source" => id.to_owned(), "kpi" => name.to_owned())
            .increment(1);
        if told.insert(name.to_owned()) {
            tracing::error!(
                source = id,
                "{name} cannot be asked for and is missing, the others are read: mend its query in the preset (or in \
                 [collector.prometheus.kpis]) and start again, with another [collector.prometheus] name to read the \
                 history with it: {why}"
            );
        }
    }
    if table.has_no_kpi() {
        let all: Vec<String> = table.refused().map(|(column, why)| format!("{}: {why}", column.name())).collect();
        bail!("preset of [collector.prometheus]: {}", all.join("; "));
    }
    Ok(())
}

struct Reading {
    asked: Asked,
    course: Course,
    position: Position,
    appender: Appender,
    retry: BusRetry,
    has_answered: bool,
    /// Whether it was told that series belong to no workload.
    has_told_left_out: bool,
    /// The KPIs of which it was told that they cannot be asked for.
    told_refused: BTreeSet<String>,
    /// Whether any piece since the start had a sample; `None` where none was read.
    found: Option<bool>,
}

impl Reading {
    /// Leaves out what lies before the history.
    fn skip(&mut self) {
        let left_out_s = self.course.skip(&mut self.position, clock::now());
        if left_out_s > 0 {
            tracing::warn!(
                source = self.retry.id(),
                left_out_s,
                "it was read until longer ago than [collector.prometheus] history_s: what lies between is left out"
            );
        }
    }

    /// Reads a piece, or as much of it as the server allows, and writes its samples; false when the shutdown came
    /// first.
    fn read(&mut self, piece: Instants) -> Result<bool> {
        let Some((piece, samples)) = self.samples(piece)? else { return Ok(false) };
        let written = samples.len();
        let placed = |sample: Sample| PlacedSample { place: sample.at.as_ms().to_string(), sample };
        let samples: Vec<PlacedSample> = samples.into_iter().map(placed).collect();
        let position = Position { until_ms: piece.last_ms(), ..self.position };
        if self.appender.append(&samples, &position.encode())? == Appended::Shutdown {
            return Ok(false);
        }
        self.position = position;
        self.found = Some(self.found == Some(true) || written > 0);
        self.course.adapt(piece, written);
        Ok(true)
    }

    /// The samples of a piece, which is shorter than asked for where the server allows no more. `None` when the shutdown
    /// comes first.
    fn samples(&mut self, mut piece: Instants) -> Result<Option<(Instants, Vec<Sample>)>> {
        let Self { asked, course, retry, has_answered, has_told_left_out, told_refused, .. } = self;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed());
        let mut has_failed = false;
        loop {
            retry.health().alive();
            let error = match asked.table(piece) {
                Ok(table) => {
                    tell_refused(&table, retry.id(), told_refused)?;
                    if has_failed {
                        tracing::info!(source = retry.id(), "it answers again");
                    }
                    if has_failed || !std::mem::replace(has_answered, true) {
                        retry.health().ready();
                    }
                    let left_out = table.left_out();
                    if left_out.series > 0 {
                        metrics::counter!("prescale_collector_series_left_out_total", "source" => retry.id().to_owned())
                            .increment(left_out.series as u64);
                        if !std::mem::replace(has_told_left_out, true) {
                            tracing::warn!(
                                source = retry.id(),
                                series = left_out.series,
                                "series of no workload are left out, here and from now on: {}",
                                left_out.why
                            );
                        }
                    }
                    return Ok(Some((piece, table.samples(&asked.source))));
                }
                Err(QueryError::TooMuch(why)) if course.shorten(piece) => {
                    piece.count = course.instants;
                    tracing::info!(source = retry.id(), instants = piece.count, "asking for less at a time: {why}");
                    continue;
                }
                Err(error) => error,
            };
            has_failed = true;
            let pause = backoff.pause();
            tracing::warn!(source = retry.id(), "trying again in {} ms: {error}", pause.as_millis());
            let until = rfc3339(EventTime::from_ms(piece.first_ms));
            retry.health().failed(format!("what is from {until} on cannot be read: {error}"));
            retry.health().idle();
            if cancelled_within(retry.shutdown(), pause) {
                return Ok(None);
            }
        }
    }
}
