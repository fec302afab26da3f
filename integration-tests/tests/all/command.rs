//! The `prescale` binary as its user runs it.

use integration_tests::pipeline::{assert_same, outputs};
use integration_tests::processes::{binary, count, is_worked_off, terminate, until};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_contracts::topics;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use tempfile::TempDir;

fn prescale(folder: &Path) -> Command {
    let mut command = Command::new(binary("prescale"));
    command.current_dir(folder).env_remove("RUST_LOG").env_remove("PRESCALE_CONFIG");
    // It changes much, from the first hour on.
    command.env("PRESCALE__PLANNER__POLICY", "threshold");
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    prescale(folder).args(args).output().expect("prescale starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `prescale up` over a fixed span of a small fleet; killed when it is dropped.
struct Up {
    child: Child,
    console: String,
    log: PathBuf,
}

impl Up {
    fn start(folder: &Path) -> Self {
        let log = folder.join("up.log");
        let mut child = prescale(folder)
            .args(["up", "--no-host", "--fleet", "12", "--listen", "127.0.0.1:0"])
            .env("PRESCALE__COLLECTOR__FLEET__START", "2026-03-02T00:00:00Z")
            .env("PRESCALE__COLLECTOR__FLEET__UNTIL", "+10h")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("the folder is writable"))
            .spawn()
            .expect("prescale starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let console = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("console: http://").map(str::to_owned))
            .unwrap_or_else(|| panic!("no console: {}", std::fs::read_to_string(&log).unwrap_or_default()));
        // Read on, or the child blocks on a full pipe.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, console, log }
    }

    fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; returns how it ended.
    fn terminate(mut self) -> ExitStatus {
        terminate(&mut self.child)
    }

    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.console).expect("the console listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.console)
            .expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log that `up` writes in a folder, seen from another process.
fn log_of(folder: &Path) -> EmbeddedBus {
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    EmbeddedBus::open(folder.join("prescale.db"), options).expect("the log opens")
}

fn is_through(log: &EmbeddedBus) -> bool {
    let context = installation(&Settings::default());
    is_worked_off(log, &context, context.graph.stages())
}

/// The span in one go: its folder, and the number of samples.
fn whole_span() -> (TempDir, i64) {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path());
    let log = log_of(folder.path());
    until("the fleet's span to be written", || {
        std::fs::read_to_string(&up.log).is_ok_and(|l| l.contains("the fleet's span is written"))
    });
    until("the stages to be through", || is_through(&log));
    let samples = count(&log, topics::RAW_KPIS);
    let (status, body) = up.get("/readyz");
    assert!(status.contains("200"), "{status} {body}");
    assert!(up.get("/livez").0.contains("200"));
    let (_, metrics) = up.get("/metrics");
    assert!(metrics.contains("prescale_stage_records_in_total{stage=\"planner\"}"), "{metrics}");
    assert_eq!(up.terminate().code(), Some(0), "SIGTERM drains and ends well");
    (folder, samples)
}

#[test]
fn up_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    let (whole, samples) = whole_span();
    assert!(samples > 12 * 600 * 98 / 100, "{samples} samples");
    let folder = tempfile::tempdir().expect("a folder");
    // Killed during the history, at points that differ in what is under way.
    for share in [0.15, 0.43] {
        let up = Up::start(folder.path());
        let log = log_of(folder.path());
        until("some of the samples", || count(&log, topics::RAW_KPIS) as f64 > share * samples as f64);
        up.kill();
    }
    let up = Up::start(folder.path());
    let log = log_of(folder.path());
    until("all samples", || count(&log, topics::RAW_KPIS) == samples);
    until("the stages to be through", || is_through(&log));
    assert_eq!(up.terminate().code(), Some(0));
    assert_same(&outputs(&log), &outputs(&log_of(whole.path())));
    looking_at_what_is_there(folder.path());
}

/// The verbs that read, over a log with something in it.
fn looking_at_what_is_there(folder: &Path) {
    let account = run(folder, &["account", "--format", "json"]);
    assert!(account.status.success(), "{}", text(&account.stderr));
    let stages: Value = serde_json::from_slice(&account.stdout).expect("JSON");
    for stage in stages.as_array().expect("a list") {
        for wrong in ["missing", "strays", "repeated_outputs", "unread"] {
            assert_eq!(stage[wrong], 0, "{wrong}: {stage}");
        }
        assert_eq!(
            stage["read"].as_u64(),
            Some(["followed", "rejected", "without_output"].iter().filter_map(|k| stage[*k].as_u64()).sum()),
            "{stage}"
        );
    }
    let lag = run(folder, &["bus", "lag", "--format", "json"]);
    let lags: Value = serde_json::from_slice(&lag.stdout).expect("JSON");
    assert_eq!(lags.as_array().map(Vec::len), Some(40));
    let tail = run(folder, &["bus", "tail", "actions", "--from", "earliest", "--format", "json"]);
    let first: Value = serde_json::from_str(text(&tail.stdout).lines().next().expect("an action")).expect("JSON");
    let workload = first["key"].as_str().expect("a key");
    let explained = run(folder, &["explain", workload]);
    let explained_text = text(&explained.stdout);
    assert!(explained.status.success() && explained_text.contains("because"), "{explained_text}");
    assert!(explained_text.contains("result\n  applied"), "{explained_text}");
    let as_json = run(folder, &["explain", workload, "--format", "json"]);
    let explained: Value = serde_json::from_slice(&as_json.stdout).expect("JSON");
    assert_eq!(explained["workload"], workload);
    let unknown = run(folder, &["explain", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("nothing is known of workload \"nobody\""));
}

#[test]
fn a_replay_ends_with_the_account_of_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut csv = String::from("vm,ts,pct,cores\n");
    for minute in 0..600_i64 {
        for vm in 0..4 {
            let value =
                if (minute + vm) % 97 == 0 { String::new() } else { format!("{}", 20 + (minute / 7 + vm) % 40) };
            csv += &format!("vm{vm},{},{value},4\n", 1_700_000_000 / 300 * 300 + minute * 300);
        }
    }
    csv += "vm1,,5,4\n";
    std::fs::write(folder.path().join("prescale.toml"), "[archiver.parquet]\nfolder = \"archive\"\n").expect("written");
    std::fs::write(folder.path().join("trace.csv"), csv).expect("the folder is writable");
    let map = "entity=vm,time=ts,cpu=pct / 100.0 * cores,cpu_capacity=cores,memory_capacity=8589934592.0";
    let replay =
        ["up", "--replay", "trace.csv", "--map", map, "--speed", "max", "--until-done", "--listen", "127.0.0.1:0"];
    let first = run(folder.path(), &replay);
    let (out, err) = (text(&first.stdout), text(&first.stderr));
    assert!(first.status.success(), "{out}\n{err}");
    assert!(out.contains("2401 rows read") && out.contains("every row is accounted for"), "{out}\n{err}");
    let log = log_of(folder.path());
    assert!(is_through(&log) && count(&log, topics::FINGERPRINTS) > 2300);
    for topic in [topics::FINGERPRINTS, topics::PREDICTIONS] {
        let records = count(&log, topic);
        let archived =
            format!("archiver-parquet-{topic}: {records} records read = {records} archived + left out: none");
        assert!(out.contains(&archived), "{archived}\n{out}");
        let days = folder.path().join("archive").join(topic).read_dir().expect("the archive is readable");
        assert!(days.count() > 0, "{topic} is archived");
    }
}

#[test]
fn wrong_usage_and_configuration_end_with_64_and_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("prescale.toml"), "[planner]\nlead_tim_s = 5\n").expect("it is written");
    let misspelt = run(folder.path(), &["check-config"]);
    assert_eq!(misspelt.status.code(), Some(64));
    let message = text(&misspelt.stderr);
    assert!(message.contains("prescale.toml:2") && message.contains("lead_time_s"), "{message}");
    std::fs::write(folder.path().join("prescale.toml"), "[planner.threshold]\nheadroom = 9\n").expect("it is written");
    assert_eq!(run(folder.path(), &["up"]).status.code(), Some(64));
    std::fs::remove_file(folder.path().join("prescale.toml")).expect("it is removed");
    let sound = run(folder.path(), &["check-config"]);
    assert!(sound.status.success() && text(&sound.stdout).contains("lead_time_s = 900"));
    assert!(text(&sound.stdout).ends_with("# no states are stored yet\n"), "{}", text(&sound.stdout));
    assert!(!folder.path().join("prescale.db").exists(), "no log is made");
    assert_eq!(run(folder.path(), &["no-such-verb"]).status.code(), Some(64));
    for (args, remedy) in [
        (vec!["--policies", "planer"], "did you mean \"planner\"?"),
        (vec!["--policies", "threshold", "--no-forecasts"], "leave --no-forecasts out"),
        (vec!["--lead-time", "5"], "has no unit"),
    ] {
        let refused = run(folder.path(), &[vec!["replay", "--data", "trace.csv"], args.clone()].concat());
        assert_eq!(refused.status.code(), Some(64), "{args:?}");
        assert!(text(&refused.stderr).contains(remedy), "{}", text(&refused.stderr));
    }
    assert_eq!(run(folder.path(), &["bus", "tail", "actions"]).status.code(), Some(1), "no topic is there yet");
    assert!(text(&run(folder.path(), &["topics", "plan"]).stdout).contains("create"));
    assert!(run(folder.path(), &["topics", "apply"]).status.success());
    let planned = text(&run(folder.path(), &["topics", "plan", "--format", "json"]).stdout);
    let planned: Value = serde_json::from_str(&planned).expect("JSON");
    assert!(planned.as_array().expect("a list").iter().all(|t| t["change"] == "keep"));
    let sound = text(&run(folder.path(), &["check-config"]).stdout);
    assert!(sound.ends_with("# all states that are stored go on as they are\n"), "{sound}");
}
