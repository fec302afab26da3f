//! What the last seven days of a workload were worth, from topic `outcomes`.

use super::{Question, each, value};
use anyhow::Result;
use prescale_bus::Bus;
use prescale_contracts::{Contract, topics};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::{Outcome, Week};
use tokio_util::sync::CancellationToken;

/// The sums over the last seven days before the question's instant; `None` where no hour is over, or nothing
/// evaluates.
///
/// # Errors
/// When the bus cannot be read, or a record cannot.
pub(super) fn last_week(bus: &dyn Bus, question: &Question<'_>, shutdown: &CancellationToken) -> Result<Option<Span>> {
    if !bus.topics()?.iter().any(|(name, _)| name == topics::OUTCOMES) {
        return Ok(None);
    }
    let mut week = Week::default();
    each(bus, topics::OUTCOMES, question, shutdown, |_, record| {
        let outcome = Outcome::decode(value(&record))?;
        if question.reaches(outcome.to()) {
            week.take(&outcome);
        }
        Ok(())
    })?;
    Ok(week.span())
}
