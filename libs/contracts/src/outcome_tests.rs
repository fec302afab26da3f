//! Outcomes through Avro and back, and what is refused of them.

use crate::contract::Contract;
use crate::error::ContractError;
use crate::json::record_json;
use prescale_domain::evaluation::{Outcome, Sums, Worth};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use proptest::prelude::*;

fn amount() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::MAX), 0.0..1e9f64]
}

fn worth() -> impl Strategy<Value = Worth> {
    (prop::array::uniform4(amount()), prop::option::of(amount()), 0..=i64::MAX as u64).prop_map(
        |([short_s, unmet_core_s, over_core_s, capacity_core_s], cost, changes)| Worth {
            short_s,
            unmet_core_s,
            over_core_s,
            capacity_core_s,
            cost,
            changes,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let times = (0.0..1800.0f64, 0.0..1800.0f64, amount());
    let sums = (times, prop::array::uniform3(worth()), prop::option::of("[A-Z]{3}")).prop_map(
        |((censored_s, others_s, demand_core_s), [capacity, plan, reactive], currency)| Sums {
            observed_s: censored_s + others_s,
            censored_s,
            demand_core_s,
            capacity,
            plan,
            reactive,
            currency: currency.map(Into::into),
        },
    );
    ("[a-z0-9-]{1,40}", 0..4_102_444_800_000i64, any::<u32>(), any::<bool>(), sums).prop_map(
        |(workload, from_ms, lead_time_s, is_dry_run, sums)| Outcome {
            workload: WorkloadId::new(&workload).unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            from: EventTime::from_ms(from_ms),
            policy: "proactive".into(),
            lead_time_s,
            is_dry_run,
            sums,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn outcomes_round_trip(value in outcome()) {
        let framed = value.encode().unwrap();
        let read = Outcome::decode(&framed).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.encode().unwrap(), framed.clone());
        prop_assert!(record_json(Outcome::TOPIC, &framed).is_ok());
        prop_assert!(Outcome::decode(&framed[..framed.len() - 1]).is_err());
    }

    #[test]
    fn bytes_from_anywhere_are_read_or_refused(datum in prop::collection::vec(any::<u8>(), 0..400)) {
        let framed = [&[0, 0, 0, 0, 14], datum.as_slice()].concat();
        let _ = Outcome::decode(&framed);
    }

    #[test]
    fn amounts_below_zero_are_refused_by_name(value in outcome(), below in -1e9..-1e-9f64) {
        let refused = |change: fn(&mut Sums, f64)| {
            let mut value = value.clone();
            change(&mut value.sums, below);
            match value.encode() {
                Err(ContractError::Invalid { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        prop_assert_eq!(refused(|sums, below| sums.plan.short_s = below), "plan.short_s");
        prop_assert_eq!(refused(|sums, below| sums.reactive.cost = Some(below)), "reactive.cost");
        prop_assert_eq!(refused(|sums, _| sums.capacity.over_core_s = f64::NAN), "capacity.over_core_s");
        prop_assert_eq!(refused(|sums, _| sums.censored_s = 2.0 * sums.observed_s + 1.0), "censored_s");
    }
}
