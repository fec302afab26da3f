//! An incident in words.

use prescale_domain::alarm::MISSING_DATA;
use prescale_domain::incident::{Incident, Member};
use prescale_domain::kpi::KpiName;

/// So many workloads are named.
const NAMED_MAX: usize = 5;

/// A line that says what it is.
pub(super) fn summary(incident: &Incident) -> String {
    let first = incident.members.first();
    let who = first.map_or("nobody", |member| member.workload.as_str());
    let is_missing = |member: &&Member| member.kpis.first().is_some_and(|kpi| kpi.as_str() == MISSING_DATA);
    if let Some(first) = first.filter(is_missing) {
        let lacks = match first.kpis.get(1) {
            Some(kpi) => format!("has no values of {kpi} any more"),
            None => "sends nothing any more".to_owned(),
        };
        return match incident.workloads {
            0 | 1 => format!("{who} of {} {lacks}", incident.fleet),
            more => format!("{more} workloads of {} lack data, {who} first: it {lacks}", incident.fleet),
        };
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fixtures::incident;

    #[test]
    fn who_lacks_data_is_not_called_unusual() {
        let mut told = incident();
        told.members[0].kpis = vec![KpiName::new(MISSING_DATA)];
        assert_eq!(summary(&told), "2 workloads of shop lack data, db first: it sends nothing any more");
        told.workloads = 1;
        told.members[0].kpis.push(KpiName::new("latency_ms"));
        assert_eq!(summary(&told), "db of shop has no values of latency_ms any more");
    }
}
