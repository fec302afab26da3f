//! The Helm chart, rendered by Helm's engine and taken by a real API server.

use bus_tests::kafka_listeners::Ca;
use bus_tests::repository;
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::chart::objects;
use integration_tests::processes::binary;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// What the chart's file of rights has parts for, without that of the lease, which goes without saying.
fn parts() -> Vec<String> {
    let text = fs::read_to_string(repository().join("infra/chart/prescale/files/rights.json")).expect("it is there");
    let rights: Value = serde_json::from_str(&text).expect("it is JSON");
    let parts = rights.as_object().expect("parts by name").keys();
    parts.filter(|part| *part != "lease").cloned().collect()
}

/// The names of a kind's objects.
fn named<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_api_server_takes_the_chart_as_it_comes_and_with_everything() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    let plain = objects(&namespace, &json!({}));
    plain.iter().for_each(|object| drop(cluster.apply(object)));
    assert_eq!((named(&plain, "Deployment").len(), named(&plain, "StatefulSet").len()), (1, 0));
    assert_eq!((named(&plain, "Service").len(), named(&plain, "Secret").len()), (0, 0));
    let other = cluster.namespace();
    let everything = json!({
        "actuator": { "enabled": true },
        "secret": "prescale",
        "up": { "volume": { "storageClass": "fast" } },
        "scaler": { "enabled": true, "tlsSecret": "scaler" },
        "configuration": "[bus]\nbackend = \"kafka\"\n",
        "rights": { "parts": parts(), "namespaces": [namespace.as_str(), other.as_str()] },
    });
    let all = objects(&other, &everything);
    all.iter().for_each(|object| drop(cluster.apply(object)));
    assert_eq!((named(&all, "Deployment").len(), named(&all, "StatefulSet").len()), (1, 1));
    assert_eq!((named(&all, "ClusterRole").len(), named(&all, "Role").len()), (0, 3), "no right beyond its namespaces");
}

#[test]
fn pods_of_the_chart_start_what_there_is_with_a_configuration_that_is_sound() {
    let values = json!({ "actuator": { "enabled": true }, "configuration": "[planner]\nlead_time_s = 300\n" });
    let all = objects("prescale", &values);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prescale.toml");
    let text = named(&all, "ConfigMap")[0]["data"]["prescale.toml"].as_str().expect("a text");
    fs::write(&file, text).expect("the folder is writable");
    for workload in ["Deployment", "StatefulSet"].into_iter().flat_map(|kind| named(&all, kind)) {
        let container = &workload["spec"]["template"]["spec"]["containers"][0];
        let words: Vec<&str> = container["args"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let output = Command::new(binary(words[0])).args(&words[1..]).arg("--help").output().expect("it starts");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(container["env"][0]["name"], "PRESCALE_CONFIG");
    }
    let output = Command::new(binary("prescale"))
        .arg("check-config")
        .current_dir(folder.path())
        .env("PRESCALE_CONFIG", &file)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("lead_time_s = 300"), "it reads what the chart was given");
}

#[test]
fn the_scaler_listens_with_certificates_where_its_service_leads() {
    let (folder, ca) = (tempfile::tempdir().expect("a folder"), Ca::new("the scaler's CA"));
    let server = ca.issue("scaler", &["prescale-scaler.prescale.svc"]);
    for (name, text) in [("tls.crt", &server.certificate), ("tls.key", &server.key), ("ca.crt", &ca.certificate)] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    fs::write(folder.path().join("prescale.toml"), "").expect("the folder is writable");
    for up in [true, false] {
        let values = json!({ "up": { "enabled": up }, "scaler": { "enabled": true, "tlsSecret": "scaler" } });
        let all = objects("prescale", &values);
        let [service] = named(&all, "Service")[..] else { panic!("{all:?}") };
        assert_eq!(service["metadata"]["name"], "prescale-scaler");
        let selector = service["spec"]["selector"].as_object().expect("labels");
        let is_meant =
            |template: &&Value| selector.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value);
        let templates = named(&all, "Deployment").into_iter().map(|object| &object["spec"]["template"]);
        let meant: Vec<&Value> = templates.filter(is_meant).collect();
        let [template] = meant[..] else { panic!("{meant:?}") };
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["name"], service["spec"]["ports"][0]["targetPort"]);
        let mounts = container["volumeMounts"].as_array().expect("a list");
        let mount = mounts.iter().find(|mount| mount["name"] == "scaler-tls").expect("the certificates are mounted");
        let mount = mount["mountPath"].as_str().expect("a path");
        let variables = container["env"].as_array().expect("a list").iter();
        let of_scaler: Vec<(&str, String)> = variables
            .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)))
            .filter(|(name, _)| name.starts_with("PRESCALE__SCALER__"))
            .map(|(name, value)| (name, value.replace(mount, &folder.path().display().to_string())))
            .collect();
        let checked = |variables: &[(&str, String)]| {
            let mut command = Command::new(binary("prescale"));
            command.arg("check-config").current_dir(folder.path()).env_remove("PRESCALE_CONFIG");
            command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
            command.output().expect("it starts")
        };
        let output = checked(&of_scaler);
        assert!(output.status.success(), "{of_scaler:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("0.0.0.0:9500"));
        let open: Vec<_> = of_scaler.into_iter().filter(|(name, _)| !name.ends_with("CLIENT_CA_FILE")).collect();
        assert!(!checked(&open).status.success(), "it is not open to everybody");
    }
}
