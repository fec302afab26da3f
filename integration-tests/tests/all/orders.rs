//! Orders given in the console, over the embedded bus: they reach the governor, and what is refused reaches nobody.

use integration_tests::pipeline::{Pipeline, said};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::Named;
use prescale_chassis::{FleetsConfig, GroupsConfig};
use prescale_console::{Config, run_reporting};
use prescale_contracts::{Contract, topics};
use prescale_domain::governor::{Effect, FleetRecord, Order, Said, StandingOrder};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A console over a bus, and what asks it.
struct Console {
    url: String,
    agent: ureq::Agent,
    stop: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Console {
    fn start(bus: &Arc<dyn Bus>, settings: &Settings) -> Self {
        let config = Config { listen: "127.0.0.1:0".to_owned(), ..Config::default() };
        let (tell, told) = sync_channel(1);
        let (context, stop, bus) = (installation(settings), CancellationToken::new(), Arc::clone(bus));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let named = Named { fleets: &FleetsConfig::default(), groups: &GroupsConfig::default() };
            let planner = (&prescale_planner::Config::default(), named);
            let bound = |address| tell.send(address).expect("it is awaited");
            run_reporting(&config, planner, &context, bus, &stopped, bound)
        });
        let url = format!("http://{}", told.recv().expect("the console listens"));
        let agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        Self { url, agent, stop, thread }
    }

    /// Sends an order as a page of that origin does; the status and the answer.
    fn give(&self, origin: &str, order: &Value) -> (u16, Value) {
        let asked = self.agent.post(format!("{}/api/orders", self.url)).header("Origin", origin);
        let mut answer = asked.send_json(order).expect("the console answers");
        let body = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), serde_json::from_str(&body).expect("JSON"))
    }

    fn stop(self) {
        // Its connections would be waited for.
        drop(self.agent);
        self.stop.cancel();
        self.thread.join().expect("the console does not panic").expect("the console ends well");
    }
}

/// The orders of that effect on their way to the governor, by partition.
fn given(bus: &dyn Bus, effect: Effect) -> Vec<(u32, Order)> {
    let mut orders = Vec::new();
    for record in said(bus, topics::PROPOSALS) {
        let value = record.value.as_deref().expect("a value");
        match FleetRecord::decode(value).expect("it can be decoded").said {
            Said::Order(order) if order.effect == effect => orders.push((record.partition, order)),
            _ => {}
        }
    }
    orders.sort_by_key(|(partition, _)| *partition);
    orders
}

#[test]
fn what_is_paused_in_the_console_is_paused_by_the_governor() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let settings = Settings::default();
    let pipeline = Pipeline::start(&bus, &settings);
    let console = Console::start(&bus, &settings);
    let own = console.url.clone();
    let pause = json!({ "scope": "all", "effect": "pause", "why": "a release" });

    let (status, refused) = console.give("http://evil.example", &pause);
    assert_eq!(status, 403, "{refused}");
    let (status, refused) = console.give(&own, &json!({ "scope": "everything", "effect": "pause" }));
    assert_eq!(status, 400, "{refused}");
    assert!(given(bus.as_ref(), Effect::Pause).is_empty(), "what is refused is not written");

    let (status, done) = console.give(&own, &pause);
    assert_eq!(status, 200, "{done}");
    assert!(done["done"].as_str().is_some_and(|text| text.starts_with("all: paused")), "{done}");
    let orders = given(bus.as_ref(), Effect::Pause);
    let partitions: Vec<u32> = orders.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(partitions, (0..settings.bus.partitions).collect::<Vec<_>>(), "each partition has it");
    for (_, order) in &orders {
        assert_eq!((order.effect, &*order.why, &*order.by), (Effect::Pause, "a release", "the console"));
        assert_eq!((order.scope.to_string().as_str(), order.is_repetition), ("all", false));
    }

    // Nobody need say why.
    let (status, done) = console.give(&own, &json!({ "scope": "all", "effect": "resume" }));
    assert_eq!(status, 200, "{done}");
    let resumed = given(bus.as_ref(), Effect::Resume);
    assert_eq!(resumed.len(), orders.len());
    for (_, order) in &resumed {
        assert_eq!((order.effect, order.why.is_empty()), (Effect::Resume, true));
        assert!(order.at > orders[0].1.at, "the newer order holds");
    }
    let shown = said(bus.as_ref(), topics::CONTROL);
    let shown = shown.iter().map(|record| StandingOrder::decode(record.value.as_deref().expect("a value")));
    let effects: Vec<Effect> = shown.map(|shown| shown.expect("it can be decoded").order.effect).collect();
    assert_eq!(effects.last(), Some(&Effect::Resume), "{effects:?}");
    console.stop();
    pipeline.stop();
}
