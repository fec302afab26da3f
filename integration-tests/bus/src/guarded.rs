//! A server that a test starts and that ends with the test, however that ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Starts `"$@"`, writes its process id to `$PID_FILE` and waits for it; kills it when standard
/// input ends: so the process goes with the test process, however that ends.
const GUARD: &str = r#"exec 3<&0; "$@" </dev/null 3<&- & pid=$!; echo "$pid" > "$PID_FILE"
(cat <&3 >/dev/null; kill -9 "$pid") & killer=$!
wait "$pid"; kill "$killer""#;

/// A process behind a shell that waits for it and kills it when the test is gone.
pub struct Guarded {
    shell: Child,
    process_id: PathBuf,
}

impl Guarded {
    /// Starts a command line, with further variables; what it says is appended to `log`, and its process
    /// id stands beside that.
    ///
    /// # Panics
    /// When the log cannot be written or there is no `sh`.
    pub fn start(command: &[String], variables: &[(&str, String)], log: &Path) -> Self {
        let process_id = log.with_extension("pid");
        drop(fs::remove_file(&process_id));
        let said = File::options().create(true).append(true).open(log).expect("the server's folder is writable");
        let shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .args(command)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("PID_FILE", &process_id)
            .stdin(Stdio::piped())
            .stdout(said.try_clone().expect("the log is shared"))
            .stderr(said)
            .spawn()
            .expect("sh starts");
        Self { shell, process_id }
    }

    /// The server's process id once the shell has told it. While the shell has not ended nobody else
    /// has that id.
    pub fn process_id(&self) -> Option<u32> {
        let told = fs::read_to_string(&self.process_id).unwrap_or_default();
        told.strip_suffix('\n').and_then(|id| id.parse().ok())
    }

    /// Whether the server has ended.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn has_ended(&mut self) -> bool {
        self.shell.try_wait().expect("the shell is our child").is_some()
    }

    /// Kills the server at once (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().expect("the shell is our child");
    }
}
