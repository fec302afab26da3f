//! What was unusual about a workload lately. While nobody knows what happens, nothing is taken away from it.

use super::Guardrails;
use crate::action::Reason;
use crate::anomaly::AnomalyScore;
use crate::time::EventTime;
use crate::wording::{instant, number, reason};
use bitcode::{Decode, Encode};

/// The newest anomaly, where there was one.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Unusual {
    newest: Option<(EventTime, AnomalyScore)>,
}

impl Unusual {
    /// Takes note of how unusual the workload is at an instant; what is not below the bound is no anomaly.
    pub fn observe(&mut self, guardrails: &Guardrails, at: EventTime, score: Option<&AnomalyScore>) {
        let is_anomaly = |score: &&AnomalyScore| f64::from(score.p_value) < guardrails.anomaly_p_max;
        if let Some(score) = score.filter(is_anomaly) {
            self.newest = Some((at, score.clone()));
        }
    }

    /// Why there is no decrease, as long as an anomaly is not over for so long as the guardrails ask for.
    pub fn objection(&self, guardrails: &Guardrails, now: EventTime) -> Option<Reason> {
        let (at, score) = self.newest.as_ref()?;
        let until = at.plus_s(i64::from(guardrails.anomaly_hold_s));
        (now < until).then(|| {
            let kpis: Vec<&str> = score.kpis.iter().map(|kpi| kpi.as_str()).collect();
            let text = format!(
                "at {} it was as unusual as {} % of the time{}{}: no decrease before {}",
                instant(*at),
                number(f64::from(score.p_value) * 100.0),
                if kpis.is_empty() { "" } else { ", by " },
                kpis.join(", "),
                instant(until),
            );
            reason("guardrail.anomaly", text)
        })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.newest.as_ref().map_or(0, |(_, score)| size_of_val(&*score.kpis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{KpiName, LATENCY_MS};

    #[test]
    fn an_anomaly_holds_decreases_until_it_is_over_for_so_long() {
        let guardrails = Guardrails::default();
        let score = |p_value: f32| AnomalyScore { p_value, kpis: vec![KpiName::new(LATENCY_MS)] };
        let at = EventTime::from_s;
        let mut unusual = Unusual::default();
        unusual.observe(&guardrails, at(0), Some(&score(0.001)));
        unusual.observe(&guardrails, at(0), None);
        assert_eq!(unusual.objection(&guardrails, at(0)), None, "it is not below the bound");
        unusual.observe(&guardrails, at(300), Some(&score(0.0005)));
        unusual.observe(&guardrails, at(600), Some(&score(0.5)));
        let told = unusual.objection(&guardrails, at(600)).unwrap();
        assert_eq!(&*told.rule, "guardrail.anomaly");
        assert!(told.text.contains("0.05 % of the time, by latency_ms: no decrease before"), "{}", told.text);
        let hold_s = i64::from(guardrails.anomaly_hold_s);
        assert!(unusual.objection(&guardrails, at(299 + hold_s)).is_some());
        assert_eq!(unusual.objection(&guardrails, at(300 + hold_s)), None);
        let never = Guardrails { anomaly_hold_s: 0, ..guardrails };
        assert_eq!(unusual.objection(&never, at(300)), None);
    }
}
