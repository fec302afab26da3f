//! The scaler over what a whole pipeline makes of a generated fleet: KEDA is told what the topics say.

use integration_tests::pipeline::{Pipeline, said};
use integration_tests::processes::until;
use prescale::services::{Launch, SERVICES, Told};
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::{Context, Loader};
use prescale_collector::Event;
use prescale_contracts::Contract;
use prescale_domain::action::Action;
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use prescale_scaler::message::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, SERVICE, ScaledObjectRef,
};
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// The fleet's last hours end now: what is old by the wall clock is no forecast.
fn settings() -> Settings {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let start_s = now_s / 300 * 300 - 4 * 3_600;
    let text = format!(
        "[collector.host]\nenabled = false\n[collector.fleet]\nenabled = true\nworkloads = 10\n\
         start = \"{start_s}\"\nuntil = \"+4h\"\n[planner]\npolicy = \"threshold\"\n\
         [scaler]\nlisten = \"127.0.0.1:0\"\nstale_after_s = 7200\n[scaler.metrics]\nplatforms = []\n"
    );
    let loader = Loader::from_text(Path::new("prescale.toml"), &text, []).expect("it is TOML");
    let settings = Settings::read(&SERVICES, &loader).expect("it can be read");
    settings.check(&SERVICES).expect("it is sound");
    settings
}

/// The newest record of each workload on a contract's topic, or on another with the same records.
fn newest<C: Contract>(bus: &dyn Bus, topic: &str) -> BTreeMap<WorkloadId, C> {
    let decoded = said(bus, topic).into_iter().map(|record| {
        let value = C::decode(record.value.as_deref().expect("a value")).expect("it can be decoded");
        (value.workload().clone(), value)
    });
    decoded.collect()
}

/// Calls the scaler; its answer, or the status of gRPC.
fn called<A: Message + Default>(url: &str, call: &str, message: &impl Message) -> Result<A, String> {
    let mut framed = vec![0];
    framed.extend((message.encoded_len() as u32).to_be_bytes());
    framed.extend(message.encode_to_vec());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let exchange = async {
        let connection = tokio::net::TcpStream::connect(url.strip_prefix("http://").expect("a URL")).await;
        let (client, connection) = h2::client::handshake(connection.expect("it listens")).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = axum::http::Request::post(format!("{url}{SERVICE}{call}"));
        let request = request.header("content-type", "application/grpc").header("te", "trailers").body(());
        let mut client = client.ready().await.expect("a connection");
        let sent = client.send_request(request.expect("a request"), false);
        let (response, mut sending) = sent.expect("it is sent");
        sending.send_data(axum::body::Bytes::from(framed), true).expect("it is sent");
        let (head, mut receiving) = response.await.expect("an answer").into_parts();
        let mut body = Vec::new();
        while let Some(data) = receiving.data().await {
            body.extend(data.expect("a body"));
        }
        (receiving.trailers().await.expect("an end").unwrap_or(head.headers), body)
    };
    let (trailers, body) =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), exchange).await }).expect("it answers");
    match trailers["grpc-status"].to_str().expect("a number") {
        "0" => Ok(A::decode(&body[5..]).expect("a message")),
        status => Err(status.to_owned()),
    }
}

fn asked(workload: &WorkloadId, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let named = [("workload", workload.as_str())].into_iter().chain(metadata.iter().copied());
    ScaledObjectRef {
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        scaler_metadata: named.map(|(key, text)| (key.to_owned(), text.to_owned())).collect(),
    }
}

/// The value of the one metric that its spec names.
fn value(url: &str, asked: ScaledObjectRef) -> f64 {
    let specs: GetMetricSpecResponse = called(url, "GetMetricSpec", &asked).expect("a spec");
    let metric_name = specs.metric_specs[0].metric_name.clone();
    let request = GetMetricsRequest { scaled_object_ref: Some(asked), metric_name };
    let values: GetMetricsResponse = called(url, "GetMetrics", &request).expect("a value");
    assert_eq!(values.metric_values.len(), 1);
    values.metric_values[0].metric_value_float
}

/// Lets `ask` ask the scaler of the list at its URL, once it has read all that there is.
fn asking(bus: &Arc<dyn Bus>, settings: &Settings, ask: impl FnOnce(&str)) {
    let service = SERVICES.iter().find(|service| service.name == "scaler").expect("it is in the list");
    let (context, stop, (tell, told)) = (Context::default(), CancellationToken::new(), sync_channel(1));
    std::thread::scope(|threads| {
        let stops = stop.clone().drop_guard();
        let (context, stop) = (&context, &stop);
        let running = threads.spawn(move || {
            let tell = |what: Told| {
                if let Told::Scaler(url) = what {
                    tell.send(url).expect("it is waited for");
                }
            };
            (service.run)(&Launch { settings, context, bus, stop, tell: &tell })
        });
        let url = told.recv_timeout(Duration::from_secs(60)).expect("it listens");
        until("the scaler has read the topics", || context.health.not_ready().is_empty());
        ask(&url);
        drop(stops);
        running.join().expect("it does not panic").expect("it ends well");
    });
}

#[test]
fn keda_is_told_what_is_forecast_and_planned() {
    let settings = settings();
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default()).expect("the log opens");
    let bus: Arc<dyn Bus> = Arc::new(log);
    let pipeline = Pipeline::start(&bus, &settings);
    pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
    pipeline.stop();
    let predictions: BTreeMap<WorkloadId, Prediction> = newest(bus.as_ref(), prescale_contracts::topics::PREDICTIONS);
    let actions: BTreeMap<WorkloadId, Action> = newest(bus.as_ref(), Action::TOPIC);
    assert!(predictions.len() == 10 && !actions.is_empty(), "{} and {}", predictions.len(), actions.len());
    asking(&bus, &settings, |url| {
        for (workload, prediction) in &predictions {
            for (resource, forecast) in
                prediction.resources.iter().map(|forecast| (forecast.resource.as_str(), forecast))
            {
                let horizon = forecast.horizons.iter().find(|h| h.horizon_s == 900).expect("a horizon");
                let metadata = [("target", "1"), ("resource", resource), ("quantile", "0.9"), ("horizon", "15m")];
                assert_eq!(value(url, asked(workload, &metadata)), horizon.maximum.at(0.9), "{workload} {resource}");
            }
            let served = prediction.capacity.as_ref().expect("the fleet says it").replicas;
            let planned = actions.get(workload).map_or(served, |action| action.desired.replicas);
            let replicas = value(url, asked(workload, &[("target", "plan")]));
            assert!([served, planned].map(f64::from).contains(&replicas), "{replicas}, not {planned} or {served}");
            let active: Result<IsActiveResponse, String> =
                called(url, "IsActive", &asked(workload, &[("target", "1")]));
            assert_eq!(active, Ok(IsActiveResponse { result: true }));
        }
        let nobody = WorkloadId::new("nobody").expect("a sound id");
        let unknown: Result<IsActiveResponse, String> = called(url, "IsActive", &asked(&nobody, &[("target", "1")]));
        assert_eq!(unknown, Err("5".to_owned()));
    });
}
