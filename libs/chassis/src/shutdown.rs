//! SIGTERM and SIGINT: the first drains, a second one ends the process at once.

use std::io;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels. A second signal ends the process with 143 or
/// 130, as a shell reports a process killed by it.
///
/// # Errors
/// When the signal handlers or their thread cannot be set up.
pub fn on_signals() -> io::Result<CancellationToken> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            loop {
                let code = tokio::select! {
                    _ = terminate.recv() => 143,
                    _ = interrupt.recv() => 130,
                };
                if cancelled.is_cancelled() {
                    exit_now(code);
                }
                tracing::info!("stopping: finishing the step under way; a second signal ends at once");
                cancelled.cancel();
            }
        });
    })?;
    Ok(token)
}

#[expect(clippy::disallowed_methods, reason = "the second signal asks to skip the drain")]
fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    const CHILD: &str = "PRESCALE_TEST_SIGNALS_CHILD";

    /// Not a test of its own: the process that the tests below send signals to.
    #[test]
    fn child_waits_for_signals() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let token = on_signals().unwrap();
        println!("\nlistening");
        while !token.is_cancelled() {
            std::thread::yield_now();
        }
        println!("\ncancelled");
        loop {
            std::thread::park();
        }
    }

    fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, wanted: &str) {
        assert!(lines.any(|line| line.unwrap() == wanted), "the child said {wanted}");
    }

    fn send(child: &Child, signal: &str) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }

    fn exit_code_after(first: &str, second: &str) -> Option<i32> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::tests::child_waits_for_signals", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        wait_for(&mut lines, "listening");
        send(&child, first);
        wait_for(&mut lines, "cancelled");
        send(&child, second);
        child.wait().unwrap().code()
    }

    #[test]
    fn the_first_signal_cancels_and_the_second_ends_at_once() {
        assert_eq!(exit_code_after("-TERM", "-TERM"), Some(143));
        assert_eq!(exit_code_after("-TERM", "-INT"), Some(130));
    }
}
