//! The policy `threshold`: the predicted demand of each resource is compared with its capacity.
//!
//! With the relative interval width w = (upper - lower) / (2 · median):
//! if predicted > capacity × `increase_above` and w < `relative_width_max`, the new capacity is
//! predicted × `headroom`; else if predicted < capacity × `decrease_below`, the capacity is
//! decreased to predicted × `headroom`. Every comparison is strict.

mod propose;

use super::decide::Facts;
use super::outlook::Outlook;
use super::proposal::Proposal;
use super::rate::RateView;
use super::rate::judge::RateCall;
use super::rules::interface::Policy;
use super::rules::{Rules, RulesError, positive, require};
use super::sizing::Sizing;
use crate::action::Reason;
use crate::knob::{Knob, Knobs};
use crate::resource::Direction;
use crate::sample::Capacity;

/// The four numbers of the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Multiple of the capacity that the predicted demand has to exceed for an increase.
    pub increase_above: f64,
    /// Relative interval width that an increase has to stay below.
    pub relative_width_max: f64,
    /// Multiple of the capacity that the predicted demand has to fall below for a decrease.
    pub decrease_below: f64,
    /// New capacity as a multiple of the predicted demand.
    pub headroom: f64,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { increase_above: 1.2, relative_width_max: 0.15, decrease_below: 0.8, headroom: 1.1 }
    }
}

/// What the rule says about one resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// More capacity is needed.
    Increase {
        /// New capacity, in the resource's unit.
        to: f64,
    },
    /// Less capacity is enough.
    Decrease {
        /// New capacity, in the resource's unit.
        to: f64,
    },
    /// The demand would call for more, and the interval is too wide to rely on it.
    TooUncertain,
    /// The capacity fits.
    Keep,
}

impl Threshold {
    /// Applies the rule. The outlook's numbers are finite, its median and capacity positive.
    pub fn judge(&self, outlook: &Outlook) -> Call {
        let to = outlook.predicted * self.headroom;
        if outlook.predicted > outlook.capacity * self.increase_above {
            if outlook.relative_width() < self.relative_width_max {
                return Call::Increase { to };
            }
            return Call::TooUncertain;
        }
        if outlook.predicted < outlook.capacity * self.decrease_below { Call::Decrease { to } } else { Call::Keep }
    }
}

impl Knobs for Threshold {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { increase_above, relative_width_max, decrease_below, headroom } = self;
        see("increase_above", Knob::number(increase_above));
        see("relative_width_max", Knob::number(relative_width_max));
        see("decrease_below", Knob::number(decrease_below));
        see("headroom", Knob::number(headroom));
    }
}

impl Policy for Threshold {
    fn name(&self) -> &'static str {
        "threshold"
    }

    fn validate(&self, _sizing: &Sizing) -> Result<(), RulesError> {
        positive("increase_above", self.increase_above)?;
        positive("relative_width_max", self.relative_width_max)?;
        positive("headroom", self.headroom)?;
        require(
            self.decrease_below.is_finite() && self.decrease_below >= 0.0,
            "decrease_below",
            self.decrease_below,
            "give a number of at least 0",
        )?;
        require(
            self.decrease_below < self.increase_above,
            "decrease_below",
            self.decrease_below,
            format!("keep it below increase_above ({})", self.increase_above),
        )?;
        require(
            self.increase_above * self.headroom > 1.0,
            "headroom",
            self.headroom,
            "increase_above × headroom has to be above 1, or an increase would take capacity away",
        )?;
        require(
            self.decrease_below * self.headroom < 1.0,
            "headroom",
            self.headroom,
            "decrease_below × headroom has to be below 1, or a decrease would add capacity",
        )
    }

    fn propose(&self, rules: &Rules, facts: &Facts<'_>, base: &Capacity) -> Proposal {
        propose::propose(self, &rules.forecast, facts, base)
    }

    fn judge_rate(
        &self,
        rules: &Rules,
        facts: &Facts<'_>,
        view: &RateView<'_>,
        served: f64,
    ) -> Result<Option<RateCall>, Reason> {
        let chosen = rules
            .forecast
            .choose_of(view.kpi.as_str(), facts.prediction, served)
            .map_err(|why| facts.reason("threshold.undecided", || format!("{}: no decision, {why}", view.kpi)))?;
        let (direction, rate) = match self.judge(&chosen.outlook) {
            Call::Increase { to } => (Some(Direction::Out), to),
            Call::Decrease { to } => (Some(Direction::In), to),
            Call::TooUncertain | Call::Keep => (None, chosen.outlook.predicted),
        };
        Ok(Some(RateCall {
            direction,
            rate,
            by: facts.words(|| format!("by the {}", rules.forecast.words(chosen.horizon_s))),
            evidence: facts.tells_why.then(|| propose::evidence(view.kpi.as_str(), &chosen)),
            scored: Some(chosen.interval.scored),
        }))
    }

    fn needs_forecasts(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outlook(predicted: f64, half_width: f64, capacity: f64) -> Outlook {
        Outlook { predicted, median: predicted, lower: predicted - half_width, upper: predicted + half_width, capacity }
    }

    #[test]
    fn boundaries_are_strict() {
        let rule = Threshold::default();
        let cases = [
            ("exactly 1.2", outlook(12.0, 0.1, 10.0), Call::Keep),
            ("just above 1.2", outlook(12.001, 0.1, 10.0), Call::Increase { to: 12.001 * 1.1 }),
            ("width exactly 0.15", outlook(20.0, 3.0, 10.0), Call::TooUncertain),
            ("width just below 0.15", outlook(20.0, 2.999, 10.0), Call::Increase { to: 20.0 * 1.1 }),
            ("exactly 0.8", outlook(8.0, 0.1, 10.0), Call::Keep),
            ("just below 0.8", outlook(7.999, 0.1, 10.0), Call::Decrease { to: 7.999 * 1.1 }),
            ("a wide interval does not stop a decrease", outlook(4.0, 4.0, 10.0), Call::Decrease { to: 4.4 }),
        ];
        for (name, outlook, expected) in cases {
            match (rule.judge(&outlook), expected) {
                (Call::Increase { to: a }, Call::Increase { to: b })
                | (Call::Decrease { to: a }, Call::Decrease { to: b }) => {
                    assert!((a - b).abs() < 1e-9, "{name}: {a} is not {b}");
                }
                (call, expected) => assert_eq!(call, expected, "{name}"),
            }
        }
    }

    proptest! {
        /// The design's sentence, evaluated on its own: signum of the change and the new capacity.
        #[test]
        fn agrees_with_the_formula(
            median in 0.01f64..1e6, below in 0.0f64..1.0, above in 0.0f64..1.0, capacity in 0.01f64..1e6,
            (up, width, down, room) in (1.0f64..2.0, 0.01f64..0.5, 0.3f64..1.0, 1.0f64..1.3),
        ) {
            let (lower, upper) = (median * (1.0 - below), median * (1.0 + above));
            let rule = Threshold { increase_above: up, relative_width_max: width, decrease_below: down, headroom: room };
            let call = rule.judge(&Outlook { predicted: median, median, lower, upper, capacity });
            let w = (upper - lower) / (2.0 * median);
            let expected = if median > capacity * up && w < width {
                (1, median * room)
            } else if median < capacity * down {
                (-1, median * room)
            } else {
                (0, capacity)
            };
            let found = match call {
                Call::Increase { to } => (1, to),
                Call::Decrease { to } => (-1, to),
                Call::TooUncertain | Call::Keep => (0, capacity),
            };
            prop_assert_eq!(found, expected);
        }
    }
}
