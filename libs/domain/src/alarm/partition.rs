//! The alarms of one partition's workloads.

use super::rules::BIN_S;
use super::severity::threat;
use super::watch::{Seen, Told, Watch};
use super::{AlarmRules, Anomaly};
use crate::prediction::Prediction;
use crate::sample::Platform;
use crate::slots::Slots;
use crate::source::SourceName;
use crate::stream::silence::{Observed, SourceNumber, Sources};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};

/// The alarms of one partition's workloads. It is a function of the predictions in their order and of the rules.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Alarms {
    sources: Sources,
    workloads: Slots<Kept>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Kept {
    source: SourceNumber,
    newest: EventTime,
    platform: Platform,
    watch: Watch,
}

impl Alarms {
    /// Takes a prediction in, with how unusual it says that its workload is. What is to be told, of this workload and of
    /// those that have fallen silent; `None` when the prediction is not newer than the last one of its workload.
    pub fn take(&mut self, rules: &AlarmRules, prediction: &Prediction) -> Option<Vec<Anomaly>> {
        let Prediction { workload, source, made_at: at, .. } = prediction;
        let observed = self.sources.observe(source, *at);
        let new = || Kept {
            source: observed.source,
            newest: EventTime::from_ms(i64::MIN),
            platform: prediction.platform,
            watch: Watch::default(),
        };
        let kept = self.workloads.get_or_insert_with(workload, new);
        if kept.newest >= *at {
            return None;
        }
        (kept.source, kept.newest, kept.platform) = (observed.source, *at, prediction.platform);
        let score = prediction.anomaly.as_ref();
        let seen = Seen {
            at: *at,
            step_bins: i64::from(prediction.step_s.div_ceil(BIN_S)).max(1),
            p_value: score.map(|score| f64::from(score.p_value)),
            blamed: score.map_or(&[], |score| &score.kpis),
            severity: threat(prediction),
        };
        let told = kept.watch.take(rules, &seen);
        let mut anomalies: Vec<Anomaly> =
            told.map(|told| anomaly((workload, source, prediction.platform), *at, told)).into_iter().collect();
        self.forget_silent(observed, source, *at, &mut anomalies);
        Some(anomalies)
    }

    /// Bytes that a workload takes, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.workloads.get(workload).map(|kept| Slots::<Kept>::bytes_each() + kept.watch.heap_bytes())
    }

    /// Whoever is silent for good has no alarm any more: nobody could end it.
    fn forget_silent(
        &mut self,
        Observed { source: number, forget_before }: Observed,
        source: &SourceName,
        at: EventTime,
        anomalies: &mut Vec<Anomaly>,
    ) {
        let Some(before) = forget_before else { return };
        self.workloads.retain(|workload, kept| {
            let stays = kept.source != number || kept.newest >= before;
            if !stays && let Some(told) = kept.watch.abandon() {
                anomalies.push(anomaly((workload, source, kept.platform), at, told));
            }
            stays
        });
    }
}

fn anomaly((workload, source, platform): (&WorkloadId, &SourceName, Platform), at: EventTime, told: Told) -> Anomaly {
    let Told { alarm, ended_at, watched_bins } = told;
    Anomaly {
        workload: workload.clone(),
        source: source.clone(),
        anomaly_id: format!("{workload}@{}", alarm.started_at.as_ms()).into(),
        at,
        started_at: alarm.started_at,
        ended_at,
        p_value: alarm.p_value,
        severity: alarm.severity,
        kpis: alarm.blamed,
        unusual_bins: alarm.unusual_bins.min(watched_bins),
        watched_bins,
        platform,
    }
}
