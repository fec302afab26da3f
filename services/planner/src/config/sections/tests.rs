//! Sections as they stand in a file.

use super::*;
use prescale_chassis::{GroupConfig, Loader};
use prescale_domain::policy::{AnyPolicy, RulesFor as _, Threshold};
use prescale_domain::workload::WorkloadId;
use std::path::Path;

fn read(text: &str) -> Result<Config, String> {
    let text = format!("[planner]\n{text}");
    let loader = Loader::from_text(Path::new("prescale.toml"), &text, []).map_err(|e| e.to_string())?;
    loader.section("planner").map_err(|e| e.to_string())
}

fn groups() -> GroupsConfig {
    let office = GroupConfig { workloads: vec!["desk-*".to_owned(), "mail".to_owned()], sources: Vec::new() };
    [("office".to_owned(), office)].into()
}

fn book(text: &str) -> RuleBook {
    read(text).unwrap().rules(&groups()).unwrap()
}

fn refusal(text: &str) -> String {
    format!("{:#}", read(text).unwrap().rules(&groups()).unwrap_err())
}

fn rules<'a>(book: &'a RuleBook, workload: &str, source: &str) -> &'a Rules {
    book.rules_for(&WorkloadId::new(workload).unwrap(), source).rules
}

const COMPOSED: &str = r#"
lead_time_s = 600
guardrails.replicas_max = 50
guardrails.valid_for_s = 3600

[planner.for.slow]
workloads = ["db-*", "mail"]
lead_time_s = 1800

[planner.for.plain]
groups = ["office"]
policy = "threshold"
threshold.headroom = 1.15

[planner.for.careful]
priority = -1
workloads = ["*"]
sources = ["fleet:*"]
lead_time_s = 900
guardrails.replicas_min = 2
dry_run.simulated = true
"#;

#[test]
fn sections_are_put_on_top_of_each_other() {
    let book = book(COMPOSED);
    let mail = rules(&book, "mail", "fleet:a");
    assert_eq!(mail.forecast.lead_time_s, 1800, "by name `slow` is above `plain`, and both above `careful`");
    assert_eq!(mail.policy, AnyPolicy::from(Threshold { headroom: 1.15, ..Threshold::default() }));
    assert_eq!((mail.guardrails.bounds.replicas_min, mail.guardrails.bounds.replicas_max), (2, 50));
    assert!(mail.dry_run.simulated && mail.dry_run.elsewhere);
    let desk = rules(&book, "desk-1", "host:a");
    assert_eq!(
        (desk.policy.name(), desk.forecast.lead_time_s, desk.guardrails.bounds.replicas_min),
        ("threshold", 600, 1)
    );
    assert_eq!(rules(&book, "web", "fleet:a").forecast.lead_time_s, 900);
    assert_eq!(rules(&book, "web", "host:a"), book.general());
}

#[test]
fn the_environment_sets_keys_of_a_section() {
    let variable = ("PRESCALE__PLANNER__FOR__SLOW__LEAD_TIME_S".to_owned(), "3600".to_owned());
    let loader = Loader::from_text(Path::new("p.toml"), &format!("[planner]\n{COMPOSED}"), [variable]).unwrap();
    let config: Config = loader.section("planner").unwrap();
    assert_eq!(rules(&config.rules(&groups()).unwrap(), "db-1", "host:a").forecast.lead_time_s, 3600);
}

#[test]
fn what_nobody_knows_is_refused_with_its_place_and_the_nearest() {
    let error = |text: &str| read(text).unwrap_err();
    assert_eq!(
        error("\n[planner.for.web]\nworkloads = [\"web-*\"]\nlead_tim_s = 5\n"),
        "prescale.toml:5: [planner] for.web.lead_tim_s: unknown key, did you mean \"lead_time_s\"?"
    );
    assert_eq!(
        error("[planner.for.web]\nworkloads = [\"web-*\"]\nguardrails.replica_max = 5\n"),
        "prescale.toml:4: [planner] for.web.guardrails.replica_max: unknown key, did you mean \"replicas_max\"?"
    );
    assert_eq!(
        error("[planner.for.web]\nworkload = [\"web-*\"]\n"),
        "prescale.toml:3: [planner] for.web.workload: unknown key, did you mean \"workloads\"?"
    );
    let nested = error("[planner.for.web]\nworkloads = [\"*\"]\n[planner.for.web.for.deeper]\nworkloads = [\"*\"]\n");
    assert!(nested.contains("for.web.for: a section has no sections of its own"), "{nested}");
    let rate = error("[planner.rates.requests_per_s]\nper_replca = 5\n");
    assert!(rate.ends_with("rates.requests_per_s.per_replca: unknown key, did you mean \"per_replica\"?"), "{rate}");
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_place_what_it_is_and_what_would() {
    let error = |text: &str| read(&format!("[planner.for.web]\nworkloads = [\"web-*\"]\n{text}\n")).unwrap_err();
    let kind = error("lead_time_s = \"soon\"");
    assert!(kind.starts_with("prescale.toml:4: [planner] for.web.lead_time_s: invalid type: string"), "{kind}");
    assert!(kind.contains("soon") && kind.contains("expected u32"), "{kind}");
    let deeper = error("[planner.for.web.guardrails]\n\nsurge_s = -5");
    assert!(deeper.starts_with("prescale.toml:6: [planner] for.web.guardrails.surge_s: invalid value"), "{deeper}");
    let policy = error("policy = \"planer\"");
    assert!(policy.starts_with("prescale.toml:4: [planner] for.web.policy: unknown variant `planer`"), "{policy}");
    assert!(policy.contains("`proactive`, `cost`, `threshold`"), "{policy}");
    let own = read("[planner.for.web]\nworkloads = \"web-*\"\n").unwrap_err();
    assert!(own.starts_with("prescale.toml:3: [planner] for.web.workloads: invalid type: string"), "{own}");
    let text = "[planner.for.web]\nworkloads = [\"web-*\"]\n";
    let variable = ("PRESCALE__PLANNER__FOR__WEB__LEAD_TIME_S".to_owned(), "soon".to_owned());
    let loader = Loader::from_text(Path::new("p.toml"), text, [variable.clone()]).unwrap();
    let set = loader.section::<Config>("planner").unwrap_err().to_string();
    let wanted = format!("environment variable {}: [planner] for.web.lead_time_s: invalid type: string", variable.0);
    assert!(set.starts_with(&wanted), "{set}");
}

#[test]
fn what_makes_no_sense_together_is_refused_with_the_sections() {
    assert!(refusal("[planner.for.web]\nlead_time_s = 5\n").contains("[planner.for.web] has neither"));
    let group = refusal("[planner.for.web]\ngroups = [\"offices\"]\n");
    assert!(group.contains("[planner.for.web] groups: there is no group \"offices\", only office"), "{group}");
    let pattern = refusal("[planner.for.web]\nworkloads = [\"web-[\"]\n");
    assert!(pattern.contains("[planner.for.web] workloads: \"web-[\""), "{pattern}");
    let few = "[planner.for.few]\nworkloads = [\"web-*\"]\nguardrails.replicas_max = 3\n";
    let many = |name: &str| format!("[planner.for.many]\nworkloads = [\"{name}\"]\nguardrails.replicas_min = 5\n");
    let both = refusal(&format!("{few}{}", many("*-api")));
    assert!(
        both.contains("[planner.for.few], then [planner.for.many]") && both.contains("replicas_max is 3"),
        "{both}"
    );
    book(&format!("{few}{}", many("db-*")));
    let slow = "[planner.for.slow]\nworkloads = [\"db-*\"]\nlead_time_s = 1800\n";
    let void = refusal(slow);
    assert!(void.contains("[planner.for.slow] does not make sense: guardrails.valid_for_s is 900"), "{void}");
    book(&format!("{slow}guardrails.valid_for_s = 1800\n"));
}
