//! Restraints around every policy: how much capacity a workload may have, how far one action may
//! go, and how often actions may come.
//!
//! It must not know why a policy wants a change. Where it speaks it leaves a reason.

pub mod history;
pub mod pace;
pub mod remedy;
pub mod room;
pub mod strain;
pub mod unusual;

pub use history::{History, Published};
pub use pace::Pace;
pub use remedy::{ASKS, Remedies, Remedy};
pub use room::{Bounds, Room, Step};
pub use unusual::Unusual;

use crate::anomaly::ANOMALY_P_MAX;
use crate::forecast::capped::CAPPED_FROM;
use crate::knob::{Knob, Knobs, MIB};

/// All guardrails of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Guardrails {
    /// How much capacity the workload may have.
    pub bounds: Bounds,
    /// How far one action may go.
    pub step: Step,
    /// How often actions may come.
    pub pace: Pace,
    /// Fewest scored intervals behind a forecast that may change capacity; 0 asks for none.
    pub scored_min: u32,
    /// Live use may take at most this share of the capacity: more than that demands an increase that nothing but
    /// bounds can hold, and no decrease goes below it.
    pub floor_utilisation: f64,
    /// Use above that demands an increase once it has lasted so long, in seconds.
    pub surge_s: u32,
    /// Use below that ends such a stretch once it has lasted so long, in seconds.
    pub floor_window_s: u32,
    /// From this share of the capacity on, use is taken to be capped by it: it tells how much there is and not how much
    /// is wanted, and capacity grows by the largest step. 0 where use can pass the capacity.
    pub capped_from: f64,
    /// A workload whose p-value is below this has an anomaly; 0 says that none has.
    pub anomaly_p_max: f64,
    /// No decrease so long after an anomaly, in seconds.
    pub anomaly_hold_s: u32,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            step: Step::default(),
            pace: Pace::default(),
            scored_min: 0,
            floor_utilisation: 0.95,
            surge_s: 120,
            floor_window_s: 300,
            capped_from: CAPPED_FROM,
            anomaly_p_max: ANOMALY_P_MAX,
            anomaly_hold_s: 1800,
        }
    }
}

impl Knobs for Guardrails {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self {
            bounds,
            step,
            pace,
            scored_min,
            floor_utilisation,
            surge_s,
            floor_window_s,
            capped_from,
            anomaly_p_max,
            anomaly_hold_s,
        } = self;
        bounds.knobs(see);
        step.knobs(see);
        pace.knobs(see);
        see("scored_min", Knob::Count(scored_min));
        see("floor_utilisation", Knob::number(floor_utilisation));
        see("surge_s", Knob::Count(surge_s));
        see("floor_window_s", Knob::Count(floor_window_s));
        see("capped_from", Knob::number(capped_from));
        see("anomaly_p_max", Knob::number(anomaly_p_max));
        see("anomaly_hold_s", Knob::Count(anomaly_hold_s));
    }
}

impl Knobs for Bounds {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { replicas_min, replicas_max, cpu_cores_min, cpu_cores_max, memory_bytes_min, memory_bytes_max } =
            self;
        see("replicas_min", Knob::Count(replicas_min));
        see("replicas_max", Knob::Count(replicas_max));
        see("cpu_cores_min", Knob::number(cpu_cores_min));
        see("cpu_cores_max", Knob::Bound { value: cpu_cores_max, unit: 1.0 });
        see("memory_mib_min", Knob::Number { value: memory_bytes_min, unit: MIB });
        see("memory_mib_max", Knob::Bound { value: memory_bytes_max, unit: MIB });
    }
}

impl Knobs for Step {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { share_max_out, share_max_in, replicas_max } = self;
        see("step_share_max_out", Knob::number(share_max_out));
        see("step_share_max_in", Knob::number(share_max_in));
        see("step_replicas_max", Knob::CountBound(replicas_max));
    }
}

impl Knobs for Pace {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { cooldown_out_s, cooldown_in_s, changes_per_day_max, warm_up_s, valid_for_s } = self;
        see("cooldown_out_s", Knob::Count(cooldown_out_s));
        see("cooldown_in_s", Knob::Count(cooldown_in_s));
        see("changes_per_day_max", Knob::Count(changes_per_day_max));
        see("warm_up_s", Knob::Count(warm_up_s));
        see("valid_for_s", Knob::Count(valid_for_s));
    }
}
