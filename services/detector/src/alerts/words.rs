//! An incident in words.

use prescale_domain::incident::{Incident, Member};
use prescale_domain::kpi::KpiName;

/// So many workloads are named.
const NAMED_MAX: usize = 5;

/// A line that says what it is.
pub(super) fn summary(incident: &Incident) -> String {
    let first = incident.members.first();
    let who = first.map_or("nobody", |member| member.workload.as_str());
    let reason = first.map(blame).filter(|blame| !blame.is_empty());
    let reason = reason.map_or_else(String::new, |blame| format!(" by {blame}"));
    match incident.workloads {
        0 | 1 => format!("{who} of {} is unusual{reason}", incident.fleet),
        more => format!("{more} workloads of {} are unusual, {who} first{reason}", incident.fleet),
    }
}

/// What else is to be known: who is of it, in the order in which they became unusual.
pub(super) fn description(incident: &Incident) -> String {
    let named = incident.members.iter().take(NAMED_MAX).map(|member| {
        let blame = blame(member);
        let over = member.ended_at.map_or_else(String::new, |at| format!(" until {at}"));
        let by = if blame.is_empty() { String::new() } else { format!(" ({blame})") };
        format!("{} from {}{over}{by}", member.workload, member.started_at)
    });
    let mut text = named.collect::<Vec<_>>().join("; ");
    let others = (incident.workloads as usize).saturating_sub(NAMED_MAX);
    if others > 0 {
        text.push_str(&format!("; and {others} more"));
    }
    text
}

/// The KPIs most to blame.
fn blame(member: &Member) -> String {
    let names: Vec<&str> = member.kpis.iter().take(3).map(KpiName::as_str).collect();
    names.join(", ")
}
