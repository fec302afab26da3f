//! Real time-series databases, and an Alertmanager, for tests: each a process on loopback with its data in a folder of its
//! own, so that it can be stopped in the middle and started again.

use bus_tests::conformance::fixture::until;
use bus_tests::guarded::Guarded;
use bus_tests::signals::{self, Signal};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Prometheus with its receiver of remote write.
    Prometheus,
    /// VictoriaMetrics, single node.
    VictoriaMetrics,
    /// InfluxDB 1.
    Influxdb,
    /// Alertmanager. What fires is in its memory alone, so it knows nothing of it after a restart.
    Alertmanager,
}

/// A store of one's own; it is killed when this is dropped.
pub struct Store {
    kind: StoreKind,
    folder: TempDir,
    ports: [u16; 2],
    agent: ureq::Agent,
    server: Option<Guarded>,
}

/// Program, an argument that it answers at once, and Debian's package.
fn program(kind: StoreKind) -> [&'static str; 3] {
    match kind {
        StoreKind::Prometheus => ["prometheus", "--version", "prometheus"],
        StoreKind::VictoriaMetrics => ["victoria-metrics", "-version", "victoria-metrics"],
        StoreKind::Influxdb => ["influxd", "version", "influxdb"],
        StoreKind::Alertmanager => ["prometheus-alertmanager", "--version", "prometheus-alertmanager"],
    }
}

impl Store {
    /// A store that has a place and an address, and does not run yet.
    ///
    /// # Panics
    /// When its program is missing, with what to install.
    pub fn stopped(kind: StoreKind) -> Self {
        let [name, probe, package] = program(kind);
        let answers = Command::new(name)
            .arg(probe)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success());
        assert!(answers, "the tests need {name}: on Debian `apt-get install {package}`");
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port"));
        let ports = listeners.map(|listener| listener.local_addr().expect("a bound port").port());
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let folder = tempfile::tempdir().expect("a folder for the store");
        let store = Self { kind, folder, ports, agent: config.into(), server: None };
        store.configure();
        store
    }

    fn configure(&self) {
        let folder = self.folder.path();
        let text = match self.kind {
            StoreKind::Prometheus => "storage:\n  tsdb:\n    out_of_order_time_window: 30d\n".to_owned(),
            StoreKind::VictoriaMetrics => return,
            StoreKind::Alertmanager => "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n".to_owned(),
            StoreKind::Influxdb => format!(
                "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n[meta]\n  dir = \"{f}/meta\"\n[data]\n  dir = \"{f}/data\"\n  wal-dir = \"{f}/wal\"\n  index-version = \"inmem\"\n[http]\n  bind-address = \"127.0.0.1:{}\"\n  log-enabled = false\n[monitor]\n  store-enabled = false\n",
                self.ports[1],
                self.ports[0],
                f = folder.display()
            ),
        };
        fs::write(folder.join("store.conf"), text).expect("the folder is writable");
    }

    fn command(&self) -> Vec<String> {
        let (folder, port) = (self.folder.path(), self.ports[0]);
        let path = |name: &str| folder.join(name).display().to_string();
        let arguments = match self.kind {
            StoreKind::Prometheus => vec![
                format!("--config.file={}", path("store.conf")),
                format!("--storage.tsdb.path={}", path("data")),
                "--storage.tsdb.retention.time=100y".to_owned(),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--web.enable-remote-write-receiver".to_owned(),
                // One that is killed while it makes a block of its head can lose out-of-order samples that it has
                // acknowledged (prometheus/prometheus issue 19744), so it is to make none in a test.
                "--storage.tsdb.min-block-duration=1d".to_owned(),
            ],
            StoreKind::VictoriaMetrics => vec![
                format!("-storageDataPath={}", path("data")),
                format!("-httpListenAddr=127.0.0.1:{port}"),
                "-retentionPeriod=100y".to_owned(),
                "-search.latencyOffset=0s".to_owned(),
            ],
            StoreKind::Influxdb => vec!["run".to_owned(), "-config".to_owned(), path("store.conf")],
            StoreKind::Alertmanager => vec![
                format!("--config.file={}", path("store.conf")),
                format!("--storage.path={}", path("data")),
                format!("--web.listen-address=127.0.0.1:{port}"),
                // Alone: it is to look for no others.
                "--cluster.listen-address=".to_owned(),
            ],
        };
        std::iter::once(program(self.kind)[0].to_owned()).chain(arguments).collect()
    }

    /// Lets a Prometheus that does not run yet scrape itself each second, and write that to a URL.
    ///
    /// # Panics
    /// When its folder is not writable.
    pub fn scrape_itself_and_write_to(&self, url: &str) {
        let text = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: self\n    static_configs:\n      - targets: [\"127.0.0.1:{}\"]\nremote_write:\n  - url: {url}\n    queue_config:\n      batch_send_deadline: 1s\n",
            self.ports[0]
        );
        fs::write(self.folder.path().join("store.conf"), text).expect("the folder is writable");
    }

    /// Puts OpenMetrics text into the data of a Prometheus that does not run, as blocks.
    ///
    /// # Panics
    /// When `promtool` is missing or does not take it.
    pub fn backfill(&self, openmetrics: &str) {
        let (text, data) = (self.folder.path().join("history.om"), self.folder.path().join("data"));
        fs::write(&text, openmetrics).expect("the folder is writable");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
            .args([&text, &data])
            .output()
            .expect("promtool runs: on Debian it is in package prometheus");
        assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// Starts it, again on the same port with the same data, and waits until it answers.
    pub fn run(&mut self) {
        self.kill();
        let log = self.folder.path().join("store.log");
        self.server = Some(Guarded::start(&self.command(), &[], &log));
        let ready = match self.kind {
            StoreKind::Prometheus | StoreKind::Alertmanager => "/-/ready",
            StoreKind::VictoriaMetrics => "/health",
            StoreKind::Influxdb => "/ping",
        };
        until(&format!("{:?} to answer", self.kind), || {
            let server = self.server.as_mut().expect("it was started");
            assert!(!server.has_ended(), "it ended:\n{}", log_of(&log));
            self.get(ready).filter(|(status, _)| (200..300).contains(status)).map(drop)
        });
    }

    /// Kills the store at once (SIGKILL); its data stays.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// Ends the store in good order. VictoriaMetrics answers before its data is in a file, so a kill
    /// would lose what it has acknowledged.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let id = until("its process id", || server.process_id());
        signals::send(Signal::Terminate, id);
        until("the store to end", || server.has_ended().then_some(()));
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The answer to a request, if one comes.
    pub fn get(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let mut response = self.agent.get(format!("{}{path}", self.url())).call().ok()?;
        let body = response.body_mut().with_config().limit(256 << 20).read_to_vec().ok()?;
        Some((response.status().as_u16(), body))
    }

    /// The answer to JSON that is posted, as JSON.
    ///
    /// # Panics
    /// When it is refused.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}{path}", self.url())).header("Content-Type", "application/json");
        let mut response = request.send(body.to_string()).expect("the store answers");
        let answer = response.body_mut().read_to_vec().expect("it says something");
        let status = response.status();
        assert!(status.is_success(), "{path} {body}: {status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// The answer to a query, as JSON.
    ///
    /// # Panics
    /// When there is none.
    pub fn json(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let request = self.agent.post(format!("{}{path}", self.url()));
        let mut response = request.send_form(parameters.iter().copied()).expect("the store answers");
        let body = response.body_mut().with_config().limit(256 << 20).read_to_vec().expect("it says something");
        let status = response.status();
        assert!(status.is_success(), "{path} {parameters:?}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }
}

fn log_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}
