//! Programs that run beside this one, and end with it.

use anyhow::{Context as _, Result, bail, ensure};
use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// One that listens does so within this time.
const LISTENS_WITHIN: Duration = Duration::from_secs(120);
/// One that is asked to end has ended within this time.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program that can be started again and again; it is killed when this is dropped.
pub(crate) struct Program {
    command: Command,
    log: PathBuf,
    running: Option<Child>,
}

impl Program {
    /// One that does not run yet; what it says goes behind what is in `log`.
    pub(crate) fn new(command: Command, log: PathBuf) -> Self {
        Self { command, log, running: None }
    }

    /// Starts it.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let child = self.command.stdout(log.try_clone()?).stderr(log).spawn();
        self.running = Some(child.with_context(|| format!("cannot start {:?}", self.command.get_program()))?);
        Ok(())
    }

    /// The process, which must not have ended by itself.
    fn running(&mut self) -> Result<&mut Child> {
        let Some(child) = self.running.as_mut() else { bail!("{:?} was not started", self.command.get_program()) };
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "{:?} has ended by itself: see {}", self.command.get_program(), self.log.display());
        Ok(child)
    }

    /// Its process id.
    pub(crate) fn id(&mut self) -> Result<u32> {
        Ok(self.running()?.id())
    }

    /// Kills it at once (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<()> {
        let child = self.running()?;
        child.kill()?;
        child.wait()?;
        self.running = None;
        Ok(())
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub(crate) fn end(&mut self) -> Result<()> {
        let id = self.id()?;
        ensure!(Command::new("kill").arg(id.to_string()).status()?.success(), "cannot end process {id}");
        let asked = Instant::now();
        while let Some(child) = self.running.as_mut() {
            if child.try_wait()?.is_some() {
                self.running = None;
            } else {
                ensure!(asked.elapsed() < ENDS_WITHIN, "{:?} does not end", self.command.get_program());
                wait(LOOK_EVERY);
            }
        }
        Ok(())
    }

    /// Waits until someone listens on an address.
    pub(crate) fn until_listens(&mut self, address: SocketAddr) -> Result<()> {
        let asked = Instant::now();
        while TcpStream::connect(address).is_err() {
            self.running()?;
            ensure!(asked.elapsed() < LISTENS_WITHIN, "nobody listens on {address}: see {}", self.log.display());
            wait(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for so long at most until `find` finds something in what it has said.
    pub(crate) fn until_says<T>(&mut self, within: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let asked = Instant::now();
        loop {
            // Looked at first: what it said last counts.
            let is_running = self.running().map(drop);
            if let Some(found) = find(&fs::read_to_string(&self.log).unwrap_or_default()) {
                return Ok(found);
            }
            is_running?;
            ensure!(
                asked.elapsed() < within,
                "waited {within:?} for {:?}: see {}",
                self.command.get_program(),
                self.log.display()
            );
            wait(LOOK_EVERY);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for so long.
pub(crate) fn wait(time: Duration) {
    let (_open, never) = sync_channel::<()>(0);
    // Nothing comes: it ends by the time.
    let _ = never.recv_timeout(time);
}

/// An address that nobody listens on now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_again_and_one_that_ends_by_itself_is_told() {
        let log = std::env::temp_dir().join(format!("prescale-xtask-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec tail -f /dev/null"]);
        let mut program = Program::new(command, log.clone());
        program.start().unwrap();
        let has_begun = |said: &str| said.contains("begun").then_some(());
        program.until_says(ENDS_WITHIN, has_begun).unwrap();
        program.kill().unwrap();
        program.start().unwrap();
        program.end().unwrap();
        assert!(program.id().is_err(), "it does not run");
        let mut brief = Program::new(Command::new("true"), log.clone());
        brief.start().unwrap();
        brief.running.as_mut().unwrap().wait().unwrap();
        assert!(brief.kill().unwrap_err().to_string().contains("ended by itself"));
        fs::remove_file(log).unwrap();
    }
}
