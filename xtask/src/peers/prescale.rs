//! A process of ours that receives, and what it has written to its log.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

const STARTS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running `prescale up`; it ends when this is dropped.
pub(super) struct Prescale {
    config: PathBuf,
    process: Child,
}

impl Prescale {
    /// Starts one in a folder, which is emptied, with a section `[collector.INPUT]` that listens on an address, a preset
    /// by name or by its text, and samples each second.
    pub(super) fn start(folder: &Path, input: &str, listen: SocketAddr, preset: &str) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let preset = if preset.contains('\n') {
            let file = folder.join("preset.toml");
            fs::write(&file, preset)?;
            file.display().to_string()
        } else {
            preset.to_owned()
        };
        let config = folder.join("prescale.toml");
        let bus = folder.join("prescale.db").display().to_string();
        let text = format!(
            "[bus.embedded]\npath = {bus:?}\n[console]\nlisten = \"127.0.0.1:0\"\n[collector.host]\nenabled = false\n\
             [collector.{input}]\nlisten = \"{listen}\"\npreset = {preset:?}\nstep_s = 1\n"
        );
        fs::write(&config, text)?;
        let log = folder.join("prescale.log");
        let process = command(&config)?
            .arg("up")
            .stdout(File::create(folder.join("prescale.out"))?)
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start prescale")?;
        let mut prescale = Self { config, process };
        let started = Instant::now();
        while TcpStream::connect(listen).is_err() {
            let has_ended = prescale.process.try_wait()?.is_some();
            if has_ended || started.elapsed() > STARTS_WITHIN {
                bail!("prescale does not listen on {listen}: see {}", log.display());
            }
            wait(LOOK_EVERY);
        }
        Ok(prescale)
    }

    /// Stops it, and gives the instants, in milliseconds, of the points that measure something.
    pub(super) fn instants_of(mut self, measured: &str) -> Result<BTreeSet<i64>> {
        end(&mut self.process)?;
        let tail = ["bus", "tail", "raw-points", "--from", "earliest", "--format", "json"];
        let output = command(&self.config)?.args(tail).output().context("cannot start prescale")?;
        ensure!(output.status.success(), "prescale bus tail: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).context("what lies on the log is no text")?;
        let name = format!("\"measured\":{measured:?}");
        let of = |line: &str| number_behind(line, "\"at\":");
        Ok(text.lines().filter(|line| line.contains(&name)).filter_map(of).collect())
    }
}

impl Drop for Prescale {
    fn drop(&mut self) {
        let _ = end(&mut self.process);
    }
}

fn command(config: &Path) -> Result<Command> {
    // Where this program lies in a profile's folder.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("this program does not lie in cargo's folder")?;
    let program = target.join("release/prescale");
    ensure!(program.is_file(), "cargo has not built {}", program.display());
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    Ok(command)
}

/// Waits for so long.
pub(super) fn wait(time: Duration) {
    let (_open, never) = sync_channel::<()>(0);
    // Nothing comes: it ends by the time.
    let _ = never.recv_timeout(time);
}

/// An address that nobody listens on now.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks a process to end, and waits until it has.
pub(super) fn end(process: &mut Child) -> Result<()> {
    if process.try_wait()?.is_none() {
        let status = Command::new("kill").args(["-INT", &process.id().to_string()]).status()?;
        ensure!(status.success(), "cannot end process {}", process.id());
        process.wait()?;
    }
    Ok(())
}

/// The whole number behind the first place of a text.
pub(super) fn number_behind(text: &str, place: &str) -> Option<i64> {
    let behind = text.split_once(place)?.1.trim_start_matches('"');
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_names() {
        assert_eq!(
            number_behind(r#"{"key":"a","value":{"at":1700000000123,"step_s":60}}"#, "\"at\":"),
            Some(1_700_000_000_123)
        );
        assert_eq!(number_behind(r#""timeUnixNano":"17","x":1"#, "\"timeUnixNano\":"), Some(17));
        assert_eq!(number_behind("{}", "\"at\":"), None);
    }
}
