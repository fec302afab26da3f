//! Stages that have lived through a history, and factories that hand them to a bus.

use super::crowd::{Crowd, Progress, record};
use prescale::settings::Settings;
use prescale_bus::{OutputRecord, Stage, StageFactory};
use prescale_chassis::stage::decode_record;
use prescale_chassis::{Input, Reply, TypedStage, TypedStageFactory, stage_factory};
use prescale_contracts::Contract;
use prescale_domain::fleet::FleetState;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prescale_fingerprinter::stage as fingerprinter;
use prescale_planner::stage as planner;
use prescale_predictor::stage as predictor;

/// The stages that keep something of each workload, of every partition, with a history behind them.
pub struct WarmStages {
    factories: Factories,
    partitions: Vec<Stages>,
}

/// What makes the stages.
struct Factories {
    fingerprinter: fingerprinter::Factory,
    predictor: predictor::Factory,
    planner: planner::Factory,
}

/// The stages of one partition.
struct Stages {
    fingerprinter: fingerprinter::FingerprinterStage,
    predictor: predictor::PredictorStage,
    planner: planner::PlannerStage,
}

impl WarmStages {
    /// Stages after so many steps of a crowd, which `progress` goes on by. Partitions live them side by side.
    pub fn after(settings: &Settings, crowd: &Crowd, steps: u32, progress: &mut Progress) -> Self {
        let factories = Factories::of(settings).expect("the settings are sound");
        let live = &|partition: usize, state: &mut FleetState| {
            let mut stages = factories.create(partition as u32);
            stages.live(crowd, partition, state, steps);
            stages
        };
        let states: Vec<_> = progress.by_partition.iter_mut().enumerate().collect();
        let partitions = std::thread::scope(|scope| {
            let threads: Vec<_> =
                states.into_iter().map(|(partition, state)| scope.spawn(move || live(partition, state))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no stage panics")).collect()
        });
        Self { factories, partitions }
    }

    /// Bytes that each stage keeps of a workload, in the mean over those that have lived, without what the allocator adds.
    pub fn workload_bytes(&self, crowd: &Crowd) -> [(&'static str, f64); 3] {
        let of = |(partition, stages): (usize, &Stages)| -> Vec<[usize; 3]> {
            crowd.originals(partition).into_iter().map(|number| stages.workload_bytes(crowd.workload(number))).collect()
        };
        let each: Vec<[usize; 3]> = self.partitions.iter().enumerate().flat_map(of).collect();
        let mean = |place: usize| each.iter().map(|bytes| bytes[place] as f64).sum::<f64>() / each.len().max(1) as f64;
        let stages = [fingerprinter::NAME, predictor::NAME, planner::NAME];
        std::array::from_fn(|place| (stages[place], mean(place)))
    }

    /// Factories that hand each partition's stage out once; asked for it again they make an empty one.
    pub fn factories(self) -> Vec<Arc<dyn StageFactory>> {
        let Self { factories, partitions } = self;
        let (mut fingerprinters, mut predictors, mut planners) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (partition, stages) in (0..).zip(partitions) {
            fingerprinters.insert(partition, stages.fingerprinter);
            predictors.insert(partition, stages.predictor);
            planners.insert(partition, stages.planner);
        }
        vec![
            warm(factories.fingerprinter, fingerprinters),
            warm(factories.predictor, predictors),
            warm(factories.planner, planners),
        ]
    }
}

impl Factories {
    /// As each service makes its own.
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        let fleets = prescale_chassis::fleets(settings.named().fleets)?;
        let terms = settings.planner.terms(settings.named().groups)?;
        Ok(Self {
            fingerprinter: fingerprinter::Factory::new(Arc::new(settings.fingerprinter.settings()?)),
            predictor: predictor::Factory::new(settings.predictor.settings()?)?,
            planner: planner::Factory::new(Arc::new(terms), Arc::new(fleets)),
        })
    }

    fn create(&self, partition: u32) -> Stages {
        Stages {
            fingerprinter: self.fingerprinter.create(partition),
            predictor: self.predictor.create(partition),
            planner: self.planner.create(partition),
        }
    }
}

impl Stages {
    /// By stage in the order of the data; 0 where it keeps nothing of the workload.
    fn workload_bytes(&self, workload: &WorkloadId) -> [usize; 3] {
        let kept = [
            self.fingerprinter.workload_bytes(workload),
            self.predictor.workload_bytes(workload),
            self.planner.workload_bytes(workload),
        ];
        kept.map(Option::unwrap_or_default)
    }

    /// Takes so many steps of the workloads that differ, and then knows as much of their copies.
    fn live(&mut self, crowd: &Crowd, partition: usize, state: &mut FleetState, steps: u32) {
        let originals = crowd.originals(partition);
        for _ in 0..steps {
            let came = crowd.step(partition, state);
            let samples: Vec<OutputRecord> =
                originals.iter().filter_map(|number| Some(record(&crowd.sample(*number, &came)?))).collect();
            let fingerprints = pass(&mut self.fingerprinter, &samples);
            let predictions = pass(&mut self.predictor, &fingerprints);
            pass(&mut self.planner, &predictions);
        }
        for (original, copy) in crowd.copies(partition) {
            self.fingerprinter.copy_workload(original, copy);
            self.predictor.copy_workload(original, copy);
            self.planner.copy_workload(original, copy);
        }
    }
}

/// What a stage makes of those of the records that it reads.
fn pass<S: TypedStage>(stage: &mut S, records: &[OutputRecord]) -> Vec<OutputRecord> {
    let read = records.iter().filter(|record| *record.topic == *<S::In as Contract>::TOPIC);
    let inputs: Vec<Input<S::In>> = read.map(input).collect();
    if inputs.is_empty() {
        return Vec::new();
    }
    let replies = stage.apply(inputs).expect("the stage goes on");
    let outgoing = replies.into_iter().flat_map(|reply| match reply {
        Reply::Emit(outgoing) => outgoing,
        Reply::Drop(_) | Reply::Reject(_) => Vec::new(),
    });
    outgoing.flat_map(|outgoing| outgoing.records().to_vec()).collect()
}

fn input<C: Contract>(record: &OutputRecord) -> Input<C> {
    decode_record(&record.clone().read_at(0, 0)).expect("what a stage writes can be read")
}

/// Hands out stages that are there already.
struct Warm<F: TypedStageFactory> {
    factory: F,
    stages: Mutex<BTreeMap<u32, F::Stage>>,
}

fn warm<F: TypedStageFactory + 'static>(factory: F, stages: BTreeMap<u32, F::Stage>) -> Arc<dyn StageFactory> {
    stage_factory(Warm { factory, stages: Mutex::new(stages) })
}

impl<F: TypedStageFactory> TypedStageFactory for Warm<F> {
    type Stage = F::Stage;

    fn name(&self) -> &'static str {
        self.factory.name()
    }

    fn output_topics(&self) -> Vec<&'static str> {
        self.factory.output_topics()
    }

    fn state_schema(&self) -> String {
        self.factory.state_schema()
    }

    fn create(&self, partition: u32) -> F::Stage {
        let ready = self.stages.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        ready.unwrap_or_else(|| self.factory.create(partition))
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<F::Stage, String> {
        self.factory.restore(partition, snapshot)
    }
}

/// The same stages, of which a bus takes no snapshots: so a log holds records alone.
pub fn without_snapshots(factory: Arc<dyn StageFactory>) -> Arc<dyn StageFactory> {
    Arc::new(WithoutSnapshots(factory))
}

struct WithoutSnapshots(Arc<dyn StageFactory>);

impl StageFactory for WithoutSnapshots {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn input_topic(&self) -> Arc<str> {
        self.0.input_topic()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        self.0.output_topics()
    }

    fn state_schema(&self) -> String {
        self.0.state_schema()
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn create(&self, partition: u32) -> Box<dyn Stage> {
        self.0.create(partition)
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        self.0.restore(partition, snapshot)
    }
}
