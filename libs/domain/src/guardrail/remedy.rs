//! What is done while an anomaly lasts, by what is to blame for it.
//!
//! It must not know how capacity is changed: who decides asks what is in force.

use crate::alarm::Severity;
use crate::knob::{Knob, Knobs, Words};
use crate::kpi::{CPU_CORES_USED, CPU_THROTTLED_SHARE, ERRORS_PER_S, KpiName, LATENCY_MS, MEMORY_BYTES, RUN_QUEUE};

/// Rule of the reason for which a plan waits for an operator's word.
pub const ASKS: &str = "anomaly.ask";

/// What is done while an anomaly lasts. That nothing is taken away holds for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing is taken away.
    HoldScaleIn,
    /// There is a step more than when it began.
    ScaleOut,
    /// Nothing changes but what live use demands.
    Freeze,
    /// Whatever is planned waits for an operator's word, but for what live use demands.
    Ask,
}

impl Words for Remedy {
    const WORDS: &'static [&'static str] = &["hold-scale-in", "scale-out", "freeze", "ask"];
    const VALUES: &'static [Self] = &[Self::HoldScaleIn, Self::ScaleOut, Self::Freeze, Self::Ask];
}

/// What is done about anomalies.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedies {
    /// Only where the p-value has been at most this.
    pub p_value_max: f64,
    /// Only where it is at least as severe.
    pub severity_min: Severity,
    /// A step, as a share of the capacity when the anomaly began.
    pub step_share: f64,
    /// Where CPU is most to blame, throttling and waiting tasks included.
    pub cpu: Remedy,
    /// Where memory is.
    pub memory: Remedy,
    /// Where latency is.
    pub latency: Remedy,
    /// Where errors are.
    pub errors: Remedy,
    /// Where anything else is.
    pub other: Remedy,
}

impl Default for Remedies {
    fn default() -> Self {
        Self {
            p_value_max: 1e-5,
            severity_min: Severity::Info,
            step_share: 0.25,
            cpu: Remedy::HoldScaleIn,
            memory: Remedy::HoldScaleIn,
            latency: Remedy::HoldScaleIn,
            errors: Remedy::HoldScaleIn,
            other: Remedy::HoldScaleIn,
        }
    }
}

impl Knobs for Remedies {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { p_value_max, severity_min, step_share, cpu, memory, latency, errors, other } = self;
        see("p_value_max", Knob::number(p_value_max));
        see("severity_min", Knob::Word(severity_min));
        see("step_share", Knob::number(step_share));
        see("cpu", Knob::Word(cpu));
        see("memory", Knob::Word(memory));
        see("latency", Knob::Word(latency));
        see("errors", Knob::Word(errors));
        see("other", Knob::Word(other));
    }
}

impl Remedies {
    /// What is done where that KPI is most to blame; `None` where it is not known which.
    pub(super) fn of(&self, blamed: Option<&KpiName>) -> Remedy {
        match blamed.map(KpiName::as_str) {
            Some(CPU_CORES_USED | CPU_THROTTLED_SHARE | RUN_QUEUE) => self.cpu,
            Some(MEMORY_BYTES) => self.memory,
            Some(LATENCY_MS) => self.latency,
            Some(ERRORS_PER_S) => self.errors,
            _ => self.other,
        }
    }
}
