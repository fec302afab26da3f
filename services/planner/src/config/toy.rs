//! A policy of the tests alone: so many cores, whatever is forecast. This module and its entry in the list are all that
//! there is of it.

use prescale_domain::action::Reason;
use prescale_domain::knob::{Knob, Knobs};
use prescale_domain::policy::decide::Facts;
use prescale_domain::policy::proposal::{Need, Proposal};
use prescale_domain::policy::{Policy, Rules, RulesError, Sizing};
use prescale_domain::resource::Direction;
use prescale_domain::sample::Capacity;

/// So many cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Toy {
    /// Over all replicas.
    pub cores: f64,
}

impl Default for Toy {
    fn default() -> Self {
        Self { cores: 1.0 }
    }
}

impl Knobs for Toy {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        see("cores", Knob::number(&mut self.cores));
    }
}

impl Policy for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn validate(&self, _sizing: &Sizing) -> Result<(), RulesError> {
        let remedy =
            || RulesError { key: "cores".into(), value: self.cores.to_string(), remedy: "give more".to_owned() };
        if self.cores > 0.0 { Ok(()) } else { Err(remedy()) }
    }

    fn propose(&self, _rules: &Rules, _facts: &Facts<'_>, base: &Capacity) -> Proposal {
        let direction = if self.cores > base.cpu_cores() { Direction::Out } else { Direction::In };
        let need = Need { cpu_cores: Some(self.cores), ..Need::default() };
        let text = format!("{} cores", self.cores);
        let reasons = vec![Reason { rule: "toy.cores".into(), text }];
        Proposal { change: Some((direction, need)), planned: need, reasons, ..Proposal::default() }
    }
}
