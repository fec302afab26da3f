//! A cluster as its API server shows it becomes samples.

use super::api::{List, Silent};
use super::discovery::Cluster;
use super::{ENTRY, run};
use crate::config::Config;
use crate::inputs::{INPUTS, Launch, OwnTables};
use crate::testing::TestBus;
use anyhow::Result;
use prescale_chassis::Context;
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::stream::validity;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn controlled(namespace: &str, name: &str, kind: &str, owner: &str) -> Value {
    let owners = json!([{"controller": true, "kind": kind, "name": owner}]);
    json!({"namespace": namespace, "name": name, "ownerReferences": owners})
}

fn pod(name: &str, (kind, owner): (&str, &str), resources: &Value, ready: &str) -> Value {
    json!({
        "metadata": controlled("shop", name, kind, owner),
        "spec": {"containers": [{"name": "app", "resources": resources}], "initContainers": [{"name": "init"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn measured(name: &str, cpu: &str, memory: &str) -> Value {
    let usage = json!({"cpu": cpu, "memory": memory});
    json!({"metadata": {"namespace": "shop", "name": name}, "containers": [{"name": "app", "usage": usage}]})
}

/// A Deployment of two pods, of which one is ready, and a StatefulSet whose pod asks for nothing; others are not meant.
fn answer(path: &str) -> Option<Value> {
    let enabled = json!({"prescale.io/enabled": "true"});
    let sized = json!({"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "500m"}});
    let list = |items: Value| Some(json!({"items": items}));
    match path.split('?').next()? {
        "/apis/apps/v1/deployments" => list(json!([
            {"metadata": {"namespace": "shop", "name": "web", "labels": enabled}},
            {"metadata": {"namespace": "shop", "name": "other"}},
        ])),
        "/apis/apps/v1/statefulsets" => {
            list(json!([{"metadata": {"namespace": "shop", "name": "db", "annotations": enabled}}]))
        }
        "/apis/apps/v1/replicasets" => list(json!([{"metadata": controlled("shop", "web-1", "Deployment", "web")}])),
        "/api/v1/pods" => list(json!([
            pod("web-1-a", ("ReplicaSet", "web-1"), &sized, "True"),
            pod("web-1-b", ("ReplicaSet", "web-1"), &sized, "False"),
            pod("db-0", ("StatefulSet", "db"), &json!({}), "True"),
            pod("lone", ("ReplicaSet", "unknown"), &sized, "True"),
        ])),
        "/apis/metrics.k8s.io/v1beta1/pods" => {
            list(json!([measured("web-1-a", "125000000n", "300Mi"), measured("lone", "1", "1Gi")]))
        }
        _ => None,
    }
}

fn samples(get: impl Fn(&str) -> Result<Option<Value>>) -> Result<Vec<Sample>> {
    let cluster = Cluster::look(|list: &List| get(&list.path), "team in (a,b)")?;
    Ok(cluster.samples(&SourceName::new("kubernetes:main").unwrap(), EventTime::from_s(600), 60))
}

fn kpis(sample: &Sample) -> Vec<(&str, Option<f64>)> {
    sample.kpis.iter().map(|kpi| (kpi.name.as_str(), kpi.value)).collect()
}

#[test]
fn workloads_that_are_meant_have_capacity_and_use_under_their_ids() {
    let samples = samples(|path| {
        assert!(
            path.contains("/replicasets") || !path.contains("/apps/") || path.contains("=team%20in%20%28a%2Cb%29"),
            "{path}"
        );
        Ok(answer(path))
    });
    let samples = samples.unwrap();
    let ids: Vec<&str> = samples.iter().map(|sample| sample.workload.as_str()).collect();
    assert_eq!(ids, ["shop/Deployment/web", "shop/StatefulSet/db"]);
    let capacity = Capacity {
        replicas: 2,
        cpu_cores_per_replica: 0.5,
        memory_bytes_per_replica: 1_073_741_824.0,
        instance_type: None,
    };
    assert_eq!((&samples[0].capacity, &samples[1].capacity), (&Some(capacity), &None));
    let used = [("replicas_ready", Some(1.0)), ("cpu_cores_used", Some(0.125)), ("memory_bytes", Some(314_572_800.0))];
    assert_eq!(kpis(&samples[0]), used, "the pod that is not ready need not be measured");
    let not_measured = [("replicas_ready", Some(1.0)), ("cpu_cores_used", None), ("memory_bytes", None)];
    assert_eq!(kpis(&samples[1]), not_measured);
    for sample in &samples {
        assert_eq!((sample.platform, sample.at, sample.step_s), (Platform::KUBERNETES, EventTime::from_s(600), 60));
        validity::check(sample).unwrap();
    }
}

#[test]
fn without_a_metrics_server_the_pods_that_are_ready_are_told() {
    let without = samples(|path| Ok(answer(path).filter(|_| !path.contains("metrics"))));
    assert_eq!(kpis(&without.unwrap()[0]), [("replicas_ready", Some(1.0))]);
}

#[test]
fn while_the_metrics_server_does_not_answer_all_else_is_told() {
    let look = |answered: fn() -> anyhow::Error| {
        samples(move |path| if path.contains("metrics") { Err(answered()) } else { Ok(answer(path)) })
    };
    let silent = look(|| Silent { why: "503".to_owned() }.into()).unwrap();
    let of_web = [("replicas_ready", Some(1.0)), ("cpu_cores_used", None), ("memory_bytes", None)];
    assert_eq!(kpis(&silent[0]), of_web, "it has these KPIs, and no value now");
    assert_eq!(silent[0].capacity.as_ref().map(|capacity| capacity.replicas), Some(2));
    assert!(look(|| anyhow::anyhow!("403")).is_err(), "what is refused is no silence");
}

#[test]
fn a_part_of_what_is_asked_for_is_nothing() {
    for missing in ["/replicasets", "/api/v1/pods", "/statefulsets"] {
        assert!(samples(|path| Ok(answer(path).filter(|_| !path.contains(missing)))).is_err(), "{missing}");
    }
    assert!(samples(|_| anyhow::bail!("refused")).is_err());
    let wrong = json!({"items": [pod("web-1-a", ("ReplicaSet", "web-1"), &json!({"limits": {"cpu": "x"}}), "True")]});
    let with_wrong =
        samples(|path| Ok(if path.starts_with("/api/v1/pods") { Some(wrong.clone()) } else { answer(path) }));
    assert!(format!("{:#}", with_wrong.unwrap_err()).contains("pod shop/web-1-a"));
}

/// Answers each request, one a connection, as an API server that wants a token, until it is stopped.
fn serve(listener: &TcpListener, stop: &CancellationToken) {
    for connection in listener.incoming() {
        if stop.is_cancelled() {
            return;
        }
        let (mut connection, mut head) = (connection.unwrap(), Vec::<u8>::new());
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && connection.read_exact(&mut byte).is_ok() {
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let found = head.split(' ').nth(1).and_then(answer).filter(|_| head.contains("Bearer swordfish"));
        let (status, body) = found.map_or(("403 Forbidden", "{}".to_owned()), |list| ("200 OK", list.to_string()));
        let length = body.len();
        // Who has asked may be gone.
        drop(write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"));
    }
}

/// Stops the server, whatever becomes of the test.
struct End<'a> {
    done: &'a CancellationToken,
    address: SocketAddr,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.done.cancel();
        drop(TcpStream::connect(self.address));
    }
}

#[test]
fn a_server_is_asked_at_each_tick_and_nothing_is_there_twice() {
    let (listener, test) = (TcpListener::bind("127.0.0.1:0").unwrap(), TestBus::new());
    let (address, context) = (listener.local_addr().unwrap(), Context::default());
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "me", "user": {"token": "swordfish"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    });
    let file = test.folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let table = format!("[kubernetes]\nenabled = true\nevery_s = 1\nkubeconfig = {:?}\n", file.display().to_string());
    let own = OwnTables::read(&INPUTS, &table.parse().unwrap()).unwrap();
    let config = Config { own, ..Config::default() };
    assert!((ENTRY.is_on)(&config) && !(ENTRY.is_on)(&Config::default()));
    (ENTRY.check)(&config).unwrap();
    let done = CancellationToken::new();
    std::thread::scope(|threads| {
        threads.spawn(|| serve(&listener, &done));
        let _at_the_end = End { done: &done, address };
        for wanted in [2, 6] {
            let stop = CancellationToken::new();
            let launch = Launch { config: &config, context: &context, bus: &*test.bus, stop: &stop, observe: &|_| () };
            std::thread::scope(|threads| {
                let running = threads.spawn(|| run(&launch));
                while test.samples().len() < wanted && !running.is_finished() {
                    std::thread::yield_now();
                }
                stop.cancel();
                running.join().unwrap().unwrap();
            });
        }
    });
    let samples = test.samples();
    let of_web: Vec<&Sample> = samples.iter().filter(|sample| sample.workload.as_str().ends_with("web")).collect();
    assert!(of_web.windows(2).all(|pair| pair[0].at < pair[1].at), "none is there twice");
    assert_eq!(of_web.len() * 2, samples.len());
    assert!(context.health.not_ready().is_empty());
}
