//! What the proactive policy proposes for a whole workload: CPU by the rule that serves its demand best, memory by its
//! recent peak.

use super::Proactive;
use super::rule::{FORECAST_LEVELS, OF_CORES, RULES};
use super::track::{Asked, CORES_UNIT, ForecastAhead, Settings};
use crate::action::{Evidence, Reason};
use crate::policy::decide::Facts;
use crate::policy::outlook::Horizon;
use crate::policy::proposal::{Need, Proposal};
use crate::policy::rules::interface::Policy;
use crate::policy::rules::{Rules, RulesError};
use crate::policy::sizing::Sizing;
use crate::prediction::{Prediction, ResourceForecast};
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{amount_gone_by, model, number};

/// Memory is not taken away before its use has been watched for so long, in seconds.
const MEMORY_WATCHED_S_MIN: i64 = 86_400;

/// Most that memory is grown to for a forecast's sake before that, as a multiple of its peak.
const YOUNG_GROWTH_MAX: f64 = 1.5;

/// Level of the memory's maximum that may be needed.
const HIGH_LEVEL: f64 = 0.95;

/// Days whose greatest use memory is never set below.
pub(crate) const MEMORY_PEAK_DAYS: i64 = 7;

impl Policy for Proactive {
    fn name(&self) -> &'static str {
        "proactive"
    }

    fn validate(&self, _sizing: &Sizing) -> Result<(), RulesError> {
        self.check()
    }

    /// Judges CPU and memory. The facts' track is of CPU.
    fn propose(&self, rules: &Rules, facts: &Facts<'_>, base: &Capacity) -> Proposal {
        let Facts { prediction, track, ahead, prices, settings, .. } = *facts;
        let mut proposal = Proposal::default();
        let (mut out, mut lower) = (Need::default(), Need::default());
        let (mut grows, mut shrinks) = (false, false);
        for &resource in &rules.forecast.resources {
            let forecast = forecast_of(prediction, resource);
            let judged = match resource {
                Resource::Cpu => forecast.and_then(|_| track.asked(settings, prices, CORES_UNIT, ahead)).map(|asked| {
                    let reasons = &mut proposal.reasons;
                    reasons.extend(onset_reason(facts, &asked));
                    let judged = judge_cpu(facts, &asked, base, reasons);
                    let grows = judged.0 == Some(Direction::Out);
                    let passed = grows.then(|| passed_reason(facts, &asked, base));
                    match passed.flatten() {
                        Some(passed) => {
                            reasons.push(passed);
                            (None, Resource::Cpu.of(base))
                        }
                        None => judged,
                    }
                }),
                Resource::Memory => self.judge_memory(facts, forecast, base, &mut proposal.reasons),
            };
            let told = forecast.filter(|_| facts.tells_why);
            proposal.evidence.extend(told.and_then(|f| evidence(resource, f, base, settings)));
            let planned = judged.filter(|(direction, _)| direction.is_some()).map(|(_, amount)| amount);
            proposal.planned.set(resource, planned.unwrap_or_else(|| resource.of(base)));
            match judged {
                Some((Some(Direction::Out), amount)) => {
                    grows = true;
                    out.set(resource, amount);
                }
                Some((Some(Direction::In), amount)) => {
                    shrinks = true;
                    lower.set(resource, amount);
                }
                Some((None, _)) | None => lower.set(resource, resource.of(base)),
            }
            if judged.is_none() {
                let text = || format!("{}: no use of it is known, so it stays as it is", resource.kpi());
                proposal.reasons.push(facts.reason("proactive.unknown", text));
            }
        }
        proposal.change = match (grows, shrinks) {
            (true, _) => Some((Direction::Out, out)),
            (false, true) => Some((Direction::In, lower)),
            (false, false) => None,
        };
        proposal
    }

    fn plan(&self) -> Option<&Proactive> {
        Some(self)
    }
}

impl Proactive {
    fn judge_memory(
        &self,
        facts: &Facts<'_>,
        forecast: Option<&ResourceForecast>,
        base: &Capacity,
        reasons: &mut Vec<Reason>,
    ) -> Option<(Option<Direction>, f64)> {
        let Facts { prediction, live, settings, .. } = *facts;
        let peak = live.memory.greatest(MEMORY_PEAK_DAYS)?;
        let (amount, now) = (peak * self.memory_headroom, Resource::Memory.of(base));
        let horizon = forecast.and_then(|f| Horizon::of(f, settings.serves_until_s()));
        let maximum = |level: f64| horizon.map_or(0.0, |h| h.maximum(level));
        let ahead = if live.memory.watched_s() < MEMORY_WATCHED_S_MIN {
            // A forecast of a few minutes' growth is no reason to multiply what is there.
            maximum(HIGH_LEVEL).min(peak * YOUNG_GROWTH_MAX)
        } else if live.memory.is_growing() {
            maximum(HIGH_LEVEL)
        } else {
            // The upper end of a forecast comes and goes with each peak that recurs, and the plan would with it.
            maximum(HIGH_LEVEL).min(amount).max(maximum(0.5))
        };
        let words = |x: f64| Resource::Memory.amount(x);
        let headroom = || number(self.memory_headroom);
        let held = || amount_gone_by(Resource::Memory, base, prediction.capacity.as_ref());
        let peak_words = || format!("its peak of the last {MEMORY_PEAK_DAYS} days is {}", words(peak));
        let mut say = |rule: &str, text: &dyn Fn() -> String| {
            reasons.push(facts.reason(rule, || format!("{}: {}", Resource::Memory.kpi(), text())));
        };
        if ahead > now && ahead.is_finite() {
            say("proactive.memory_grows", &|| {
                let (ahead, held, peak) = (words(ahead), held(), peak_words());
                format!("{ahead} may be needed before a later decision serves, against {held}; {peak}")
            });
            return Some((Some(Direction::Out), ahead.max(amount)));
        }
        if amount >= now * (1.0 - self.memory_shrink_share) {
            say("proactive.memory_keep", &|| format!("{}; with {} × that, {} stay", peak_words(), headroom(), held()));
            return Some((None, now));
        }
        if live.memory.watched_s() < MEMORY_WATCHED_S_MIN {
            say("proactive.memory_young", &|| {
                format!("it has been watched for less than a day, so none of {} is taken away", held())
            });
            return Some((None, now));
        }
        if live.memory.is_growing() {
            say("proactive.memory_growing", &|| {
                format!("it has been growing for hours, so none of {} is taken away; {}", held(), peak_words())
            });
            return Some((None, now));
        }
        say("proactive.memory_peak", &|| {
            format!("{}, so {} are enough ({} × peak)", peak_words(), words(amount), headroom())
        });
        Some((Some(Direction::In), amount))
    }
}

/// What the rule in use asks for, against what was asked for last.
fn judge_cpu(facts: &Facts<'_>, asked: &Asked, base: &Capacity, reasons: &mut Vec<Reason>) -> (Option<Direction>, f64) {
    let direction = asked.deadband.direction(asked.amount, Resource::Cpu.of(base) as f32);
    reasons.push(facts.reason("proactive.rule", || rule_words(facts, asked, base, direction)));
    (direction, f64::from(asked.amount))
}

fn rule_words(facts: &Facts<'_>, asked: &Asked, base: &Capacity, direction: Option<Direction>) -> String {
    let Facts { prediction, track, prices, settings, .. } = *facts;
    let why = track.cost_words(settings, prices, asked.rule);
    let what = match direction {
        Some(Direction::Out) => "more is needed".to_owned(),
        Some(Direction::In) => "less is enough".to_owned(),
        None => format!(
            "{} stay: a decrease has to save {} %",
            amount_gone_by(Resource::Cpu, base, prediction.capacity.as_ref()),
            number(f64::from(asked.deadband.shrink_share) * 100.0)
        ),
    };
    format!(
        "{}: {} by {} (serves {} s after a decision); {what}; {why}",
        Resource::Cpu.kpi(),
        Resource::Cpu.amount(f64::from(asked.amount)),
        RULES[asked.rule].words(OF_CORES),
        settings.lead_time_s,
    )
}

/// Why an onset is expected, where the rule in use looks at that.
fn onset_reason(facts: &Facts<'_>, asked: &Asked) -> Option<Reason> {
    let led = facts.ahead.led.as_ref();
    if !RULES[asked.rule].looks_at_onsets() || asked.due.is_none() && led.is_none() {
        return None;
    }
    Some(facts.reason("proactive.onset", || {
        let by_itself = asked.due.map(|due| {
            format!(
                "of {} rises that were as long in coming as this one is, {} came within the time that is decided for",
                due.of, due.ended
            )
        });
        let by_a_peer = led.map(|led| {
            format!(
                "{} has just risen, and {} of its last {} rises were followed by one here",
                led.peer, led.followed, led.of
            )
        });
        let why: Vec<String> = by_itself.into_iter().chain(by_a_peer).collect();
        format!("a rise is due: {}", why.join("; "))
    }))
}

/// Why growth is left that a surge alone asks for that has passed, where the workload's surges are over before new
/// capacity can serve and don't come again while the rule in use recalls them.
fn passed_reason(facts: &Facts<'_>, asked: &Asked, base: &Capacity) -> Option<Reason> {
    let Facts { prediction, live, track, ahead, settings, .. } = *facts;
    let recalls_s = RULES[asked.rule].recalls_s(settings.serves_until_s());
    let now = (prediction.made_at, prediction.step_s);
    let short = live.surges.passed(settings.lead_time_s, now, recalls_s)?;
    // Of a use that is not known nobody can say that it has passed.
    let used = forecast_of(prediction, Resource::Cpu)?.last.filter(|used| used.is_finite())?;
    let stands = Resource::Cpu.of(base);
    let afresh = track.asked_afresh(settings, asked.rule, used as f32, ahead);
    if afresh.and_then(|amount| asked.deadband.direction(amount, stands as f32)) == Some(Direction::Out) {
        return None;
    }
    let text = || {
        format!(
            "{}: what asks for more has passed; the last {short} such surges of this workload were over before new capacity could serve, and seldom came again soon: {} stay",
            Resource::Cpu.kpi(),
            amount_gone_by(Resource::Cpu, base, prediction.capacity.as_ref()),
        )
    };
    Some(facts.reason("surge.passed", text))
}

/// The forecast of a resource in a prediction.
pub(crate) fn forecast_of(prediction: &Prediction, resource: Resource) -> Option<&ResourceForecast> {
    prediction.resources.iter().find(|r| r.resource.as_str() == resource.kpi())
}

/// The forecast of CPU over the time that a decision serves.
pub(crate) fn forecast_ahead(forecast: &ResourceForecast, settings: &Settings) -> ForecastAhead {
    let horizon = Horizon::of(forecast, settings.serves_until_s())?;
    let values = FORECAST_LEVELS.map(|level| horizon.maximum(level) as f32);
    values.iter().all(|v| v.is_finite()).then_some(values)
}

fn evidence(resource: Resource, forecast: &ResourceForecast, base: &Capacity, settings: &Settings) -> Option<Evidence> {
    let horizon =
        forecast.horizons.iter().find(|h| h.horizon_s >= settings.lead_time_s).or(forecast.horizons.last())?;
    let (predicted, interval) = (horizon.maximum.median(), &horizon.maximum_interval);
    let relative_width = (interval.upper - interval.lower) / (2.0 * predicted);
    Some(Evidence {
        resource: resource.kpi().into(),
        horizon_s: horizon.horizon_s,
        predicted,
        lower: interval.lower,
        upper: interval.upper,
        relative_width: if relative_width.is_finite() { relative_width } else { 0.0 },
        capacity: resource.of(base),
        model: model(forecast).into(),
    })
}

#[cfg(test)]
mod tests {
    use crate::kpi::MEMORY_BYTES;
    use crate::policy::fixtures::{GIB, forecast, prediction};
    use crate::policy::{Decision, Planning, Rules};
    use crate::sample::Platform;

    const DAY_BINS: i64 = 288;

    /// What is planned for a workload that has 8 GiB.
    struct Planned {
        rules: Rules,
        planning: Planning,
        at_s: i64,
        gib: f64,
    }

    impl Planned {
        fn new() -> Self {
            Self { rules: Rules::default(), planning: Planning::default(), at_s: 0, gib: 8.0 }
        }

        /// GiB that are planned after a use, with a forecast of that median whose upper end is three tenths above it.
        fn step(&mut self, used_gib: f64, median_gib: f64) -> f64 {
            let mut p = prediction("w", self.at_s, 1.0, median_gib, 1);
            (p.step_s, p.platform) = (300, Platform::OBSERVED_ONLY);
            p.resources[1] = forecast(MEMORY_BYTES, median_gib * GIB, 0.3);
            (p.resources[0].last, p.resources[1].last) = (Some(1.0), Some(used_gib * GIB));
            if let Some(Decision::Act(action)) = self.planning.step(&self.rules, &p, &"p".into()) {
                self.gib = action.desired.memory_bytes() / GIB;
            }
            self.at_s += 300;
            self.gib
        }
    }

    #[test]
    fn memory_for_a_peak_that_recurs_is_planned_once() {
        let mut workload = Planned::new();
        let used = |bin: i64| if bin % 12 == 1 { 2.6 } else { 0.3 };
        let plans: Vec<f64> = (0..3 * DAY_BINS).map(|bin| workload.step(used(bin), 2.6)).collect();
        let settled = &plans[2 * DAY_BINS as usize..];
        assert!(settled.iter().all(|gib| *gib == 3.0), "1.1 × 2.6 GiB, in whole grains: {settled:?}");
        let more = workload.step(0.3, 5.0);
        assert!(more >= 5.0, "{more} GiB where half of the forecast is above 5");
    }

    #[test]
    fn memory_that_grows_is_planned_for_by_the_upper_end_of_its_forecast() {
        let mut workload = Planned::new();
        for bin in 0..2 * DAY_BINS {
            assert_eq!(workload.step(1.0 + bin as f64 / 144.0, 4.0), 8.0, "none is taken away in bin {bin}");
        }
        let more = workload.step(5.0, 7.5);
        assert!(more >= 1.3 * 7.5, "{more} GiB");
    }
}
