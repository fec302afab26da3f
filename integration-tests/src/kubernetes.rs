//! A real API server of Kubernetes on loopback with a real etcd behind it: rights by RBAC, users by tokens, and an audit
//! log by which effects are counted on its side. One comes without controllers and nodes, which a test plays where it needs
//! them; another has real ones ([`Cluster::controlled`]). It must not know who is tested on it.

pub mod audit;
pub mod chart;
pub mod controllers;
pub mod faults;

use audit::{Event, Log};
use bus_tests::cache::{from_go_module, require};
use bus_tests::conformance::fixture::until;
use bus_tests::guarded::Guarded;
use bus_tests::kafka_listeners::Ca;
use bus_tests::repository;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The Go module that the server is made of.
const MODULE: &str = "infra/kubernetes/test-server";
/// The token of somebody who may do everything.
const ADMIN: &str = "swordfish-of-the-admin";
const ADMIN_NAME: &str = "admin";
/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An API server of one's own; it is killed when this is dropped.
pub struct Cluster {
    port: u16,
    agent: Agent,
    named: AtomicU32,
    audit: Mutex<Log>,
    /// The API server and etcd, before them whoever asks it.
    servers: Vec<Guarded>,
    folder: TempDir,
}

impl Cluster {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    /// When etcd or Go is missing, or it does not come up; with what to do about it.
    pub fn start() -> Self {
        require(&["etcd", "--version"], "etcd (Debian: etcd-server)");
        let program = program("api-server");
        let folder = tempfile::tempdir().expect("a folder for the API server");
        let [port, etcd_port, peer_port] = free_ports();
        let agent = agent(&put_files(folder.path()), Some(ANSWER_WITHIN));
        let log = |name: &str| folder.path().join(name);
        let etcd = Guarded::start(&etcd_command(folder.path(), etcd_port, peer_port), &[], &log("etcd.log"));
        let command = server_command(&program, folder.path(), port, etcd_port);
        let mut server = Guarded::start(&command, &[], &log("server.log"));
        let url = format!("https://127.0.0.1:{port}");
        until("the API server to be ready", || {
            let said = || fs::read_to_string(log("server.log")).unwrap_or_default();
            assert!(!server.has_ended(), "the API server ended:\n{}", said());
            let asked = Request::get(format!("{url}/readyz")).header("Authorization", format!("Bearer {ADMIN}"));
            let answer = agent.run(asked.body(()).expect("the request is well formed"));
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        });
        let audit = Mutex::new(Log::new(log("audit.log")));
        Self { port, agent, named: AtomicU32::new(0), audit, servers: vec![server, etcd], folder }
    }

    /// The one without controllers that the tests of this process share; each takes a namespace of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where the API is.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that its own, and that of a [`faults::Proxy`], are checked against.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A client that trusts [`Cluster::ca_file`], with the longest wait for an answer.
    ///
    /// # Panics
    /// When that file is gone.
    pub fn agent(&self, answer_within: Option<Duration>) -> Agent {
        agent(&fs::read_to_string(self.ca_file()).expect("the CA's certificate is readable"), answer_within)
    }

    /// The header `Authorization` of somebody who may do everything.
    pub fn authorization(&self) -> String {
        format!("Bearer {ADMIN}")
    }

    /// Sends a request as somebody who may do everything, and returns status and body. A patch is a merge patch, or an
    /// apply where the path names a `fieldManager`.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_as(ADMIN, method, path, body)
    }

    /// As [`Cluster::ask`], as whoever has this token.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let form = match method {
            "PATCH" if path.contains("fieldManager=") => "application/apply-patch+yaml",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(format!("{}{path}", self.url()))
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", form);
        let answer = match body {
            Value::Null => self.agent.run(request.body(()).expect("the request is well formed")),
            body => self.agent.run(request.body(body.to_string()).expect("the request is well formed")),
        };
        let mut answer = answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let text = answer.body_mut().read_to_string().expect("the answer is text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// As [`Cluster::ask`], for what has to go well; the body.
    ///
    /// # Panics
    /// When it does not.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, said) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
        said
    }

    /// Makes a namespace that no other test has.
    pub fn namespace(&self) -> String {
        let name = format!("test-{}", self.named.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.done("POST", "/api/v1/namespaces", &body);
        name
    }

    /// A token of a service account that is there already.
    pub fn token_of(&self, namespace: &str, service_account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token");
        let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let said = self.done("POST", &path, &body);
        said["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// A kubeconfig for whoever has this token, or for somebody who may do everything, at this server, which is the API
    /// server itself or a [`faults::Proxy`].
    pub fn kubeconfig(&self, server: &str, token: Option<&str>) -> PathBuf {
        let name = format!("kubeconfig-{}", self.named.fetch_add(1, Ordering::Relaxed));
        let cluster = json!({ "server": server, "certificate-authority": self.ca_file() });
        // JSON is YAML.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": { "token": token.unwrap_or(ADMIN) } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        let path = self.folder.path().join(name);
        fs::write(&path, text.to_string()).expect("the folder is writable");
        path
    }

    /// What the server has answered so far, by its audit log.
    pub fn audited(&self) -> Vec<Event> {
        let fence = format!("fence-{}", self.named.fetch_add(1, Ordering::Relaxed));
        self.ask("GET", &format!("/api/v1/namespaces/{fence}"), &Value::Null);
        until("the audit log", || {
            let mut log = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
            let all = log.events();
            let end = all.iter().position(|event| event.name == fence)?;
            Some(all[..end].to_vec())
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.servers.drain(..).for_each(Guarded::kill);
    }
}

/// A program of the module, in the user's cache.
fn program(package: &str) -> PathBuf {
    let module = repository().join(MODULE);
    let text = fs::read_to_string(module.join("go.mod")).expect("the test server's go.mod is there");
    let version = text.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"));
    let version = version.expect("go.mod names k8s.io/kubernetes");
    from_go_module(&format!("kubernetes-{version}-{package}"), &module, package)
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}

/// Certificates, users and what is audited; the CA's certificate.
fn put_files(folder: &Path) -> String {
    let put = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the folder is writable");
    let ca = Ca::new("the cluster's CA");
    let server = ca.issue("server", &["127.0.0.1"]);
    put("ca.pem", &ca.certificate);
    put("server.pem", &server.certificate);
    put("server-key.pem", &server.key);
    put("tokens.csv", &format!("{ADMIN},{ADMIN_NAME},{ADMIN_NAME},\"system:masters\"\n"));
    put("audit-policy.json", &audit::policy(ADMIN_NAME).to_string());
    ca.certificate
}

fn agent(ca: &str, answer_within: Option<Duration>) -> Agent {
    let ca = Certificate::from_pem(ca.as_bytes()).expect("a certificate");
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(answer_within)
        .tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build())
        .build()
        .into()
}

fn etcd_command(folder: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let (url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        "etcd".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
        "--log-level=error".to_owned(),
    ]
}

fn server_command(program: &Path, folder: &Path, port: u16, etcd_port: u16) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    vec![
        program.display().to_string(),
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", path("server.pem")),
        format!("--tls-private-key-file={}", path("server-key.pem")),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        // A public key is read out of a certificate too.
        format!("--service-account-key-file={}", path("server.pem")),
        format!("--service-account-signing-key-file={}", path("server-key.pem")),
        // Nothing makes accounts, so pods have to do without; and nothing takes a new node's taint away.
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
        format!("--audit-policy-file={}", path("audit-policy.json")),
        format!("--audit-log-path={}", path("audit.log")),
        "--audit-log-mode=blocking".to_owned(),
    ]
}
