//! The keys of `[planner]` that the rules have in several parts: what of a forecast counts, and what the mechanisms make.

use prescale_domain::knob::{Knob, Knobs, MIB};
use prescale_domain::policy::{ForecastChoice, Sizing};

/// What stands in `[planner]` itself, but for the resources. The prices are a section of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct General {
    /// What of a forecast counts.
    pub forecast: ForecastChoice,
    /// Whether the lead time is only what holds until it is learnt, from when the capacity changes after an increase.
    pub learns_lead_time: bool,
    /// How capacity is changed.
    pub sizing: Sizing,
}

impl Default for General {
    fn default() -> Self {
        Self { forecast: ForecastChoice::default(), learns_lead_time: true, sizing: Sizing::default() }
    }
}

impl Knobs for General {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { forecast, learns_lead_time, sizing } = self;
        let ForecastChoice { target, quantile, lead_time_s, resources: _ } = forecast;
        let Sizing { mechanism, cpu_cores_grain, memory_bytes_grain, prices: _ } = sizing;
        see("target", Knob::Word(target));
        see("quantile", Knob::number(quantile));
        see("lead_time_s", Knob::Count(lead_time_s));
        see("learn_lead_time", Knob::Flag(learns_lead_time));
        see("mechanism", Knob::Word(mechanism));
        see("cpu_cores_grain", Knob::number(cpu_cores_grain));
        see("memory_mib_grain", Knob::Number { value: memory_bytes_grain, unit: MIB });
    }
}
