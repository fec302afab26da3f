//! A real OpenStack on loopback (`infra/openstack`), which `cargo xtask test-peers openstack` starts and stops: what tests ask
//! it, and how they tell its hypervisor to be slow or to fail. What has come of something is counted by Nova's own record.

use crate::processes::until;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{Method, Request};

/// Names the folder that it runs in.
pub const FOLDER: &str = "PRESCALE_TEST_OPENSTACK";
const HOW: &str = "run these tests by `cargo xtask test-peers openstack`";
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
const VERSION: &str = "compute 2.72";

static NAMED: AtomicU32 = AtomicU32::new(0);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// A user who is nobody in particular.
    User,
    /// An administrator.
    Admin,
}

/// The cloud, with the servers of one test, which go with this.
pub struct Cloud {
    folder: PathBuf,
    agent: Agent,
    /// Address of Keystone, and then of each one's Nova, with a token.
    keystone: String,
    user: (String, String),
    admin: (String, String),
    image: String,
    workload: String,
    kept: TempDir,
}

/// Something that the hypervisor is told, until this is dropped.
pub struct Told(PathBuf);

/// A server as Nova shows it.
#[derive(Clone, Debug)]
pub struct Server(pub Value);

impl Cloud {
    /// With a workload that no other test has.
    ///
    /// # Panics
    /// When there is no OpenStack.
    pub fn of_test() -> Self {
        let folder = PathBuf::from(std::env::var_os(FOLDER).expect(HOW));
        let agent: Agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .build()
            .into();
        let text = fs::read_to_string(folder.join("clouds.yaml")).expect(HOW);
        let clouds: Value = serde_json::from_str(&text).expect("it is written as JSON");
        let auth = |name: &str| clouds["clouds"][name]["auth"].clone();
        let keystone = auth("demo")["auth_url"].as_str().expect("it says where Keystone is").to_owned();
        let (user, catalog) = login(&agent, &keystone, &auth("demo"));
        let (admin, _) = login(&agent, &keystone, &auth("admin"));
        let of = |kind: &str| {
            let services = catalog.as_array().into_iter().flatten();
            let found = services
                .filter(|service| service["type"] == kind)
                .find_map(|service| service["endpoints"][0]["url"].as_str().map(str::to_owned));
            found.unwrap_or_else(|| panic!("the catalogue has no {kind}: {catalog}"))
        };
        let (nova, glance) = (of("compute"), of("image"));
        let images = ask(&agent, &user, "GET", &format!("{glance}/v2/images"), &Value::Null).1;
        let image = images["images"][0]["id"].as_str().expect("there is an image").to_owned();
        let workload = format!("test/{}-{}", std::process::id(), NAMED.fetch_add(1, Ordering::Relaxed));
        let kept = tempfile::tempdir().expect("a folder");
        Self { folder, agent, keystone, user: (nova.clone(), user), admin: (nova, admin), image, workload, kept }
    }

    /// The workload.
    pub fn workload(&self) -> &str {
        &self.workload
    }

    /// Address of Nova, without its path.
    pub fn nova(&self) -> &str {
        self.user.0.trim_end_matches("/v2.1")
    }

    /// A `clouds.yaml` by which Nova is taken to be there.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn clouds_file(&self, nova: &str) -> PathBuf {
        let file = self.kept.path().join("clouds.yaml");
        let auth = json!({
            "auth_url": self.keystone, "username": "demo", "password": "secret", "project_name": "demo",
            "user_domain_name": "Default", "project_domain_name": "Default",
        });
        let cloud = json!({ "auth": auth, "compute_endpoint_override": format!("{nova}/v2.1") });
        fs::write(&file, json!({ "clouds": { "demo": cloud } }).to_string()).expect("the folder is writable");
        file
    }

    /// Asks Nova; status and body.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self, who: As, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (nova, token) = if who == As::Admin { &self.admin } else { &self.user };
        ask(&self.agent, token, method, &format!("{nova}{path}"), body)
    }

    /// As [`Cloud::ask`], as the user, for what has to go well.
    ///
    /// # Panics
    /// When it does not.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, said) = self.ask(As::User, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
        said
    }

    /// Makes servers of the workload as somebody would by hand, and waits until they run; their ids.
    ///
    /// # Panics
    /// When Nova does not make them.
    pub fn make(&self, count: usize) -> Vec<String> {
        let server = json!({
            "name": "test", "imageRef": self.image, "flavorRef": "c1", "networks": "none",
            "metadata": { "prescale.workload": self.workload },
        });
        let made = |_| self.done("POST", "/servers", &json!({ "server": server }))["server"]["id"].clone();
        let ids: Vec<String> = (0..count).map(made).map(|id| id.as_str().expect("an id").to_owned()).collect();
        for id in &ids {
            until("a server to run", || self.server(id).is("ACTIVE"));
        }
        ids
    }

    /// A server.
    ///
    /// # Panics
    /// When it is not there.
    pub fn server(&self, id: &str) -> Server {
        Server(self.done("GET", &format!("/servers/{id}"), &Value::Null)["server"].clone())
    }

    /// The servers of the workload.
    pub fn servers(&self) -> Vec<Server> {
        let list = self.done("GET", "/servers/detail", &Value::Null);
        let all = list["servers"].as_array().into_iter().flatten().cloned().map(Server);
        all.filter(|server| server.0["metadata"]["prescale.workload"] == self.workload.as_str()).collect()
    }

    /// What was done to a server, by Nova's record, the first first: name and id of the request.
    pub fn record(&self, id: &str) -> Vec<(String, String)> {
        let said = self.done("GET", &format!("/servers/{id}/os-instance-actions"), &Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = said["instanceActions"].as_array().into_iter().flatten().rev();
        entries.map(|entry| (text(&entry["action"]), text(&entry["request_id"]))).collect()
    }

    /// How often this was done to a server.
    pub fn times(&self, id: &str, name: &str) -> usize {
        self.record(id).iter().filter(|(done, _)| done == name).count()
    }

    /// Tells the hypervisor something: a fault of `infra/openstack/compute.py`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn tell(&self, fault: &str, text: &str) -> Told {
        let file = self.folder.join("fault").join(fault);
        fs::write(&file, text).expect("the folder is writable");
        Told(file)
    }

    /// Kills one of OpenStack's processes, or starts it again.
    ///
    /// # Panics
    /// When that does not go well.
    pub fn process(&self, action: &str, name: &str) {
        let script = bus_tests::repository().join("infra/openstack/openstack.py");
        let status = Command::new("/usr/bin/python3").arg(script).arg(action).arg(&self.folder).arg(name).status();
        assert!(status.expect("Python starts").success(), "{action} {name}");
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.folder.display());
        }
        let (_, list) = self.ask(As::User, "GET", "/servers/detail", &Value::Null);
        let of_test = |server: &&Value| server["metadata"]["prescale.workload"] == self.workload.as_str();
        for server in list["servers"].as_array().into_iter().flatten().filter(of_test) {
            let id = server["id"].as_str().unwrap_or_default();
            // A server that is stuck is removed by an administrator alone.
            self.ask(As::Admin, "POST", &format!("/servers/{id}/action"), &json!({ "forceDelete": null }));
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Server {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// Whether it is in that status, and nothing is under way.
    pub fn is(&self, status: &str) -> bool {
        self.0["status"] == status && self.0["OS-EXT-STS:task_state"].is_null()
    }

    /// Name of its flavor.
    pub fn flavor(&self) -> &str {
        self.0["flavor"]["original_name"].as_str().unwrap_or_default()
    }

    /// The action that made it.
    pub fn made_by(&self) -> Option<&str> {
        self.0["metadata"]["prescale.action"].as_str()
    }
}

/// A token, and the catalogue.
fn login(agent: &Agent, keystone: &str, auth: &Value) -> (String, Value) {
    let domain = json!({ "name": "Default" });
    let user = json!({ "name": auth["username"], "password": auth["password"], "domain": domain });
    let identity = json!({ "methods": ["password"], "password": { "user": user } });
    let scope = json!({ "project": { "name": auth["project_name"], "domain": domain } });
    let body = json!({ "auth": { "identity": identity, "scope": scope } });
    let request = Request::post(format!("{keystone}/auth/tokens")).header("Content-Type", "application/json");
    let answer = agent.run(request.body(body.to_string()).expect("the request is well formed"));
    let mut answer = answer.unwrap_or_else(|error| panic!("Keystone does not answer ({error}): {HOW}"));
    let token = answer.headers().get("X-Subject-Token").and_then(|token| token.to_str().ok()).map(str::to_owned);
    let text = answer.body_mut().read_to_string().expect("the answer is text");
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    (token.unwrap_or_else(|| panic!("Keystone gives no token: {text}")), body["token"]["catalog"].clone())
}

fn ask(agent: &Agent, token: &str, method: &str, url: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(url)
        .header("X-Auth-Token", token)
        .header("OpenStack-API-Version", VERSION)
        .header("Content-Type", "application/json");
    let answer = match body {
        Value::Null => agent.run(request.body(()).expect("the request is well formed")),
        body => agent.run(request.body(body.to_string()).expect("the request is well formed")),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let text = answer.body_mut().read_to_string().expect("the answer is text");
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
