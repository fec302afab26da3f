//! A trace read without a bus: its samples in order, as a replay would write them.

use super::at::Range;
use super::join::{Joiner, Outcome};
use super::position::Progress;
use super::rows::SampleMaker;
use super::{Grid, Plan, cannot_order, readers};
use crate::config::ReplayConfig;
use crate::event::ReplayReport;
use anyhow::Result;
use futures::StreamExt as _;
use prescale_domain::sample::Sample;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use std::ops::ControlFlow;

/// What is known of a trace before its rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceExtent {
    /// Rows in the range.
    pub rows: u64,
    /// Sampling step, in seconds.
    pub step_s: u32,
    /// Beginning of the range, which is the first row's instant where nothing else was asked for.
    pub from: EventTime,
    /// Whether instants jitter about the step, so that they are put on a grid.
    pub has_jitter: bool,
}

/// Hands out the samples of `config.file` by instant, then workload, some at a time, after
/// `opened` was told how many rows there are. Ends early when `take` breaks. Blocks; call it outside of any
/// async runtime. Pace, name and back-pressure of the configuration do not matter.
///
/// # Errors
/// When the file cannot be read or the mapping cannot be used, with the key.
pub fn read_samples(
    config: &ReplayConfig,
    opened: impl FnOnce(TraceExtent),
    mut take: impl FnMut(Vec<Sample>) -> ControlFlow<()>,
) -> Result<ReplayReport> {
    readers()?.block_on(async {
        let plan = Plan::make(config).await?;
        let Range { from_ms, to_ms } = plan.range;
        opened(TraceExtent {
            rows: plan.rows_in_range,
            step_s: plan.step_s,
            from: EventTime::from_ms(from_ms),
            has_jitter: plan.grid != Grid::default(),
        });
        let mut stream = plan.trace.ordered(Range { from_ms, to_ms }).await?;
        let maker = SampleMaker::new(&plan.trace, SourceName::new("replay:trace")?, plan.step_s, plan.grid.clone());
        let mut progress = Progress::starting(plan.rows_without_instant);
        let mut joiner = Joiner::default();
        loop {
            let batch = stream.next().await.transpose().map_err(cannot_order)?;
            let is_last = batch.is_none();
            let mut outcomes: Vec<Outcome> = Vec::new();
            match batch {
                Some(batch) => {
                    let rows = maker.rows(&batch)?;
                    let mut take = |row| joiner.take(rows.at_ms(row), rows.sample(row), rows.place(row));
                    outcomes.extend((0..rows.len()).filter_map(&mut take));
                }
                None => outcomes.extend(joiner.finish()),
            }
            outcomes.iter().for_each(|outcome| progress.took(outcome));
            let samples = outcomes.into_iter().filter_map(|outcome| outcome.sample).collect();
            if take(samples).is_break() || is_last {
                break;
            }
        }
        Ok(progress.report(&plan.trace))
    })
}
