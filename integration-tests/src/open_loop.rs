//! Some hours of a generated fleet that does not feel what is done for it, and what the services make of them.
//!
//! Without lock-step every topic then holds the same bytes, whoever is interrupted when. The samples follow from the
//! fleet's own clock alone. Each stage's outputs follow from its partition's inputs in their order; only the governor
//! and the group forecaster hear several partitions of the predictions, and where those interleave in another way an
//! increase may overtake another decrease, or a bin go without one that is far behind. So each of the governor's fleets
//! and each group has its members in one partition here: what is decided is compared byte for byte as well.

use crate::pipeline::{Outputs, Pipeline, assert_accounted, outputs};
use crate::processes::until;
use prescale::services::SERVICES;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::partitioner::partition_of;
use prescale_chassis::Loader;
use prescale_collector::Event;
use prescale_contracts::topics;
use prescale_domain::fleet::FleetWorkload;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Hours of the whole span.
pub const HOURS: u32 = 8;
/// Hours of its beginning, after which a run may be interrupted in good order.
pub const FIRST_HOURS: u32 = 5;
/// Partitions of each topic.
const PARTITIONS: u32 = 2;
const WORKLOADS: u32 = 24;
const FLEET: &str = "steady";
const SEED: u64 = 1;
/// The fleet hears of actions once in so long, which is in no span.
const FEEDBACK_S: u32 = 864_000_000;

/// The configuration file of every service.
pub fn configuration() -> String {
    let general = format!(
        r#"[bus]
partitions = {PARTITIONS}

[telemetry]
listen = "127.0.0.1:0"

[collector.host]
enabled = false

[collector.fleet]
enabled = true
name = "{FLEET}"
seed = {SEED}
workloads = {WORKLOADS}
start = "2026-03-02T06:00:00Z"
until = "+{HOURS}h"
feedback_s = {FEEDBACK_S}

# It changes much, from the first hour on.
[planner]
policy = "threshold"
"#
    );
    let sections = ["governor.fleets", "grouper.groups"].into_iter().flat_map(|named| {
        (0..PARTITIONS).map(move |partition| {
            let workloads = workloads_of(partition);
            assert!(!workloads.is_empty(), "partition {partition} has no workload");
            format!("\n[{named}.part-{partition}]\nworkloads = {workloads:?}\n")
        })
    });
    sections.fold(general, |text, section| text + &section)
}

fn workloads_of(partition: u32) -> Vec<String> {
    let name = |number| FleetWorkload::new(FLEET, number, SEED).expect("a name").id.as_str().to_owned();
    (0..WORKLOADS).map(name).filter(|name| partition_of(name.as_bytes(), PARTITIONS) == partition).collect()
}

/// The same for those who run the services in this process, over the span's first hours.
pub fn settings(hours: u32) -> Settings {
    let loader = Loader::from_text(Path::new("prescale.toml"), &configuration(), []).expect("it is TOML");
    let mut settings = Settings::read(&SERVICES, &loader).expect("the keys are known");
    settings.collector.fleet.until = format!("+{hours}h").parse().expect("a length");
    settings
}

/// Runs the services in this process until the span's first hours are written and worked through.
pub fn run(bus: &Arc<dyn Bus>, hours: u32) {
    let pipeline = Pipeline::start(bus, &settings(hours));
    pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
    // The governor reads what it has written itself, too.
    until("nobody to be behind", || pipeline.behind().iter().all(|(_, behind)| *behind == 0));
    pipeline.stop();
}

/// What the whole span comes to when nobody is interrupted, on the embedded bus; made once.
pub fn reference() -> &'static Outputs {
    static REFERENCE: OnceLock<Outputs> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default());
        let bus: Arc<dyn Bus> = Arc::new(log.expect("the log opens"));
        run(&bus, HOURS);
        assert_accounted(bus.as_ref(), &settings(HOURS));
        let outputs = outputs(bus.as_ref());
        // Else there is little to lose, and services have no work to be interrupted in.
        let least = [(topics::ACTION_RESULTS, 12), (topics::OUTCOMES, 100), (topics::GROUP_PREDICTIONS, 100)];
        for (topic, least) in least {
            assert!(outputs[topic].len() >= least, "{} records on {topic}", outputs[topic].len());
        }
        outputs
    })
}
