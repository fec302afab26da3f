//! What decisions were worth, as JSON for the command line and the console.

use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::wording::sentence;
use prescale_domain::evaluation::{Sums, Worth};
use serde_json::{Value, json};

/// Sums of outcomes as JSON, with a sentence that says them. Names and units are those of topic `outcomes`; instants
/// are milliseconds since 1970.
pub fn worth_json(span: &Span) -> Value {
    let Sums { observed_s, censored_s, demand_core_s, capacity, plan, reactive, currency } = &span.sums;
    json!({
        "from_ms": span.from.as_ms(),
        "to_ms": span.to.as_ms(),
        "dry_run": span.is_dry_run,
        "observed_s": observed_s,
        "censored_s": censored_s,
        "demand_core_s": demand_core_s,
        "capacity": of_capacity(capacity),
        "plan": of_capacity(plan),
        "reactive": of_capacity(reactive),
        "currency": currency.as_deref(),
        "sentence": sentence(span),
    })
}

fn of_capacity(worth: &Worth) -> Value {
    json!({
        "short_s": worth.short_s,
        "unmet_core_s": worth.unmet_core_s,
        "over_core_s": worth.over_core_s,
        "capacity_core_s": worth.capacity_core_s,
        "cost": worth.cost,
        "changes": worth.changes,
    })
}
