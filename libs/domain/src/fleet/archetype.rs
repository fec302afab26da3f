//! The kinds of workload that real fleets are made of. It must not know numbers, only names and
//! how often each is met.

/// A kind of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archetype {
    /// Used by people at work: office hours, quiet nights and weekends.
    OfficeService,
    /// Used by people at home: a peak in the evening, busy weekends.
    ConsumerService,
    /// Jobs that begin every few hours, some left out.
    BatchJobs,
    /// One job a night, at about the same time.
    NightlyJob,
    /// Hardly used.
    NearIdle,
    /// Memory grows in steps and is given back all at once.
    MemoryStairs,
    /// Memory leaks until the process is restarted.
    MemoryLeak,
    /// Load that wanders.
    RandomWalk,
    /// Works off a queue that fills in bursts.
    QueueWorker,
    /// A service whose level shifts at launches.
    Launches,
    /// A service that grows for weeks, then shrinks.
    Trend,
}

/// Any 20 workloads in a row have this mix.
const MIX: [Archetype; 20] = [
    Archetype::OfficeService,
    Archetype::ConsumerService,
    Archetype::BatchJobs,
    Archetype::NearIdle,
    Archetype::QueueWorker,
    Archetype::Launches,
    Archetype::MemoryLeak,
    Archetype::NightlyJob,
    Archetype::OfficeService,
    Archetype::Trend,
    Archetype::RandomWalk,
    Archetype::ConsumerService,
    Archetype::NearIdle,
    Archetype::MemoryStairs,
    Archetype::OfficeService,
    Archetype::QueueWorker,
    Archetype::BatchJobs,
    Archetype::Launches,
    Archetype::Trend,
    Archetype::ConsumerService,
];

impl Archetype {
    /// The archetype of the workload with this number.
    pub const fn of(number: u32) -> Self {
        MIX[number as usize % MIX.len()]
    }

    /// Its name, as workload ids have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OfficeService => "office",
            Self::ConsumerService => "consumer",
            Self::BatchJobs => "batch",
            Self::NightlyJob => "nightly",
            Self::NearIdle => "idle",
            Self::MemoryStairs => "stairs",
            Self::MemoryLeak => "leak",
            Self::RandomWalk => "walk",
            Self::QueueWorker => "queue",
            Self::Launches => "launches",
            Self::Trend => "trend",
        }
    }

    /// Whether someone waits for its answers, so that it has requests, latency and errors.
    pub const fn serves_requests(self) -> bool {
        !matches!(self, Self::BatchJobs | Self::NightlyJob | Self::NearIdle)
    }
}
