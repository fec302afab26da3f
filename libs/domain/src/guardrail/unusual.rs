//! What was unusual about a workload lately. While nobody knows what happens, nothing is taken away from it, and what else
//! is to be done about it is in force.

use super::Guardrails;
use super::remedy::{Remedies, Remedy};
use crate::action::Reason;
use crate::alarm::{Severity, threat};
use crate::anomaly::AnomalyScore;
use crate::kpi::{KpiName, MEMORY_BYTES};
use crate::prediction::Prediction;
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::wording::{instant, number, reason};
use bitcode::{Decode, Encode};

/// The newest anomaly, where there was one, and the stretch of anomalies that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Unusual {
    newest: Option<(EventTime, AnomalyScore)>,
    stretch: Option<Box<Stretch>>,
}

/// Anomalies, none longer after the one before than the guardrails hold decreases for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Stretch {
    since: EventTime,
    /// The least likely of them.
    least: AnomalyScore,
    /// At its worst.
    severity: Severity,
    /// The capacity when it began.
    capacity: Option<Capacity>,
}

/// What is to be done about an anomaly that lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InForce<'a> {
    /// What.
    pub remedy: Remedy,
    /// The resource that a step of capacity is of.
    pub resource: Resource,
    /// The capacity when the anomaly began, where it is known.
    pub capacity: Option<&'a Capacity>,
    /// When it began.
    since: EventTime,
    /// When it is over if nothing else is unusual.
    until: EventTime,
    stretch: &'a Stretch,
}

impl InForce<'_> {
    /// Why it is in force, in words that go on from what is done.
    pub fn words(&self) -> String {
        let blamed = blamed_words(&self.stretch.least.kpis);
        format!(
            "since {} it is as unusual as {} % of the time{blamed} ({}), until {} if nothing else is",
            instant(self.since),
            number(f64::from(self.stretch.least.p_value) * 100.0),
            self.stretch.severity.name(),
            instant(self.until),
        )
    }
}

impl Unusual {
    /// Takes note of how unusual the workload is by a prediction; what is not below the bound is no anomaly.
    pub fn observe(&mut self, guardrails: &Guardrails, prediction: &Prediction) {
        let is_anomaly = |score: &&AnomalyScore| f64::from(score.p_value) < guardrails.anomaly_p_max;
        let Some(score) = prediction.anomaly.as_ref().filter(is_anomaly) else { return };
        let (at, severity) = (prediction.made_at, threat(prediction));
        let lasts = self.until(guardrails).is_some_and(|until| at < until);
        match self.stretch.as_mut().filter(|_| lasts) {
            Some(stretch) => {
                stretch.severity = stretch.severity.max(severity);
                if score.p_value < stretch.least.p_value {
                    stretch.least = score.clone();
                }
            }
            None => {
                let capacity = prediction.capacity.clone();
                self.stretch = Some(Box::new(Stretch { since: at, least: score.clone(), severity, capacity }));
            }
        }
        self.newest = Some((at, score.clone()));
    }

    /// Why there is no decrease, as long as an anomaly is not over for so long as the guardrails ask for.
    pub fn objection(&self, guardrails: &Guardrails, now: EventTime) -> Option<Reason> {
        let (at, score) = self.newest.as_ref()?;
        let until = self.until(guardrails)?;
        (now < until).then(|| {
            let text = format!(
                "at {} it was as unusual as {} % of the time{}: no decrease before {}",
                instant(*at),
                number(f64::from(score.p_value) * 100.0),
                blamed_words(&score.kpis),
                instant(until),
            );
            reason("guardrail.anomaly", text)
        })
    }

    /// What is to be done about an anomaly that lasts; `None` where none does, or it is not as rare and severe as is asked
    /// for.
    pub fn in_force(&self, remedies: &Remedies, guardrails: &Guardrails, now: EventTime) -> Option<InForce<'_>> {
        let (stretch, until) = (self.stretch.as_deref()?, self.until(guardrails)?);
        let is_rare = f64::from(stretch.least.p_value) <= remedies.p_value_max;
        if now >= until || !is_rare || stretch.severity < remedies.severity_min {
            return None;
        }
        let blamed = stretch.least.kpis.first();
        let is_memory = blamed.is_some_and(|kpi| kpi.as_str() == MEMORY_BYTES);
        Some(InForce {
            remedy: remedies.of(blamed),
            resource: if is_memory { Resource::Memory } else { Resource::Cpu },
            capacity: stretch.capacity.as_ref(),
            since: stretch.since,
            until,
            stretch,
        })
    }

    /// Until when the newest anomaly counts.
    fn until(&self, guardrails: &Guardrails) -> Option<EventTime> {
        let (at, _) = self.newest.as_ref()?;
        Some(at.plus_s(i64::from(guardrails.anomaly_hold_s)))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let newest = self.newest.as_ref().map_or(0, |(_, score)| size_of_val(&*score.kpis));
        let stretch = self.stretch.as_deref();
        newest + stretch.map_or(0, |stretch| size_of::<Stretch>() + size_of_val(&*stretch.least.kpis))
    }
}

fn blamed_words(kpis: &[KpiName]) -> String {
    let kpis: Vec<&str> = kpis.iter().map(KpiName::as_str).collect();
    if kpis.is_empty() { String::new() } else { format!(", by {}", kpis.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::LATENCY_MS;
    use crate::policy::fixtures::prediction;

    fn unusual_at(at_s: i64, p_value: Option<f32>, kpi: &str) -> Prediction {
        let anomaly = p_value.map(|p_value| AnomalyScore { p_value, kpis: vec![KpiName::new(kpi)] });
        Prediction { anomaly, ..prediction("w", at_s, 1.0, 1.0, 4) }
    }

    #[test]
    fn an_anomaly_holds_decreases_until_it_is_over_for_so_long() {
        let guardrails = Guardrails::default();
        let at = EventTime::from_s;
        let mut unusual = Unusual::default();
        unusual.observe(&guardrails, &unusual_at(0, Some(0.001), LATENCY_MS));
        unusual.observe(&guardrails, &unusual_at(0, None, LATENCY_MS));
        assert_eq!(unusual.objection(&guardrails, at(0)), None, "it is not below the bound");
        unusual.observe(&guardrails, &unusual_at(300, Some(0.0005), LATENCY_MS));
        unusual.observe(&guardrails, &unusual_at(600, Some(0.5), LATENCY_MS));
        let told = unusual.objection(&guardrails, at(600)).unwrap();
        assert_eq!(&*told.rule, "guardrail.anomaly");
        assert!(told.text.contains("0.05 % of the time, by latency_ms: no decrease before"), "{}", told.text);
        let hold_s = i64::from(guardrails.anomaly_hold_s);
        assert!(unusual.objection(&guardrails, at(299 + hold_s)).is_some());
        assert_eq!(unusual.objection(&guardrails, at(300 + hold_s)), None);
        let never = Guardrails { anomaly_hold_s: 0, ..guardrails };
        assert_eq!(unusual.objection(&never, at(300)), None);
    }

    #[test]
    fn what_is_to_blame_tells_what_is_done_while_it_lasts() {
        let guardrails = Guardrails::default();
        let remedies = Remedies { latency: Remedy::ScaleOut, memory: Remedy::Ask, ..Remedies::default() };
        let (mut unusual, at) = (Unusual::default(), EventTime::from_s);
        unusual.observe(&guardrails, &unusual_at(0, Some(1e-4), LATENCY_MS));
        assert_eq!(unusual.in_force(&remedies, &guardrails, at(0)), None, "it is not rare enough");
        unusual.observe(&guardrails, &unusual_at(900, Some(1e-6), LATENCY_MS));
        unusual.observe(&guardrails, &unusual_at(1800, Some(5e-4), MEMORY_BYTES));
        let in_force = unusual.in_force(&remedies, &guardrails, at(1800)).unwrap();
        assert_eq!((in_force.remedy, in_force.resource), (Remedy::ScaleOut, Resource::Cpu), "by its least likely bin");
        assert_eq!(in_force.capacity.map(|capacity| capacity.replicas), Some(4));
        assert!(in_force.words().starts_with("since 1970-01-01T00:00:00Z it is as unusual as 1.00e-4 % of the time"));
        let over = at(1800 + i64::from(guardrails.anomaly_hold_s));
        assert_eq!(unusual.in_force(&remedies, &guardrails, over), None, "it is over");
        let severe = Remedies { severity_min: Severity::Warning, ..remedies.clone() };
        assert_eq!(unusual.in_force(&severe, &guardrails, at(1800)), None);
        unusual.observe(&guardrails, &unusual_at(9000, Some(1e-7), MEMORY_BYTES));
        let next = unusual.in_force(&remedies, &guardrails, at(9000)).unwrap();
        assert_eq!((next.remedy, next.resource), (Remedy::Ask, Resource::Memory));
        assert_eq!(next.since, at(9000), "another one");
    }
}
