//! A workload whose CPU falls while its latency or errors rise: it does less because something holds it up, not
//! because less is asked of it.

use crate::action::Reason;
use crate::forecast::capped::Symptoms;
use crate::kpi::{CPU_THROTTLED_SHARE, ERRORS_PER_S, KpiName, LATENCY_MS, RUN_QUEUE};
use crate::prediction::{Moment, Prediction, Signal};
use crate::wording::{cores, number, reason};
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// CPU has fallen when its newest value is below this multiple of what it was before.
pub const FALLS_BELOW: f64 = 0.8;

/// A signal has risen when its newest value is above this multiple of its mean over the short window.
pub const RISES_ABOVE: f64 = 1.5;

/// The signals that tell of strain when they rise.
pub const SUFFERING: [&str; 2] = [ERRORS_PER_S, LATENCY_MS];

/// The signals that tell, when they rise, that a workload which uses what it has may want more.
pub const SHORTAGE: [&str; 3] = [ERRORS_PER_S, LATENCY_MS, RUN_QUEUE];

/// What is usual of each of [`SHORTAGE`], as the newest prediction said. What was measured until the next one is held
/// against it, as it would have been in a prediction of its own.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Usual {
    /// Mean over the short window and 95th percentile over the long one; infinite where they are not known.
    by_signal: [(f32, f32); SHORTAGE.len()],
}

/// Why a workload is taken for strained.
#[derive(Clone, Debug, PartialEq)]
pub struct Strain {
    /// Newest CPU use, in cores.
    pub cpu_last: f64,
    /// Mean of the CPU use before, in cores.
    pub cpu_before: f64,
    /// The signal that rose.
    pub signal: KpiName,
    /// Its unit.
    pub unit: Arc<str>,
    /// Its newest value.
    pub last: f64,
    /// Its mean over the short window.
    pub short_mean: f64,
    /// Its 95th percentile over the long window.
    pub long_p95: f64,
}

/// Whether CPU has fallen while latency or errors rise, both against the short window and beyond what the long one knows.
/// Then the workload must not be scaled in. `cpu_last` and `cpu_before`, the mean of its recent use, are in cores.
/// Nothing follows from a value that is missing.
///
/// Of several signals that rose, the first by name is named.
pub fn strained(cpu_last: Option<f64>, cpu_before: Option<f64>, signals: &[Signal]) -> Option<Strain> {
    let (cpu_last, cpu_before) = (cpu_last?, cpu_before?);
    if cpu_last >= FALLS_BELOW * cpu_before {
        return None;
    }
    signals.iter().filter(|signal| SUFFERING.contains(&signal.name.as_str())).find_map(|signal| {
        let (last, short_mean, long_p95) = (signal.last?, signal.short_mean?, signal.long_p95?);
        signal.has_risen().then(|| Strain {
            cpu_last,
            cpu_before,
            signal: signal.name.clone(),
            unit: Arc::clone(&signal.unit),
            last,
            short_mean,
            long_p95,
        })
    })
}

/// Whether a value is well above its recent mean, and beyond what the long window knows.
pub fn has_risen(last: f64, short_mean: f64, long_p95: f64) -> bool {
    last > RISES_ABOVE * short_mean && last > long_p95
}

impl Signal {
    /// Whether its newest value is well above its recent mean, and beyond what the long window knows.
    pub fn has_risen(&self) -> bool {
        let known = self.last.zip(self.short_mean).zip(self.long_p95);
        known.is_some_and(|((last, short_mean), long_p95)| has_risen(last, short_mean, long_p95))
    }
}

impl Default for Usual {
    fn default() -> Self {
        Self { by_signal: [(f32::INFINITY, f32::INFINITY); SHORTAGE.len()] }
    }
}

impl Usual {
    /// As a prediction says it.
    pub fn of(prediction: &Prediction) -> Self {
        let single = |value: Option<f64>| value.map_or(f32::INFINITY, |value| value as f32);
        Self {
            by_signal: SHORTAGE.map(|name| {
                let signal = prediction.signals.iter().find(|signal| signal.name.as_str() == name);
                signal.map_or((f32::INFINITY, f32::INFINITY), |s| (single(s.short_mean), single(s.long_p95)))
            }),
        }
    }

    /// What was measured at an instant beside the use of CPU, where this was usual before it.
    pub fn symptoms(&self, moment: &Moment<'_>) -> Symptoms {
        let throttled_share = moment.signal(CPU_THROTTLED_SHARE);
        if !moment.is_earlier() {
            let mut signals = moment.prediction().signals.iter();
            let have_risen = signals.any(|signal| SHORTAGE.contains(&signal.name.as_str()) && signal.has_risen());
            return Symptoms { throttled_share, have_risen };
        }
        let have_risen = SHORTAGE.iter().zip(&self.by_signal).any(|(name, (short_mean, long_p95))| {
            moment.signal(name).is_some_and(|last| has_risen(last, (*short_mean).into(), (*long_p95).into()))
        });
        Symptoms { throttled_share, have_risen }
    }
}

impl Strain {
    /// What stands against a decrease, in words.
    pub fn objection(&self) -> Reason {
        let Self { cpu_last, cpu_before, signal, unit, last, short_mean, long_p95 } = self;
        let text = format!(
            "CPU fell from {} to {} while {signal} rose to {} {unit} (its recent mean is {}, its usual 95th percentile \
             {}): it is held up, not idle",
            cores(*cpu_before),
            cores(*cpu_last),
            number(*last),
            number(*short_mean),
            number(*long_p95)
        );
        reason("guardrail.strain", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::REQUESTS_PER_S;
    use crate::policy::fixtures::prediction;
    use crate::prediction::Reading;
    use crate::time::EventTime;
    use proptest::prelude::*;

    fn signal(name: &str, last: Option<f64>, short_mean: f64, long_p95: f64) -> Signal {
        let (short_mean, long_p95) = (Some(short_mean), Some(long_p95));
        Signal { name: KpiName::new(name), unit: "ms".into(), last, short_mean, long_p95 }
    }

    #[test]
    fn falling_cpu_with_rising_latency_or_errors_is_strain() {
        let rises = |name| [signal(name, Some(400.0), 100.0, 180.0)];
        let strain = strained(Some(0.5), Some(2.0), &rises(LATENCY_MS)).unwrap();
        assert_eq!((strain.signal.as_str(), strain.cpu_before), (LATENCY_MS, 2.0));
        let objection = strain.objection();
        assert_eq!(&*objection.rule, "guardrail.strain");
        assert_eq!(
            objection.text,
            "CPU fell from 2 cores to 0.5 cores while latency_ms rose to 400 ms (its recent mean is 100, its usual 95th \
             percentile 180): it is held up, not idle"
        );
        assert!(strained(Some(0.5), Some(2.0), &rises(ERRORS_PER_S)).is_some());
        assert_eq!(strained(Some(0.5), Some(2.0), &rises(REQUESTS_PER_S)), None, "more requests are no suffering");
        assert_eq!(strained(Some(1.7), Some(2.0), &rises(LATENCY_MS)), None, "CPU has not fallen");
        let errors_begin = [signal(ERRORS_PER_S, Some(3.0), 0.0, 0.0), signal(LATENCY_MS, Some(9.0), 9.0, 9.0)];
        assert_eq!(strained(Some(0.0), Some(2.0), &errors_begin).unwrap().signal.as_str(), ERRORS_PER_S);
    }

    /// What was measured between predictions is held against what the one before said.
    #[test]
    fn a_reading_tells_as_much_as_a_prediction_of_its_own() {
        let said = |signals: Vec<Signal>| Prediction { signals, ..prediction("web", 300, 1.0, 1.0, 4) };
        let before = said(vec![signal(RUN_QUEUE, Some(2.0), 2.0, 4.0), signal(LATENCY_MS, None, 100.0, 180.0)]);
        let usual = Usual::of(&before);
        let of_reading = |name: &str, last: Option<f64>| {
            let mut next = said(vec![signal(name, Some(0.0), 0.0, 0.0)]);
            let at = EventTime::from_s(240);
            next.earlier = vec![Reading { at, resources: vec![Some(1.0), None], signals: vec![last] }];
            let told = next.earlier_moments().map(|moment| usual.symptoms(&moment)).next();
            told.expect("it lies before the prediction's own instant")
        };
        for (name, last, have_risen) in
            [(RUN_QUEUE, 5.0, true), (RUN_QUEUE, 3.5, false), (LATENCY_MS, 400.0, true), (ERRORS_PER_S, 9.0, false)]
        {
            assert_eq!(of_reading(name, Some(last)), Symptoms { throttled_share: None, have_risen }, "{name} {last}");
        }
        assert_eq!(of_reading(LATENCY_MS, None), Symptoms::default());
        assert_eq!(of_reading(CPU_THROTTLED_SHARE, Some(0.4)).throttled_share, Some(0.4));
        let own = said(vec![signal(LATENCY_MS, Some(400.0), 100.0, 180.0)]);
        assert!(Usual::default().symptoms(&own.moment()).have_risen, "a prediction says itself what is usual");
        let requests = said(vec![signal(REQUESTS_PER_S, Some(400.0), 100.0, 180.0)]);
        assert_eq!(usual.symptoms(&requests.moment()), Symptoms::default(), "more requests are no shortage");
    }

    #[test]
    fn nothing_follows_from_what_is_missing_or_usual() {
        let usual = [signal(LATENCY_MS, Some(170.0), 100.0, 180.0), signal(ERRORS_PER_S, Some(1.4), 1.0, 0.5)];
        assert_eq!(strained(Some(0.5), Some(2.0), &usual), None);
        let rises = [signal(LATENCY_MS, Some(400.0), 100.0, 180.0)];
        assert_eq!(strained(None, Some(2.0), &rises), None);
        assert_eq!(strained(Some(0.5), None, &rises), None);
        assert_eq!(strained(Some(0.5), Some(2.0), &[signal(LATENCY_MS, None, 100.0, 180.0)]), None);
        let young = Signal { long_p95: None, ..rises[0].clone() };
        assert_eq!(strained(Some(0.5), Some(2.0), &[young]), None);
    }

    proptest! {
        #[test]
        fn more_suffering_and_less_cpu_stay_strain(
            (cpu_last, cpu_before) in (0.0..8.0f64, 0.0..8.0f64),
            (last, short_mean, long_p95) in (0.0..500.0f64, 0.0..500.0f64, 0.0..500.0f64),
            (more, less) in (1.0..4.0f64, 0.0..1.0f64),
        ) {
            let of = |last| [signal(LATENCY_MS, Some(last), short_mean, long_p95)];
            let strain = strained(Some(cpu_last), Some(cpu_before), &of(last));
            if let Some(strain) = &strain {
                prop_assert!(strain.cpu_last < strain.cpu_before && strain.last > strain.short_mean);
                prop_assert!(strained(Some(cpu_last * less), Some(cpu_before), &of(last)).is_some());
                prop_assert!(strained(Some(cpu_last), Some(cpu_before), &of(last * more)).is_some());
            }
            prop_assert_eq!(strained(Some(cpu_before), Some(cpu_before), &of(last)), None);
            prop_assert_eq!(strained(Some(cpu_last), Some(cpu_before), &of(short_mean)), None);
        }
    }
}
