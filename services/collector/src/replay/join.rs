//! Rows of one workload and instant as one sample: those that hold other KPIs of it belong together, and those that
//! hold the same ones again are doubled.

use super::rows::DropReason;
use prescale_domain::sample::Sample;

/// What became of some rows in a row, all of one instant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The instant, in milliseconds.
    pub at_ms: i64,
    /// The sample that they make.
    pub sample: Option<Sample>,
    /// Rows that added to the sample of one before.
    pub joined: u64,
    /// Rows that make no sample, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Places of the first of them, by reason, where rows were lines of text.
    pub dropped_at: [Option<i64>; DropReason::ALL.len()],
    /// Rows that held another value for a KPI that the sample had.
    pub differing: u64,
}

impl Outcome {
    fn new(at_ms: i64) -> Self {
        Self {
            at_ms,
            sample: None,
            joined: 0,
            dropped: [0; DropReason::ALL.len()],
            dropped_at: [None; DropReason::ALL.len()],
            differing: 0,
        }
    }

    /// Rows in it.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.sample.is_some()) + self.joined + self.dropped.iter().sum::<u64>()
    }

    fn is_of(&self, at_ms: i64, row: &Result<Sample, DropReason>) -> bool {
        let same_workload = match (&self.sample, row) {
            (Some(sample), Ok(row)) => sample.workload == row.workload,
            _ => true,
        };
        self.at_ms == at_ms && same_workload
    }

    fn drop_row(&mut self, reason: DropReason, place: Option<i64>) {
        self.dropped[reason as usize] += 1;
        let first = &mut self.dropped_at[reason as usize];
        *first = first.or(place);
    }

    fn take(&mut self, row: Result<Sample, DropReason>, place: Option<i64>) {
        let row = match row {
            Ok(row) => row,
            Err(reason) => return self.drop_row(reason, place),
        };
        let Some(sample) = &mut self.sample else {
            self.sample = Some(row);
            return;
        };
        let (mut adds, mut differs) = (false, false);
        for (has, new) in sample.kpis.iter_mut().zip(row.kpis) {
            match (has.value, new.value) {
                (None, Some(value)) => {
                    has.value = Some(value);
                    adds = true;
                }
                (Some(had), Some(value)) => differs |= had != value,
                (_, None) => {}
            }
        }
        if sample.capacity.is_none() {
            sample.capacity = row.capacity;
        }
        self.differing += u64::from(differs);
        if adds {
            self.joined += 1;
        } else {
            self.drop_row(DropReason::Doubled, place);
        }
    }
}

/// Joins rows that come in the order of instant and workload.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    open: Option<Outcome>,
}

impl Joiner {
    /// Takes the next row, which was at a place of the text if it was text; gives what came before, where this row does
    /// not belong to it.
    pub(crate) fn take(&mut self, at_ms: i64, row: Result<Sample, DropReason>, place: Option<i64>) -> Option<Outcome> {
        let done = self.open.take_if(|open| !open.is_of(at_ms, &row));
        self.open.get_or_insert_with(|| Outcome::new(at_ms)).take(row, place);
        done
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> Option<Outcome> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
    use prescale_domain::sample::Platform;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;
    use proptest::prelude::*;

    fn row(workload: &str, at_ms: i64, values: [Option<f64>; 2]) -> Sample {
        let names = ["cpu_cores_used", "memory_bytes"];
        let kpi = |(name, value): (&str, Option<f64>)| Kpi {
            name: KpiName::new(name),
            kind: KpiKind::Gauge,
            unit: "1".into(),
            value,
        };
        Sample {
            workload: WorkloadId::new(workload).unwrap(),
            source: prescale_domain::source::SourceName::new("replay:t").unwrap(),
            at: EventTime::from_ms(at_ms),
            step_s: 60,
            kpis: names.into_iter().zip(values).map(kpi).collect(),
            capacity: None,
            platform: Platform::OBSERVED_ONLY,
        }
    }

    fn joined(rows: Vec<(i64, Result<Sample, DropReason>)>) -> Vec<Outcome> {
        let mut joiner = Joiner::default();
        let mut outcomes: Vec<Outcome> =
            rows.into_iter().zip(2..).filter_map(|((at, row), place)| joiner.take(at, row, Some(place))).collect();
        outcomes.extend(joiner.finish());
        outcomes
    }

    #[test]
    fn other_kpis_join_and_the_same_ones_are_doubled() {
        let (cpu, memory) = ([Some(1.0), None], [None, Some(2.0)]);
        let outcomes = joined(vec![
            (0, Err(DropReason::NoWorkload)),
            (0, Ok(row("a", 0, cpu))),
            (0, Err(DropReason::NoKpis)),
            (0, Ok(row("a", 0, memory))),
            (0, Ok(row("a", 0, cpu))),
            (0, Ok(row("a", 0, [Some(1.5), None]))),
            (0, Ok(row("b", 0, cpu))),
            (60, Ok(row("b", 60, cpu))),
        ]);
        assert_eq!(outcomes.len(), 3);
        assert_eq!(outcomes[0].sample, Some(row("a", 0, [Some(1.0), Some(2.0)])));
        assert_eq!((outcomes[0].rows(), outcomes[0].joined, outcomes[0].differing), (6, 1, 1));
        assert_eq!(outcomes[0].dropped[DropReason::Doubled as usize], 2);
        assert_eq!(outcomes[0].dropped_at[DropReason::Doubled as usize], Some(6), "the first of them");
        assert_eq!((outcomes[1].rows(), outcomes[2].rows()), (1, 1));
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_outcome(rows in prop::collection::vec((0i64..3, prop::option::of(0u8..3)), 0..40)) {
            let mut rows = rows;
            rows.sort_unstable();
            let as_row = |(at, workload): (i64, Option<u8>)| {
                let row = workload.map(|n| row(&format!("w{n}"), at, [Some(f64::from(n)), None]));
                (at, row.ok_or(DropReason::NoKpis))
            };
            let outcomes = joined(rows.iter().copied().map(as_row).collect());
            prop_assert_eq!(outcomes.iter().map(Outcome::rows).sum::<u64>(), rows.len() as u64);
            let mut samples: Vec<_> = rows.iter().filter(|(_, workload)| workload.is_some()).collect();
            samples.dedup();
            prop_assert_eq!(outcomes.iter().filter(|outcome| outcome.sample.is_some()).count(), samples.len());
        }
    }
}
