//! The assembler as a stage of the bus.

use prescale_bus::{Reach, Rejection, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::point::Point;
use prescale_domain::sample::Sample;
use prescale_domain::stream::assembly::{Assembly, AssemblySettings, Taken};

/// Name of the stage.
pub const NAME: &str = "assembler";
/// Reason under which points are counted of which there was one of the same series and instant.
pub const DUPLICATE: &str = "duplicate";
/// Reason under which points are counted that come when their sample went out, behind a newer one of their series: they
/// were sent again, most often.
pub const PASSED: &str = "passed";
/// Code under which points are rejected that come when their sample went out, and are the first of their series to say so.
pub const LATE: &str = "late";
/// Code under which points are rejected that are far ahead of their source.
pub const FROM_THE_FUTURE: &str = "from_the_future";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances.
pub struct Factory {
    settings: AssemblySettings,
}

/// The stage on one partition.
pub struct AssemblerStage {
    settings: AssemblySettings,
    assembly: Assembly,
}

impl Factory {
    /// With these settings.
    pub fn new(settings: AssemblySettings) -> Self {
        Self { settings }
    }
}

impl TypedStageFactory for Factory {
    type Stage = AssemblerStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        let AssemblySettings { lateness_s, ahead_s, carried_s } = self.settings;
        StateSchema::of(NAME, STATE_LAYOUT)
            .made_under("lateness_s", lateness_s)
            .made_under("future_bound_s", ahead_s)
            .made_under("carried_s", carried_s)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        let AssemblySettings { lateness_s, carried_s, .. } = self.settings;
        let records_s = u64::from(lateness_s) + u64::from(carried_s);
        vec![Reach { what: "the last numbers of series", records_s }]
    }

    fn create(&self, _partition: u32) -> AssemblerStage {
        AssemblerStage { settings: self.settings, assembly: Assembly::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<AssemblerStage, String> {
        let assembly = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the {NAME}: {e}"))?;
        Ok(AssemblerStage { settings: self.settings, assembly })
    }
}

impl TypedStage for AssemblerStage {
    type In = Point;

    fn apply(&mut self, batch: Vec<Input<Point>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(&input.value)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.assembly)
    }
}

impl AssemblerStage {
    fn reply(&mut self, point: &Point) -> Result<Reply, StageFailure> {
        let mut made = Vec::new();
        let taken = self.assembly.offer(&self.settings, point, &mut made);
        // Its id is that of source, workload and instant, whichever point it was that completed the bin.
        let outgoing = |sample: &Sample| Outgoing::root(NAME, &sample.source, &[topics::RAW_KPIS], sample);
        if !made.is_empty() {
            return Ok(Reply::Emit(made.iter().map(outgoing).collect::<Result<_, _>>()?));
        }
        Ok(match taken {
            Taken::Kept => Reply::Emit(Vec::new()),
            Taken::Duplicate => Reply::Drop(DUPLICATE),
            Taken::Passed => Reply::Drop(PASSED),
            Taken::Late => Reply::Reject(Rejection {
                code: LATE,
                message: format!(
                    "{} of {} at {} came when the samples of that time were out: {} is further on by more than [assembler] \
                     lateness_s = {}; raise it, or give this sender a name or a tenant of its own",
                    point.measured.name(),
                    point.workload,
                    point.at,
                    point.source,
                    self.settings.lateness_s
                ),
            }),
            Taken::FromTheFuture => Reply::Reject(Rejection {
                code: FROM_THE_FUTURE,
                message: format!(
                    "instant {} of {} is far ahead of all others of {}: check the sender's clock",
                    point.at, point.workload, point.source
                ),
            }),
        })
    }
}

#[cfg(test)]
mod tests;
