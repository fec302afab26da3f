//! What a configuration makes of the states that are stored: which go on as they are, which are made again, from what,
//! and what the log cannot give back.

use crate::services::ServiceEntry;
use crate::settings::Settings;
use anyhow::Result;
use prescale_bus::{KeptLog, Reach, SettingChange, StageFactory, StateSchema, StoredState};
use prescale_chassis::{Context, stored_states};
use std::collections::BTreeMap;

/// Says it of all stages of these services, as comments of a TOML document. The bus is neither opened nor made; what
/// cannot be told is said as well.
pub fn report(services: &[ServiceEntry], settings: &Settings) -> String {
    let told = told(services, settings).unwrap_or_else(|error| {
        let why = format!("{error:#}").replace('\n', " ");
        vec![format!("it cannot be told what becomes of the states that are stored: {why}")]
    });
    told.iter().map(|line| format!("# {line}\n")).collect()
}

fn told(services: &[ServiceEntry], settings: &Settings) -> Result<Vec<String>> {
    let context = Context::new(&settings.bus);
    let (mut known, mut lines) = (false, Vec::new());
    for service in services {
        let runs: Vec<&str> = (service.stages)(settings).iter().map(|stage| stage.stage).collect();
        for factory in (service.factories)(settings)?.iter().filter(|factory| runs.contains(&factory.name())) {
            let group = context.group(factory.name());
            let Some(states) = stored_states(&settings.bus, &group, &factory.input_topic())? else { continue };
            known = true;
            lines.extend(of_stage(factory.as_ref(), &states));
        }
    }
    Ok(if !known {
        vec!["no states are stored yet".to_owned()]
    } else if lines.is_empty() {
        vec!["all states that are stored go on as they are".to_owned()]
    } else {
        lines
    })
}

/// What is to be said of a stage's states; nothing where they go on as they are.
fn of_stage(factory: &dyn StageFactory, states: &[StoredState]) -> Vec<String> {
    let (name, now) = (factory.name(), StateSchema::from(factory.state_schema().as_str()));
    let mut again: BTreeMap<String, Vec<&StoredState>> = BTreeMap::new();
    let mut terms: Vec<SettingChange> = Vec::new();
    for state in states {
        let reason = match &state.schema {
            Some(Ok(stored)) => {
                let changes = stored.changes_of_shape(&now);
                if changes.is_empty() {
                    terms.extend(stored.changes_of_terms(&now));
                    continue;
                }
                joined(&changes)
            }
            Some(Err(reason)) => format!("its snapshot is put aside: {reason}"),
            None if state.log.is_some_and(|log| log.records() > 0) => "there is no snapshot".to_owned(),
            None => continue,
        };
        again.entry(reason).or_default().push(state);
    }
    terms.sort_by(|a, b| (&a.name, &a.before).cmp(&(&b.name, &b.before)));
    terms.dedup();
    let kept = (!terms.is_empty())
        .then(|| format!("{name}: its state goes on; what it remembers was made under others: {}", joined(&terms)));
    let made_again = again.iter().flat_map(|(reason, states)| made_again(name, reason, states, &factory.reach()));
    kept.into_iter().chain(made_again).collect()
}

fn made_again(name: &str, reason: &str, states: &[&StoredState], reach: &[Reach]) -> Vec<String> {
    let partitions: Vec<String> = states.iter().map(|state| state.partition.to_string()).collect();
    let partitions = partitions.join(", ");
    let logs: Vec<KeptLog> = states.iter().filter_map(|state| state.log).collect();
    let from = if logs.is_empty() {
        "from what the log still has".to_owned()
    } else {
        format!("from about {} records", logs.iter().map(KeptLog::records).sum::<u64>())
    };
    let mut lines = vec![format!("{name}: its state is made again {from}, of partition {partitions}: {reason}")];
    let lost: Vec<Reach> = match logs.iter().filter(|log| log.has_lost_some()).min_by_key(|log| log.span_s()) {
        Some(shortest) => {
            lines.push(format!("{name}: its log goes {} back", days(shortest.span_s())));
            shortest.cannot_give(reach)
        }
        None if logs.is_empty() => reach.to_vec(),
        None => Vec::new(),
    };
    let lost = lost.iter().map(|reach| format!("{} ({} of records)", reach.what, days(reach.records_s)));
    let lost: Vec<String> = lost.collect();
    if !lost.is_empty() {
        lines.push(format!("{name}: a log that keeps less does not give back whole: {}", lost.join(", ")));
    }
    lines
}

fn joined(changes: &[SettingChange]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn days(seconds: u64) -> String {
    format!("{:.1} days", seconds as f64 / 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Log, TOY, sample, settings};

    #[test]
    fn a_configuration_says_what_becomes_of_the_states() {
        const ALL_GO_ON: &str = "# all states that are stored go on as they are\n";
        let mut log = Log::of("[toy]\nforgets_minute = 7\n", 40);
        let told = |log: &Log, text: &str| report(&[TOY], &log.configured(text));
        assert_eq!(told(&log, ""), ALL_GO_ON, "nothing was read yet");
        log.run();
        assert_eq!(told(&log, "[toy]\nforgets_minute = 7\n"), ALL_GO_ON);
        let other_terms = "[toy]\nforgets_minute = 7\nrepeats_minute = 3\n";
        let kept = told(&log, other_terms);
        assert!(kept.starts_with("# toy: its state goes on"), "{kept}");
        assert!(kept.contains("repeats_minute was \"-1\" and is \"3\"") && kept.lines().count() == 1, "{kept}");
        let again = told(&log, "[toy]\nforgets_minute = 8\n");
        assert!(again.contains("toy: its state is made again from about 40 records"), "{again}");
        assert!(again.contains("forgets_minute was \"7\" and is \"8\""), "{again}");
        assert!(!again.contains("does not give back"), "nothing is gone: {again}");
        log.settings = log.configured(other_terms);
        log.append(vec![sample(40)]);
        log.run();
        assert_eq!(told(&log, other_terms), ALL_GO_ON, "it went on, and is stored under the terms of now");
    }

    #[test]
    fn without_a_log_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&[TOY], "").unwrap();
        settings.bus.embedded.path = folder.path().join("bus.db");
        assert_eq!(report(&[TOY], &settings), "# no states are stored yet\n");
        assert!(!settings.bus.embedded.path.exists());
        std::fs::write(&settings.bus.embedded.path, "no database").unwrap();
        assert!(report(&[TOY], &settings).starts_with("# it cannot be told"));
    }

    #[test]
    fn what_reaches_further_back_than_the_log_is_named() {
        let log = |oldest| KeptLog {
            oldest,
            oldest_appended_at_ms: Some(0),
            newest_appended_at_ms: Some(7 * 86_400_000),
            position: oldest + 100,
        };
        let reach = [
            Reach { what: "the week", records_s: 7 * 86_400 },
            Reach { what: "the fortnight", records_s: 14 * 86_400 },
        ];
        let said = |oldest| {
            let state = |partition| StoredState { partition, schema: None, log: Some(log(oldest)) };
            made_again("toy", "why", &[&state(0), &state(1)], &reach).join("\n")
        };
        assert_eq!(said(0), "toy: its state is made again from about 200 records, of partition 0, 1: why");
        assert!(said(5).contains("its log goes 7.0 days back"), "{}", said(5));
        assert!(said(5).ends_with("does not give back whole: the fortnight (14.0 days of records)"), "{}", said(5));
        let unseen = StoredState { partition: 3, schema: None, log: None };
        let unseen = made_again("toy", "why", &[&unseen], &reach).join("\n");
        assert!(unseen.contains("from what the log still has") && unseen.contains("the week"), "{unseen}");
    }
}
