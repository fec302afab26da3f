//! A stage that keeps no state: nothing is applied a second time after a restart.

use super::fixture::{GROUP, INPUT, await_no_lag, inputs, make_topics, options, write};
use super::{BusUnderTest, Damage};
use prescale_bus::{ConsumedRecord, Outcome, Stage, StageFactory, StageFailure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 3;
const RECORDS_A_ROUND: usize = 90;

struct CountingFactory(Arc<AtomicUsize>);

struct Counting(Arc<AtomicUsize>);

impl StageFactory for CountingFactory {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn input_topic(&self) -> Arc<str> {
        INPUT.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn state_schema(&self) -> String {
        "none".to_owned()
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        Box::new(Counting(Arc::clone(&self.0)))
    }

    fn restore(&self, _partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Err("it has no snapshots".to_owned())
    }
}

impl Stage for Counting {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        self.0.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(batch.iter().map(|_| Outcome::Emit(Vec::new())).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Each record is applied once over all restarts, and no snapshot is taken.
pub fn a_stage_without_state_goes_on_where_it_was(under_test: &dyn BusUnderTest) {
    make_topics(under_test.open("a").as_ref());
    let applied = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let (bus, shutdown) = (under_test.open("a"), CancellationToken::new());
        let factory: Arc<dyn StageFactory> = Arc::new(CountingFactory(Arc::clone(&applied)));
        let stage = {
            let (bus, shutdown) = (Arc::clone(&bus), shutdown.clone());
            std::thread::spawn(move || bus.run_stage(factory, &options(GROUP, 10), &shutdown))
        };
        let mut source = bus.source("stateless").expect("the source opens");
        write(source.as_mut(), inputs(round * RECORDS_A_ROUND, RECORDS_A_ROUND));
        await_no_lag(bus.as_ref(), GROUP);
        shutdown.cancel();
        stage.join().expect("it does not panic").expect("it stops well");
        assert_eq!(applied.load(Ordering::SeqCst), (round + 1) * RECORDS_A_ROUND, "round {round}");
    }
    assert_eq!(under_test.damage_snapshots(GROUP, Damage::Removed), 0, "there are no snapshots");
}
