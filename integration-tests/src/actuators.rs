//! Actuators as processes of their own over one embedded log: what they are told, and what they answer. They are started,
//! killed, and stopped in good order.

use crate::installation::crashes;
use crate::processes::{binary, terminate, until};
use bus_tests::faults::crash::SIGABRT;
use prescale_bus::crash_point::CrashPoint;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, OutputRecord, Source};
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::action::{Action, ActionResult, Mechanism, Verdict};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// A log, and the actuators over it.
pub struct Actuators {
    bus: EmbeddedBus,
    source: Box<dyn Source>,
    told: u64,
    running: Vec<(Child, PathBuf)>,
    started: usize,
    folder: TempDir,
}

impl Actuators {
    /// None yet, on a log with its topics. This goes behind section `[actuator.kubernetes]`, which is switched on.
    ///
    /// # Panics
    /// When the configuration is not sound.
    pub fn new(kubernetes: &str) -> Self {
        Self::of(&format!("[actuator.kubernetes]\nenabled = true\n{kubernetes}\n"))
    }

    /// None yet, on a log with its topics, with these sections.
    ///
    /// # Panics
    /// When the configuration is not sound.
    pub fn of(sections: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let general = "[bus]\npartitions = 2\n\n[telemetry]\nlisten = \"127.0.0.1:0\"\n";
        let text = format!("{general}\n{sections}");
        fs::write(folder.path().join("prescale.toml"), text).expect("the folder is writable");
        prescale(&folder, &["topics", "apply"]);
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = EmbeddedBus::open(folder.path().join("prescale.db"), options).expect("the log opens");
        let source = bus.source("test").expect("the source opens");
        Self { bus, source, told: 0, running: Vec::new(), started: 0, folder }
    }

    /// Starts one more, with this kubeconfig.
    pub fn start(&mut self, kubeconfig: &Path) {
        self.start_with(&[("KUBECONFIG", kubeconfig)]);
    }

    /// Starts one more, with these variables.
    pub fn start_with(&mut self, variables: &[(&str, &Path)]) {
        let command = command(&self.folder, &binary("prescale-actuator"));
        self.spawn(command, variables);
    }

    /// As [`Actuators::start`], but one that aborts at its `passing`-th passing of a crash point.
    ///
    /// # Panics
    /// When this process has no path.
    pub fn start_crashing(&mut self, kubeconfig: &Path, point: CrashPoint, passing: u32) {
        let mut command = command(&self.folder, &std::env::current_exe().expect("a test has a path"));
        crashes(&mut command, "actuator", point, passing);
        self.spawn(command, &[("KUBECONFIG", kubeconfig)]);
    }

    fn spawn(&mut self, mut command: Command, variables: &[(&str, &Path)]) {
        self.started += 1;
        let log = self.folder.path().join(format!("actuator-{}.log", self.started));
        let file = File::create(&log).expect("the folder is writable");
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(file);
        self.running.push((command.spawn().expect("the actuator starts"), log));
    }

    /// Whether the one that was started last has ended at its crash point. Then it is not among those that run any more.
    ///
    /// # Panics
    /// When none runs, or it has ended in another way.
    pub fn has_crashed(&mut self) -> bool {
        let (child, _) = self.running.last_mut().expect("one runs");
        let Some(ended) = child.try_wait().expect("the process is ours") else { return false };
        assert_eq!(ended.signal(), Some(SIGABRT), "it was to end at a crash point:\n{}", self.logs());
        self.running.pop();
        true
    }

    /// Kills the one that was started first among those that run (SIGKILL), and waits until it is gone.
    ///
    /// # Panics
    /// When none runs.
    pub fn kill_oldest(&mut self) {
        let (mut child, _) = self.running.remove(0);
        child.kill().expect("the process is ours");
        child.wait().expect("the process is ours");
    }

    /// Stops all of them in good order.
    ///
    /// # Panics
    /// When one does not end well.
    pub fn terminate_all(&mut self) {
        for (mut child, log) in self.running.drain(..) {
            let ended = terminate(&mut child);
            assert!(ended.success(), "{ended}:\n{}", fs::read_to_string(log).unwrap_or_default());
        }
    }

    /// Writes an action, and returns its id. The same action again has the same id.
    ///
    /// # Panics
    /// When the log does not take it.
    pub fn tell(&mut self, action: &Action) -> Arc<str> {
        let (id, record) = record(action);
        self.told += 1;
        self.source.append(vec![record], self.told.to_string().as_bytes()).expect("the log takes it");
        id
    }

    /// Runs `prescale` over the same log, which must end well; what it prints.
    ///
    /// # Panics
    /// When it does not.
    pub fn prescale(&self, args: &[&str]) -> String {
        prescale(&self.folder, args)
    }

    /// All results so far, in the log's order.
    pub fn results(&self) -> Vec<ActionResult> {
        let records = bus_tests::conformance::fixture::read_all(&self.bus, topics::ACTION_RESULTS);
        let decoded = |value: Option<Vec<u8>>| ActionResult::decode(&value.expect("a value")).expect("it is whole");
        records.into_iter().map(|record| decoded(record.value)).collect()
    }

    /// The result of an action, once it is there.
    ///
    /// # Panics
    /// When there is none within minutes, or more than one.
    pub fn result(&self, id: &str) -> ActionResult {
        let of_it =
            || -> Vec<ActionResult> { self.results().into_iter().filter(|result| &*result.action_id == id).collect() };
        until("a result", || !of_it().is_empty());
        let [result]: [ActionResult; 1] = of_it().try_into().expect("one result");
        result
    }

    /// What those that run have logged.
    pub fn logs(&self) -> String {
        let logs = self.running.iter().map(|(_, log)| fs::read_to_string(log).unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n---\n")
    }
}

impl Drop for Actuators {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for (child, _) in &mut self.running {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An action as a record, with its id.
///
/// # Panics
/// When the action breaks its contract.
pub fn record(action: &Action) -> (Arc<str>, OutputRecord) {
    let position = format!("{} {}", action.desired.replicas, action.is_withdrawal());
    let envelope = Envelope::root("test", Action::EVENT_TYPE, &action.workload, action.decided_at, &position);
    let record = output_record(&envelope, topics::ACTIONS, action).expect("it keeps its contract");
    (envelope.id, record)
}

fn command(folder: &TempDir, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder.path()).env_remove("RUST_LOG").env_remove("PRESCALE_CONFIG");
    command
}

fn prescale(folder: &TempDir, args: &[&str]) -> String {
    let output = command(folder, &binary("prescale")).args(args).output().expect("prescale starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Now, by the wall clock.
pub fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    EventTime::from_ms(i64::try_from(since.as_millis()).expect("an instant"))
}

/// An action that takes a Deployment from so many replicas to so many, decided now and valid for ten minutes.
pub fn replicas(namespace: &str, name: &str, from: u32, to: u32) -> Action {
    let capacity = |replicas| Capacity {
        replicas,
        cpu_cores_per_replica: 1.0,
        memory_bytes_per_replica: 536_870_912.0,
        instance_type: None,
    };
    let decided_at = now();
    Action {
        workload: WorkloadId::new(&format!("{namespace}/Deployment/{name}")).expect("a name"),
        decided_at,
        valid_until: decided_at.plus_s(600),
        prediction_id: "a prediction".into(),
        policy: "threshold".into(),
        verdict: if to > from { Verdict::ScaleOut } else { Verdict::ScaleIn },
        current: capacity(from),
        desired: capacity(to),
        mechanism: Mechanism::Replicas,
        dry_run: false,
        evidence: Vec::new(),
        reasons: Vec::new(),
        platform: Platform::KUBERNETES,
    }
}
