//! The fingerprinter as a stage of the bus.

use crate::config::Settings;
use crate::partition::{Enveloped, Fate, Partition};
use metrics::gauge;
use prescale_bus::{Reach, Rejection, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::resource::Resource;
use prescale_domain::sample::Sample;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "fingerprinter";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 10;

/// The longest time over which a window is compared with itself.
const WEEK_S: u64 = 7 * 86_400;

/// Makes the stage's instances.
pub struct Factory {
    settings: Arc<Settings>,
}

/// The stage on one partition.
pub struct FingerprinterStage {
    number: u32,
    /// An error when it could not start; it is told at the first batch.
    partition: Result<Partition, String>,
    /// How many workloads' lasting excesses the metrics tell of.
    excesses_told: usize,
}

impl FingerprinterStage {
    fn new(number: u32, partition: Result<Partition, String>) -> Self {
        Self { number, partition, excesses_told: 0 }
    }

    /// As [`Partition::copy_workload`].
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        if let Ok(partition) = &mut self.partition {
            partition.copy_workload(from, to);
        }
    }

    /// As [`Partition::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.partition.as_ref().ok()?.workload_bytes(workload)
    }

    fn tell_excesses(&self) {
        let Ok(partition) = &self.partition else { return };
        let excesses = partition.plausibility().excesses();
        for resource in Resource::ALL {
            let found = excesses.iter().find(|excess| excess.resource == resource);
            let (workloads, times) = found.map_or((0, 0.0), |excess| (excess.workloads, excess.times));
            let labels = [("kpi", resource.kpi().to_owned()), ("partition", self.number.to_string())];
            gauge!("prescale_fingerprinter_excess_workloads", &labels).set(workloads as f64);
            gauge!("prescale_fingerprinter_excess_times", &labels).set(times.round());
        }
    }
}

impl Factory {
    /// Of checked settings, whose features must be known to plan (see [`Partition::new`]).
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }
}

impl TypedStageFactory for Factory {
    type Stage = FingerprinterStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        let Settings { windows, admission, impossible_above, feature_schema_hash, .. } = &*self.settings;
        StateSchema::of(NAME, STATE_LAYOUT)
            .shaped_by("short_window_s", windows.short_window_s())
            .shaped_by("long_window_s", windows.long_window_s())
            .made_under("lateness_steps", admission.lateness_steps)
            .made_under("future_bound_s", admission.ahead_s)
            .made_under("future_reject_s", admission.reject_ahead_s)
            .made_under("impossible_above", impossible_above)
            .made_under("hash of the features", feature_schema_hash)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        let long_window_s = u64::from(self.settings.windows.long_window_s());
        vec![
            Reach { what: "the long window", records_s: long_window_s },
            Reach { what: "what repeats from week to week in the long window", records_s: long_window_s + WEEK_S },
        ]
    }

    fn create(&self, number: u32) -> FingerprinterStage {
        let partition = Partition::new(Arc::clone(&self.settings)).map_err(|e| format!("{e:#}"));
        FingerprinterStage::new(number, partition)
    }

    fn restore(&self, number: u32, snapshot: &[u8]) -> Result<FingerprinterStage, String> {
        let partition = Partition::restored(Arc::clone(&self.settings), snapshot).map_err(|e| format!("{e:#}"))?;
        Ok(FingerprinterStage::new(number, Ok(partition)))
    }
}

impl TypedStage for FingerprinterStage {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        let partition = self.partition.as_mut().map_err(|message| StageFailure { message: message.clone() })?;
        let batch =
            batch.into_iter().map(|input| Enveloped { envelope: input.envelope, sample: input.value }).collect();
        let fates = partition.apply(batch).map_err(|e| StageFailure { message: format!("features: {e:#}") })?;
        gauge!("prescale_fingerprinter_held", "partition" => self.number.to_string()).set(partition.held() as f64);
        let excesses = partition.plausibility().excess_count();
        if std::mem::replace(&mut self.excesses_told, excesses) != excesses {
            self.tell_excesses();
        }
        fates.into_iter().map(reply_of).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.partition.as_ref().map(Partition::snapshot).unwrap_or_default()
    }
}

fn reply_of(fate: Fate) -> Result<Reply, StageFailure> {
    let outgoing = |(envelope, fingerprint): (Envelope, Fingerprint)| {
        Outgoing::following(&envelope, NAME, 0, &[topics::FINGERPRINTS], &fingerprint)
    };
    match fate {
        Fate::Used(follow) => Ok(Reply::Emit(follow.into_iter().map(outgoing).collect::<Result<_, _>>()?)),
        Fate::Dropped(reason) => Ok(Reply::Drop(reason)),
        Fate::Rejected { code, message } => Ok(Reply::Reject(Rejection { code, message })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::partition::tests::enveloped;
    use prescale_bus::{ConsumedRecord, Outcome, StageFactory};
    use prescale_chassis::{output_record, stage_factory};
    use prescale_contracts::Contract;
    use prescale_domain::kpi::{Kpi, KpiKind, KpiName};

    fn factory() -> Arc<dyn StageFactory> {
        let features = [("spread".to_owned(), "max(max) - min(min)".to_owned())].into();
        let config = Config { features, ..Config::default() };
        stage_factory(Factory::new(Arc::new(config.settings().unwrap())))
    }

    const START_S: i64 = 1_700_000_040;

    fn records() -> Vec<ConsumedRecord> {
        (0..200)
            .map(|i| {
                let value = (i % 13 != 0).then_some(2.0 + (i % 7) as f64);
                let kpi =
                    Kpi { name: KpiName::new("cpu_cores_used"), kind: KpiKind::Gauge, unit: "cores".into(), value };
                let Enveloped { envelope, sample } = enveloped("vm-1", START_S + 60 * i, 60, vec![kpi]);
                let record = output_record(&envelope, topics::RAW_KPIS, &sample).unwrap();
                record.read_at(0, i)
            })
            .collect()
    }

    #[test]
    fn records_are_byte_for_byte_the_same_after_a_restart() {
        let (factory, records) = (factory(), records());
        let wanted = factory.create(0).apply(&records).unwrap();
        let mut first = factory.create(0);
        let mut got = first.apply(&records[..77]).unwrap();
        let mut second = factory.restore(0, &first.snapshot()).unwrap();
        got.extend(second.apply(&records[77..]).unwrap());
        assert_eq!(got, wanted);
        let Outcome::Emit(last) = &wanted[199] else { panic!("{:?}", wanted[199]) };
        assert_eq!(&*last[0].topic, topics::FINGERPRINTS);
        let mut from_the_last = wanted.iter().rev().filter_map(|outcome| match outcome {
            Outcome::Emit(records) => Fingerprint::decode(records.first()?.value.as_deref()?).ok(),
            _ => None,
        });
        let full = from_the_last.find(Fingerprint::has_features).unwrap();
        let windows = full.kpis[0].windows.as_deref().unwrap();
        let newest = (full.at.as_ms() / 1000 - START_S) / 60;
        assert!(newest > 190, "a bin closed lately");
        let present = |from: i64| (from..=newest).filter(|i| i % 13 != 0).count() as u64;
        assert_eq!((windows.short.count, windows.long.count), (present(newest - 59), present(0)));
    }

    #[test]
    fn only_the_lengths_of_the_windows_shape_the_state() {
        let schema = |config: Config| {
            let factory = Factory::new(Arc::new(config.settings().unwrap()));
            StateSchema::from(factory.state_schema().as_str())
        };
        let plain = schema(Config::default());
        let features = [("spread".to_owned(), "max(max) - min(min)".to_owned())].into();
        for kept in [
            Config { lateness_steps: 3, ..Config::default() },
            Config { impossible_above: 1e6, ..Config::default() },
            Config { features, ..Config::default() },
        ] {
            let kept = schema(kept);
            assert_eq!(plain.changes_of_shape(&kept), []);
            assert_eq!(plain.changes_of_terms(&kept).len(), 1);
        }
        let longer = schema(Config { short_window_s: 7200, ..Config::default() });
        assert_eq!(plain.changes_of_shape(&longer)[0].name, "short_window_s");
    }

    #[test]
    fn a_record_that_is_no_sample_is_rejected_and_a_bad_snapshot_refused() {
        let mut broken = records().remove(0);
        broken.value = Some(vec![0, 1, 2]);
        let outcomes = factory().create(0).apply(&[broken]).unwrap();
        assert!(matches!(&outcomes[0], Outcome::Reject(r) if r.code == "undecodable"), "{outcomes:?}");
        assert!(factory().restore(0, &[1, 2, 3]).is_err());
    }
}
