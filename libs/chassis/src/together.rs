//! Several things that block, such as a service's stages, each on a thread of its own.

use anyhow::{Error, Result, anyhow};
use tokio_util::sync::CancellationToken;

/// Runs until the token is cancelled.
pub type Run<'a> = Box<dyn FnOnce(&CancellationToken) -> Result<()> + Send + 'a>;

/// One of them.
pub struct Running<'a> {
    /// Name of its thread.
    pub name: &'static str,
    /// What it does.
    pub run: Run<'a>,
}

/// Runs them until shutdown; when one fails or panics, the others end too.
///
/// # Errors
/// The first one's, in the order given.
pub fn run_together(all: Vec<Running<'_>>, shutdown: &CancellationToken) -> Result<()> {
    let stop = shutdown.child_token();
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .into_iter()
            .map(|Running { name, run }| {
                let stop = &stop;
                let guarded = move || {
                    let stop_all = stop.clone().drop_guard();
                    let ended = run(stop);
                    if ended.is_ok() {
                        stop_all.disarm();
                    }
                    ended
                };
                (name, std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, guarded))
            })
            .collect();
        if threads.iter().any(|(_, thread)| thread.is_err()) {
            stop.cancel();
        }
        let mut ended = Ok(());
        for (name, thread) in threads {
            let one = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|_| Err(anyhow!("{name} panicked"))),
                Err(error) => Err(Error::new(error).context(format!("cannot start the thread of {name}"))),
            };
            ended = ended.and(one);
        }
        ended
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(name: &'static str) -> Running<'static> {
        let run = |stop: &CancellationToken| {
            while !prescale_bus::cancelled_within(stop, std::time::Duration::from_secs(60)) {}
            Ok(())
        };
        Running { name, run: Box::new(run) }
    }

    #[test]
    fn one_that_fails_or_panics_ends_the_others() {
        let fails = Running { name: "fails", run: Box::new(|_| Err(anyhow!("no more"))) };
        let ended = run_together(vec![waiting("a"), fails, waiting("b")], &CancellationToken::new());
        assert_eq!(ended.unwrap_err().to_string(), "no more");
        let panics = Running { name: "panics", run: Box::new(|_| panic!("a bug")) };
        let ended = run_together(vec![waiting("a"), panics], &CancellationToken::new());
        assert_eq!(ended.unwrap_err().to_string(), "panics panicked");
    }

    #[test]
    fn one_that_ends_leaves_the_others_running_until_the_shutdown() {
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let ends = Running { name: "ends", run: Box::new(|_| Ok(())) };
        let stops = Running {
            name: "stops",
            run: Box::new(move |token| {
                assert!(!token.is_cancelled());
                stop.cancel();
                Ok(())
            }),
        };
        run_together(vec![ends, stops, waiting("a")], &shutdown).unwrap();
    }
}
