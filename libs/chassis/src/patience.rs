//! Waiting for a receiver outside the bus that does not take what it is given: with longer and longer pauses, seen in the
//! log, in `/readyz` and in the metrics, and never so long that the bus takes the stage for dead.

use crate::health::ComponentHealth;
use prescale_bus::backoff::any_seed;
use prescale_bus::{Backoff, cancelled_within};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A receiver may ask for a pause up to this.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A step is held up at most so long; then it is given up and begun anew.
const HELD_MAX: Duration = Duration::from_secs(240);

/// A step was given up before the receiver took all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp;

/// Why a receiver did not take something, and how long it asks to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What happened, to what, and what to do.
    pub why: String,
    /// The pause that it asks for.
    pub asked_pause: Duration,
}

impl Unavailable {
    /// Without a pause that is asked for.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), asked_pause: Duration::ZERO }
    }
}

struct Outage {
    since: Instant,
    said: String,
    backoff: Backoff,
}

/// The patience of one stage.
pub struct Patience {
    stage: &'static str,
    health: ComponentHealth,
    /// Beats while there is work.
    beating: ComponentHealth,
    shutdown: CancellationToken,
    outage: Option<Outage>,
    has_answered: bool,
}

impl Patience {
    /// Of a stage whose health is `health`.
    pub fn new(stage: &'static str, health: ComponentHealth, shutdown: CancellationToken) -> Self {
        let beating = health.clone();
        Self { stage, health, beating, shutdown, outage: None, has_answered: false }
    }

    /// With beats of its own, so that a partition that hangs shows although others of the stage go on.
    #[must_use]
    pub fn with_beats_of(self, beating: ComponentHealth) -> Self {
        Self { beating, ..self }
    }

    /// Work begins or goes on.
    pub fn at_work(&self) {
        self.beating.alive();
    }

    /// Nothing is left to do for now.
    pub fn idle(&self) {
        self.beating.idle();
    }

    /// The receiver has taken something.
    pub fn answered(&mut self) {
        self.beating.alive();
        if let Some(outage) = self.outage.take() {
            let waited_s = outage.since.elapsed().as_secs();
            tracing::info!(stage = self.stage, waited_s, "it takes records again");
            self.health.ready();
        }
        // A step before this one may have been given up in an outage.
        if !std::mem::replace(&mut self.has_answered, true) {
            self.health.ready();
        }
        self.gauge(0.0);
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// When the step must be given up: on shutdown, or because it has been held up for long enough.
    pub fn wait(&mut self, unavailable: &Unavailable) -> Result<(), GaveUp> {
        metrics::counter!("prescale_sink_retries_total", "stage" => self.stage).increment(1);
        self.gauge(1.0);
        let Unavailable { why, asked_pause } = unavailable;
        let new = || Outage {
            since: Instant::now(),
            said: String::new(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed()),
        };
        let outage = self.outage.get_or_insert_with(new);
        if outage.said != *why {
            tracing::warn!(stage = self.stage, "waits and tries again, nothing is lost: {why}");
            self.health.failed(format!("waits: {why}"));
            outage.said.clone_from(why);
        }
        self.beating.alive();
        let pause = outage.backoff.pause().max((*asked_pause).min(ASKED_PAUSE_MAX));
        let held = outage.since.elapsed();
        if cancelled_within(&self.shutdown, pause) || held > HELD_MAX {
            return Err(GaveUp);
        }
        Ok(())
    }

    fn gauge(&self, waiting: f64) {
        metrics::gauge!("prescale_sink_waiting", "stage" => self.stage).set(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthRegistry;

    #[test]
    fn an_outage_shows_in_the_health_and_ends_with_an_answer() {
        let registry = HealthRegistry::default();
        let health = registry.component("sink");
        health.ready();
        let shutdown = CancellationToken::new();
        let mut patience = Patience::new("sink", health, shutdown.clone());
        assert_eq!(patience.wait(&Unavailable::new("refused")), Ok(()));
        assert_eq!(registry.not_ready(), [("sink".to_owned(), "waits: refused".to_owned())]);
        patience.answered();
        assert_eq!(registry.not_ready(), []);
        assert_eq!(patience.wait(&Unavailable::new("refused")), Ok(()));
        let mut begun_anew = Patience::new("sink", registry.component("sink"), shutdown.clone());
        begun_anew.answered();
        assert_eq!(registry.not_ready(), [], "the step before was given up");
        shutdown.cancel();
        assert_eq!(patience.wait(&Unavailable::new("refused")), Err(GaveUp));
    }

    #[test]
    fn a_partition_that_hangs_shows_although_another_goes_on() {
        let registry = HealthRegistry::default();
        let of = |partition: u32| {
            let beating = registry.component(&format!("sink/{partition}"));
            Patience::new("sink", registry.component("sink"), CancellationToken::new()).with_beats_of(beating)
        };
        let (hangs, works) = (of(0), of(1));
        hangs.at_work();
        while registry.stuck(Duration::ZERO).is_empty() {
            std::thread::yield_now();
        }
        works.at_work();
        works.idle();
        let stuck: Vec<String> = registry.stuck(Duration::ZERO).into_iter().map(|(name, _)| name).collect();
        assert_eq!(stuck, ["sink/0"]);
    }
}
