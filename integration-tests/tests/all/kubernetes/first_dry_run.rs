//! What the README has from a cluster to a first dry run, command by command. The image is not built: what its pod would run
//! runs here, with the configuration, the arguments and the rights that the chart gives it. Nor is waited for what is
//! decided, which takes some bins of 5 minutes: the test decides.

use super::deployment;
use bus_tests::cache::require;
use bus_tests::repository;
use integration_tests::actuators::{record, replicas};
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::chart::installed;
use integration_tests::processes::{binary, until};
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_domain::action::Action;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SECTION: &str = "### On Kubernetes";
/// What the README says of `prescale.toml`.
const CONFIGURATION: &str = "[actuator.kubernetes]\nenabled = true\n\n[collector.kubernetes]\nenabled = true\n";

/// The words of the commands that the README's section begins with.
fn commands() -> Vec<Vec<String>> {
    let readme = fs::read_to_string(repository().join("README.md")).expect("it is there");
    let section = readme.split(SECTION).nth(1).expect("the section is there");
    let block = section.split("```").nth(1).expect("it has commands");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    block.lines().filter(|line| !line.is_empty()).map(words).collect()
}

/// What stands behind an option.
fn value_of<'a>(words: &[&'a str], option: &str) -> &'a str {
    let at = words.iter().position(|word| *word == option).unwrap_or_else(|| panic!("{option} in {words:?}"));
    words[at + 1]
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn namespace(cluster: &Cluster, name: &str) {
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
}

/// What a pod's container would be, in this folder, as somebody of the cluster.
fn container(folder: &Path, words: &[&str], kubeconfig: &Path) -> Command {
    let mut command = Command::new(binary(words[0]));
    command
        .args(&words[1..])
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("PRESCALE_CONFIG", folder.join("prescale.toml"))
        .env("KUBECONFIG", kubeconfig);
    command
}

#[test]
fn from_a_cluster_to_a_first_dry_run_by_the_readmes_four_commands() {
    require(&["kubectl", "version", "--client"], "kubectl (Debian: kubernetes-client)");
    let commands = commands();
    let commands: Vec<Vec<&str>> =
        commands.iter().map(|words| words.iter().map(String::as_str).collect::<Vec<&str>>()).collect();
    let [build, install, annotate, tail] = &commands[..] else { panic!("these are not four: {commands:?}") };
    let cluster = Cluster::shared();

    assert_eq!(build[..2], ["docker", "build"]);
    assert!(repository().join(value_of(build, "--file")).is_file());

    let folder = tempfile::tempdir().expect("a folder");
    symlink(repository().join("infra"), folder.path().join("infra")).expect("the folder is writable");
    fs::write(folder.path().join("prescale.toml"), CONFIGURATION).expect("the folder is writable");
    assert_eq!(install[0], "helm");
    let objects = installed(folder.path(), &install[1..]);
    let release = value_of(install, "--namespace");
    namespace(cluster, release);
    objects.iter().for_each(|object| drop(cluster.apply(object)));
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect("it is in the chart");
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], value_of(build, "--tag"));
    let text = of_kind("ConfigMap")["data"]["prescale.toml"].as_str().expect("a text");
    let state = tempfile::tempdir().expect("a folder");
    fs::write(state.path().join("prescale.toml"), text).expect("the folder is writable");
    let account = pod["serviceAccountName"].as_str().expect("an account");
    let kubeconfig = cluster.kubeconfig(&cluster.url(), Some(&cluster.token_of(release, account)));
    let args = pod["containers"][0]["args"].as_array().expect("a list");
    let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
    let log = state.path().join("up.log");
    let up = container(state.path(), &args, &kubeconfig)
        .args(["--listen", "127.0.0.1:0"])
        .env("PRESCALE__TELEMETRY__LISTEN", "127.0.0.1:0")
        // In a pod it is the pod's.
        .env("PRESCALE__ACTUATOR__KUBERNETES__LEASE_NAMESPACE", release)
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("the folder is writable"))
        .spawn();
    let mut up = Running(up.expect("prescale starts"));

    namespace(cluster, value_of(annotate, "--namespace"));
    cluster.apply(&without_annotation(value_of(annotate, "--namespace")));
    let admin = cluster.kubeconfig(&cluster.url(), None);
    let output = Command::new(annotate[0]).args(&annotate[1..]).env("KUBECONFIG", admin).output().expect("it starts");
    assert!(output.status.success(), "{annotate:?}: {}", String::from_utf8_lossy(&output.stderr));

    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{release}/leases/prescale-actuator");
    until("the lease to be held", || {
        let ended = up.0.try_wait().expect("the process is ours");
        assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(&log).unwrap_or_default());
        let (_, lease) = cluster.ask("GET", &lease, &Value::Null);
        lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty())
    });
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    let bus = EmbeddedBus::open(state.path().join("prescale.db"), options).expect("the log opens");
    let action = Action { dry_run: true, ..replicas(value_of(annotate, "--namespace"), "web", 2, 3) };
    let (id, record) = record(&action);
    bus.source("test").expect("the source opens").append(vec![record], b"1").expect("the log takes it");

    let behind = tail.iter().position(|word| *word == "--").expect("a command behind it");
    let exec = value_of(tail, "exec");
    assert_eq!(exec.strip_prefix("deployment/"), of_kind("Deployment")["metadata"]["name"].as_str());
    let path = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
    until("the dry run to be shown", || {
        let output = container(state.path(), &tail[behind + 1..], &kubeconfig).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().any(|line| line.contains(&*id) && line.contains(path))
    });
    let found = cluster.done("GET", "/apis/apps/v1/namespaces/shop/deployments/web", &Value::Null);
    assert_eq!(found["spec"]["replicas"], 2);
}

/// A Deployment that nobody has annotated.
fn without_annotation(namespace: &str) -> Value {
    let mut object = deployment(namespace, "web", 2);
    object["metadata"]["annotations"] = json!({});
    object
}
