//! A trace from a file, replayed at any speed in the order of its instants.
//!
//! A sample's place in its source is the number of its first row in the ordered trace, and the stored
//! position says how many rows are done: the rows and their order follow from the files, the mapping
//! and the range, which the position names as well.

use crate::append::{Appended, Appender, PlacedSample};
use crate::config::{ReplayConfig, name_from};
use crate::event::Event;
use crate::inputs::{self, InputEntry};
use anyhow::{Context as _, Result, bail};
use at::Range;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use grid::{Grid, jitters};
use join::{Joiner, Outcome};
use pace::{BackPressure, Pace};
use position::{Identity, Progress};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::{BusRetry, Context, Use};
use prescale_contracts::{rfc3339, topics};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use rows::SampleMaker;
use std::time::Duration;
use step::most_frequent_step_s;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trace::Trace;

mod at;
pub mod form;
mod grid;
mod join;
pub mod known;
pub mod mapping;
mod numbers;
pub(crate) mod pace;
mod position;
pub mod preview;
pub mod read;
mod rows;
mod source;
mod step;
mod text;
mod trace;

#[cfg(test)]
mod tests;

/// Its entry in the list of inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "replay",
    table: None,
    check: |config| config.replay.check(),
    is_on: |config| config.replay.is_enabled(),
    uses: |_, graph| graph.reading(topics::RAW_KPIS).copied().map(Use::Watches).collect(),
    run: |l| run(&l.config.replay, l.context, l.bus, l.stop, l.observe),
};

/// Threads that read and order the trace.
const READERS: usize = 2;

/// Replays until the end of the trace or the shutdown.
fn run(
    config: &ReplayConfig,
    context: &Context,
    bus: &dyn Bus,
    shutdown: &CancellationToken,
    observe: &dyn Fn(Event),
) -> Result<()> {
    let name = match config.name.as_str() {
        "" => name_from(&config.file.file_name().map(|n| n.to_string_lossy()).unwrap_or_default()),
        name => name.to_owned(),
    };
    let retry = BusRetry::new(&format!("replay:{name}"), inputs::health(context, &ENTRY), shutdown);
    let runtime = readers()?;
    let Some((appender, stored)) = Appender::open(bus, retry.clone())? else { return Ok(()) };
    let back_pressure = BackPressure::of(context, bus, config.lag_max_records);
    let Some(plan) = interruptible(&runtime, shutdown, Plan::make(config))? else { return Ok(()) };
    let (written, progress) = match stored {
        Some(bytes) => {
            let progress = position::decode(&bytes, &plan.identity, &name)?;
            (progress.clone(), progress)
        }
        None => (Progress::default(), Progress::starting(plan.rows_without_instant)),
    };
    retry.health().ready();
    let mut replay = Replay { plan, appender, retry, back_pressure, progress, written, batch: Vec::new() };
    if replay.progress.ended {
        tracing::info!(source = replay.retry.id(), "the replay has come to its end before, nothing is left to do");
    } else if !replay.all(config, &runtime, observe)? {
        return Ok(());
    }
    let report = replay.progress.report(&replay.plan.trace);
    tracing::info!(
        source = replay.retry.id(),
        rows_read = report.rows_read,
        samples_written = report.samples_written,
        rows_dropped = ?report.rows_dropped,
        first_at = report.first_at.map(rfc3339),
        last_at = report.last_at.map(rfc3339),
        "the replay has come to its end"
    );
    replay.retry.health().idle();
    observe(Event::ReplayEnded(report));
    Ok(())
}

/// The threads that a trace is read by.
fn readers() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(READERS)
        .thread_name("trace reader")
        .enable_all()
        .build()
        .context("cannot start the threads that read the trace")
}

/// Runs to the end, or to the shutdown: then `None`.
fn interruptible<T>(
    runtime: &Runtime,
    shutdown: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(None),
            done = work => done.map(Some),
        }
    })
}

/// What is to be replayed.
struct Plan {
    trace: Trace,
    range: Range,
    step_s: u32,
    grid: Grid,
    rows_without_instant: u64,
    rows_in_range: u64,
    identity: Identity,
}

impl Plan {
    async fn make(config: &ReplayConfig) -> Result<Self> {
        let (trace, mapping) = Trace::open(&config.file, config.sort_memory_bytes_max, &config.mapping).await?;
        for note in trace.notes() {
            tracing::warn!("{}: {note}", config.file.display());
        }
        let extent = trace.extent().await?;
        let first = extent.first_ms.map(EventTime::from_ms);
        let from = config.from.after(None).or(first);
        let to = config.to.after(from);
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            bail!("[collector.replay] to = \"{}\" is not after its beginning, {}", config.to, rfc3339(from));
        }
        let range = Range { from_ms: from.map_or(0, EventTime::as_ms), to_ms: to.map(EventTime::as_ms) };
        let is_whole = to.is_none() && from == first;
        let rows_in_range = if is_whole { extent.rows_with_instant } else { trace.count(range).await? };
        let (step_s, grid) = match rows_in_range {
            0 => (config.step_s.max(1), Grid::default()),
            _ => step_and_grid(&trace, range, config.step_s).await?,
        };
        let identity = Identity::of(&config.file, &mapping, range, step_s)?;
        let rows_without_instant = extent.rows_without_instant;
        Ok(Self { trace, range, step_s, grid, rows_without_instant, rows_in_range, identity })
    }
}

/// The step, which is found where none is set, and the grids of workloads whose instants jitter about it.
async fn step_and_grid(trace: &Trace, range: Range, set_step_s: u32) -> Result<(u32, Grid)> {
    let instants = trace.first_instants(range).await?;
    let step_s = match set_step_s {
        0 => most_frequent_step_s(&instants).context(
            "[collector.replay] step_s = 0: the step cannot be found, no workload has two instants in the range; set it",
        )?,
        step_s => step_s,
    };
    let grid = if jitters(&instants, step_s) { trace.grid(range, step_s).await? } else { Grid::default() };
    Ok((step_s, grid))
}

fn cannot_order(error: DataFusionError) -> anyhow::Error {
    let hint = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => ": give it more memory with [collector.replay] sort_memory_bytes_max",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("cannot read the trace in order{hint}"))
}

struct Replay<'a> {
    plan: Plan,
    appender: Appender,
    retry: BusRetry,
    back_pressure: BackPressure<'a>,
    progress: Progress,
    /// The progress at the last write.
    written: Progress,
    batch: Vec<PlacedSample>,
}

impl Replay<'_> {
    /// Replays what is left; false when the shutdown came first.
    fn all(&mut self, config: &ReplayConfig, runtime: &Runtime, observe: &dyn Fn(Event)) -> Result<bool> {
        let Range { from_ms, to_ms } = self.plan.range;
        let (resume_ms, mut skip) = self.progress.resume_at().unwrap_or((from_ms, 0));
        let stream = self.plan.trace.ordered(Range { from_ms: resume_ms, to_ms });
        let Some(mut stream) = interruptible(runtime, self.retry.shutdown(), stream)? else { return Ok(false) };
        tracing::info!(
            source = self.retry.id(),
            rows_done = self.progress.rows_done,
            rows_total = self.plan.rows_in_range,
            step_s = self.plan.step_s,
            "replaying at speed {}",
            config.speed
        );
        let maker = SampleMaker::new(
            &self.plan.trace,
            SourceName::new(self.retry.id())?,
            self.plan.step_s,
            self.plan.grid.clone(),
        );
        let (mut pace, mut joiner) = (Pace::new(config.speed), Joiner::default());
        loop {
            self.retry.health().idle();
            let next = async { stream.next().await.transpose().map_err(cannot_order) };
            let Some(next) = interruptible(runtime, self.retry.shutdown(), next)? else { return Ok(false) };
            let Some(batch) = next else { break };
            self.retry.health().alive();
            let rows = maker.rows(&batch)?;
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(rows.len());
            skip -= skipped as u64;
            for row in skipped..rows.len() {
                let done = joiner.take(rows.at_ms(row), rows.sample(row), rows.place(row));
                if let Some(done) = done
                    && !self.take(done, &mut pace, config, observe)?
                {
                    return Ok(false);
                }
            }
        }
        if let Some(done) = joiner.finish()
            && !self.take(done, &mut pace, config, observe)?
        {
            return Ok(false);
        }
        self.progress.ended = true;
        self.write(observe)
    }

    /// Takes what became of some rows, when its time has come; false when the shutdown came first.
    fn take(
        &mut self,
        outcome: Outcome,
        pace: &mut Pace,
        config: &ReplayConfig,
        observe: &dyn Fn(Event),
    ) -> Result<bool> {
        let wait = pace.wait(outcome.at_ms);
        let is_due = wait.is_zero() || self.write(observe)? && self.pause(wait);
        if !is_due {
            return Ok(false);
        }
        let place = self.progress.rows_done.to_string();
        self.progress.took(&outcome);
        self.batch.extend(outcome.sample.map(|sample| PlacedSample { sample, place }));
        if self.batch.len() >= config.batch_samples_max { self.write(observe) } else { Ok(true) }
    }

    fn pause(&self, wait: Duration) -> bool {
        self.retry.health().idle();
        !cancelled_within(self.retry.shutdown(), wait)
    }

    /// Writes what has gathered, with the position; false when the shutdown came first.
    fn write(&mut self, observe: &dyn Fn(Event)) -> Result<bool> {
        if self.progress == self.written {
            return Ok(true);
        }
        if !self.back_pressure.wait(&self.retry)? {
            return Ok(false);
        }
        let position = position::encode(&self.plan.identity, &self.progress);
        if self.appender.append(&self.batch, &position)? == Appended::Shutdown {
            return Ok(false);
        }
        self.batch.clear();
        for (reason, rows) in self.progress.dropped_since(&self.written) {
            metrics::counter!("prescale_collector_rows_dropped_total", "reason" => reason).increment(rows);
        }
        self.written.clone_from(&self.progress);
        observe(Event::ReplayProgress { rows_done: self.progress.rows_done, rows_total: self.plan.rows_in_range });
        Ok(true)
    }
}
