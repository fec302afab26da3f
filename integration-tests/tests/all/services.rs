//! The services as processes of their own, as operators run them, on both buses: each ends at crash points and is
//! killed at random moments while the others are at work. At the end every topic holds, byte for byte, what it holds
//! when nobody is interrupted ([`reference`]), and so do the archiver's stores.
//!
//! What happens follows from `FAULT_SEED`. By default each service ends at two points, so that each point is some
//! service's; with `FAULT_MINUTES` each ends at every one, and installation after installation is struck for that long.

use super::archiver::files;
use bus_tests::conformance::fixture::{pass, until as until_some};
use bus_tests::faults::crash::{is_of_sources, is_of_starts, of_backend};
use bus_tests::faults::seed::{Chance, Extent};
use integration_tests::installation::{ARCHIVER, COLLECTOR, Installation, run_crashing_service, services};
use integration_tests::open_loop::{HOURS, reference, settings};
use integration_tests::pipeline::{assert_accounted, assert_same, outputs};
use integration_tests::processes::{is_worked_off, until};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prescale::services::installation as installation_of;
use prescale_archiver::stages::{INFLUXDB, PARQUET};
use prescale_bus::crash_point::CrashPoint;
use prescale_contracts::Contract;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::{Prediction, ResourceForecast};
use std::fs::File;

/// Points at which a service ends, unless it is at all of them.
const POINTS_EACH: usize = 2;
/// Kills at random moments of one installation.
const KILLS: usize = 5;

/// Not a test of its own: the process that ends at a crash point.
#[test]
fn child_runs_a_service_up_to_a_crash_point() {
    run_crashing_service();
}

#[test]
fn services_that_crash_and_are_killed_give_the_same_records_on_the_embedded_bus() {
    strike("embedded", Installation::embedded);
}

#[test]
fn services_that_crash_and_are_killed_give_the_same_records_on_kafka() {
    strike("kafka", Installation::kafka);
}

/// Installations whose services are struck, each compared with the reference.
fn strike(backend: &str, installation: impl Fn() -> Installation) {
    let scenario = format!("services on {backend}");
    let (mut chance, extent) = (Chance::of(&scenario), Extent::of(KILLS));
    let mut struck = 0;
    while extent.another(struck) {
        let mut installation = installation();
        struck += crash_all(&mut installation, backend, &extent, &mut chance);
        struck += kill_some(&mut installation, extent.faults(), &mut chance);
        finish(installation);
        println!("{scenario}: {struck} crashes and kills");
    }
}

/// A service that ends at points, one after the other.
struct Victim {
    service: &'static str,
    /// Those to come, the last one first.
    points: Vec<CrashPoint>,
}

impl Victim {
    /// Starts the service, to end at its next point; false when there is none any more, and it is started to stay.
    fn go_on(&mut self, installation: &mut Installation, chance: &mut Chance) -> bool {
        let Some(point) = self.points.pop() else {
            installation.start(self.service);
            return false;
        };
        let passing = match self.service {
            _ if is_of_starts(point) => 1,
            // A source on Kafka comes by once when it claims its name; the next time is its first append.
            COLLECTOR if point.name().starts_with("kafka") => 2,
            // They may have few records to come by with.
            COLLECTOR | "governor" | "actuator" => 1,
            _ => chance.among(1..4) as u32,
        };
        installation.start_crashing(self.service, point, passing);
        true
    }
}

/// Every service with points of its own among those of the backend: neighbours in the list have the next ones.
fn victims(backend: &str, extent: &Extent, chance: &mut Chance) -> Vec<Victim> {
    let first = chance.among(0..of_backend(backend).count());
    let victim = |(nth, service): (usize, &'static str)| {
        let comes_by = |point: &CrashPoint| service != COLLECTOR || is_of_sources(*point);
        let all: Vec<CrashPoint> = of_backend(backend).filter(comes_by).collect();
        let each = if extent.is_long() { all.len() } else { POINTS_EACH };
        let points = (0..each).map(|more| all[(first + nth * POINTS_EACH + more) % all.len()]).collect();
        Victim { service, points }
    };
    services().into_iter().enumerate().map(victim).collect()
}

/// Starts all services; each ends at its points, and then stays. Returns how many times one has ended.
fn crash_all(installation: &mut Installation, backend: &str, extent: &Extent, chance: &mut Chance) -> usize {
    let mut armed = victims(backend, extent, chance);
    let points: Vec<CrashPoint> = armed.iter().flat_map(|victim| victim.points.iter().copied()).collect();
    assert!(of_backend(backend).all(|point| points.contains(&point)), "no point is left out");
    armed.retain_mut(|victim| victim.go_on(installation, chance));
    until("every service to have ended at its points", || {
        armed.retain_mut(|victim| !installation.has_crashed(victim.service) || victim.go_on(installation, chance));
        armed.is_empty()
    });
    points.len()
}

/// Kills services at random moments while the rest of the span is worked through; each is started again at once. The
/// archiver comes late, with much to keep.
fn kill_some(installation: &mut Installation, kills: usize, chance: &mut Chance) -> usize {
    installation.extend();
    installation.start(ARCHIVER);
    let services = services();
    for nth in 0..kills {
        pass(chance.millis(0..1000));
        let service = match nth {
            // It goes on to the end of the span once it is started again.
            0 => COLLECTOR,
            1 | 3 => ARCHIVER,
            _ => services[chance.among(0..services.len())],
        };
        installation.kill(service);
        installation.start(service);
    }
    kills
}

/// Waits until everything is worked through, stops the services in good order, and compares.
fn finish(mut installation: Installation) {
    let (bus, settings) = (installation.bus(), settings(HOURS));
    let context = installation_of(&settings);
    until("the fleet's span to be written", || installation.log(COLLECTOR).contains("the fleet's span is written"));
    for stage in context.graph.stages() {
        until(stage.stage, || is_worked_off(bus.as_ref(), &context, std::slice::from_ref(stage)));
    }
    for stage in INFLUXDB.into_iter().chain(PARQUET) {
        until(stage.stage, || is_worked_off(bus.as_ref(), &context, std::slice::from_ref(&stage)));
    }
    for service in services().into_iter().filter(|service| *service != COLLECTOR).chain([ARCHIVER]) {
        let address = until_some(service, || installation.ready_at(service));
        installation.prescale(&["health", "--address", &address]);
    }
    installation.terminate_all();
    installation.prescale(&["account"]);
    assert_accounted(bus.as_ref(), &settings);
    assert_same(&outputs(bus.as_ref()), reference());
    assert_archived(&installation);
}

fn decoded<C: Contract>() -> Vec<C> {
    let value = |bytes: Option<&[u8]>| C::decode(bytes.expect("a value")).expect("it is whole");
    reference()[C::TOPIC].iter().map(|said| value(said.value.as_deref())).collect()
}

/// The files have every row once, and the store every line.
fn assert_archived(installation: &Installation) {
    let forecasts = |resources: &[ResourceForecast]| 2 * resources.iter().map(|r| r.horizons.len()).sum::<usize>();
    let fingerprints: Vec<Fingerprint> = decoded();
    let kpis: usize = fingerprints.iter().map(|f| f.kpis.len()).sum();
    let known = fingerprints.iter().flat_map(|f| &f.kpis).filter(|kpi| kpi.last.is_some()).count();
    let of_predictions: usize = decoded::<Prediction>().iter().map(|p| forecasts(&p.resources)).sum();
    let of_groups: usize = decoded::<GroupPrediction>().iter().map(|p| forecasts(&p.resources)).sum();
    let points = installation.store().points();
    for (topic, rows, measurement, field, lines) in [
        (Fingerprint::TOPIC, kpis, "prescale_fingerprint,", "last", known),
        (Prediction::TOPIC, of_predictions, "prescale_prediction,", "q50", of_predictions),
        (GroupPrediction::TOPIC, of_groups, "prescale_group_prediction,", "q50", of_groups),
    ] {
        let mut archived = 0;
        for path in files(&installation.archive().join(topic)) {
            let file = File::open(path).expect("it opens");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
            archived += usize::try_from(reader.metadata().file_metadata().num_rows()).expect("a count");
        }
        assert_eq!(archived, rows, "rows of {topic}");
        let of_topic = points.iter().filter(|((series, _), _)| series.starts_with(measurement));
        assert_eq!(of_topic.filter(|(_, fields)| fields.contains_key(field)).count(), lines, "lines of {measurement}");
    }
}
