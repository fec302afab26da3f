//! A real Apicurio Registry for tests, from its Maven artefact: one process on loopback, with its data
//! in a file, so that it can be killed and started again.

use crate::cache::{from_maven, require};
use crate::guarded::Guarded;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

/// The last that runs on Java 17 and that Maven Central has whole.
const VERSION: &str = "3.0.9";
/// Longest wait for the registry to answer.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const API: &str = "/apis/ccompat/v7";

/// A registry of one's own; it is killed when this is dropped.
pub struct TestRegistry {
    folder: TempDir,
    port: u16,
    app: PathBuf,
    server: Option<Guarded>,
}

impl TestRegistry {
    /// Starts a registry with nothing in it.
    ///
    /// # Panics
    /// When Java or Maven is missing, or the registry does not come up; with what to do about it.
    pub fn start() -> Self {
        let mut registry = Self::stopped();
        registry.run();
        registry
    }

    /// A registry that has a place and an address, and does not run yet.
    ///
    /// # Panics
    /// As [`TestRegistry::start`].
    pub fn stopped() -> Self {
        require(&["java", "-version"], "Java 17 or newer (Debian: openjdk-17-jre-headless)");
        let app = app();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound port").port();
        Self { folder: tempfile::tempdir().expect("a folder for the registry"), port, app, server: None }
    }

    /// Where the API that Confluent's clients speak begins.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// Kills the registry at once (SIGKILL); its data stays.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts it, again on the same port with the same data, and waits until it answers.
    pub fn run(&mut self) {
        self.kill();
        let folder = self.folder.path();
        let jar = fs::read_dir(&self.app)
            .expect("the app's folder is readable")
            .map(|entry| entry.expect("it is readable").path())
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
            .expect("the app has a runner");
        let java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", &jar.to_string_lossy()];
        let variables = [
            ("QUARKUS_HTTP_HOST", "127.0.0.1".to_owned()),
            ("QUARKUS_HTTP_PORT", self.port.to_string()),
            // Without a delay, so that what was answered is still there after a kill.
            ("APICURIO_DATASOURCE_URL", format!("jdbc:h2:file:{}/registry;WRITE_DELAY=0", folder.display())),
        ];
        self.server = Some(Guarded::start(&java.map(str::to_owned), &variables, &folder.join("registry.log")));
        let deadline = Instant::now() + READY_WITHIN;
        while self.request("GET", "/subjects", "").is_none_or(|(status, _)| status != 200) {
            let log = || fs::read_to_string(self.folder.path().join("registry.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "no answer within {READY_WITHIN:?}:\n{}", log());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Sends a request to the API, as any other client would; `None` when it does not answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let config = Agent::config_builder().timeout_global(Some(ANSWER_WITHIN)).http_status_as_error(false);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .body(body.to_owned())
            .expect("the request is well formed");
        let mut answer = Agent::from(config.build()).run(request).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The app in the user's cache, fetched through Maven the first time.
fn app() -> PathBuf {
    let artifact = format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
    from_maven(&format!("apicurio-{VERSION}"), &artifact, &["dependency:unpack", &artifact])
}
