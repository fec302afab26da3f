//! Policies as they are named on the command line.

use super::super::tests::request;
use super::*;
use prescale_domain::policy::RulesFor as _;
use prescale_domain::workload::WorkloadId;
use std::path::Path;

fn labels(policies: &[&str], settings: &Settings) -> Vec<String> {
    let policies = policies.iter().map(|&label| label.to_owned()).collect();
    let request = Request { policies, sweep: true, forecasts: true, ..request(Path::new("trace.csv")) };
    chosen(settings, &request).unwrap().into_iter().map(|policy| policy.label).collect()
}

fn of_planner(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).filter(|label| label.starts_with(PLANNER)).collect()
}

#[test]
fn a_sweep_varies_the_planners_aims() {
    let found = labels(&["planner", "threshold"], &Settings::default());
    let wanted = [
        "planner",
        "planner+proactive.aim=short-share+proactive.short_share=0.001",
        "planner+proactive.aim=short-share+proactive.short_share=0.005",
        "planner+proactive.aim=short-share+proactive.short_share=0.02",
        "planner+proactive.aim=beat-reactive+proactive.changes_per_day_max=2",
        "planner+proactive.aim=beat-reactive+proactive.changes_per_day_max=4",
        "planner+proactive.aim=beat-reactive+proactive.changes_per_day_max=12",
    ];
    let of_planner = of_planner(&found);
    let (aims, points) = of_planner.split_at(wanted.len());
    assert_eq!(aims, wanted);
    assert_eq!(points, PLANNER_POINTS.map(|point| format!("planner+{point}")));
    assert_eq!(found.iter().filter(|label| label.starts_with("threshold")).count(), 1);
}

#[test]
fn a_sweep_names_nothing_twice() {
    let mut settings = Settings::default();
    settings.planner.proactive.changes_per_day_max = 4.0;
    let found = labels(&["vpa+percentile=0.5", "vpa", "planner"], &settings);
    assert_eq!(found.iter().filter(|label| *label == "vpa+percentile=0.5").count(), 1);
    assert_eq!(of_planner(&found).len(), 6 + PLANNER_POINTS.len(), "{found:?}");
    settings.planner.policy = PolicyName::Threshold;
    assert_eq!(of_planner(&labels(&["planner"], &settings)), ["planner"]);
}

#[test]
fn a_misspelt_policy_is_refused_with_the_nearest_and_all() {
    let refused = |label: &str| {
        let request = Request { policies: vec![label.to_owned()], ..request(Path::new("trace.csv")) };
        format!("{:#}", chosen(&Settings::default(), &request).unwrap_err())
    };
    let planner = refused("planer+lead_time_s=600");
    assert!(planner.starts_with("--policies \"planer+lead_time_s=600\": there is no such policy"), "{planner}");
    assert!(planner.contains("did you mean \"planner\"?") && planner.contains("as-bought, reactive-5m"), "{planner}");
    assert!(refused("naive:treshold").contains("did you mean \"naive:threshold\"?"));
    assert!(refused("naive:vpa").contains("naive:planner, naive:proactive, naive:cost, naive:threshold"));
    let value = refused("planner+lead_time_s=soon");
    assert!(value.contains("cannot be read with these knobs") && value.contains("lead_time_s"), "{value}");
}

#[test]
fn what_chooses_instance_types_sizes_memory_too() {
    let mut settings = Settings::default();
    let sized = |label: &str, settings: &Settings| {
        let policy = parsed(label, settings, &request(Path::new("trace.csv"))).unwrap();
        let Kind::Planner(planning) = &policy.kind else { panic!("{label} is the planner's") };
        let resources = planning.book.general().forecast.resources.len();
        assert_eq!(policy.sizes_memory(), resources == 2, "{label}");
        resources
    };
    assert_eq!(
        ["cost", "planner+policy=cost", "planner", "threshold"].map(|label| sized(label, &settings)),
        [2, 2, 1, 1]
    );
    let section = "workloads = [\"web-*\"]\npolicy = \"cost\"".parse::<Table>().unwrap();
    settings.planner.sections.insert("web".to_owned(), section.try_into().unwrap());
    assert_eq!(sized("planner", &settings), 2, "it is one workload's policy");
}

#[test]
fn what_would_do_nothing_without_forecasts_is_refused() {
    let chosen = |policies: &[&str], settings: &Settings, forecasts: bool| {
        let policies = policies.iter().map(|&label| label.to_owned()).collect();
        let request = Request { policies, forecasts, ..request(Path::new("trace.csv")) };
        chosen(settings, &request).map(|policies| policies.len()).map_err(|error| format!("{error:#}"))
    };
    let mut settings = Settings::default();
    for policy in ["threshold", "planner+policy=threshold", "kedastral", "naive:planner"] {
        assert_eq!(chosen(&[policy], &settings, true), Ok(2), "{policy}");
        let refused = chosen(&[policy], &settings, false).unwrap_err();
        assert!(refused.starts_with(&format!("--policies {policy:?} needs forecasts")), "{refused}");
        assert!(refused.contains("leave --no-forecasts out"), "{refused}");
    }
    assert!(chosen(&[], &settings, false).is_ok());
    let section = "workloads = [\"web-*\"]\npolicy = \"threshold\"".parse::<Table>().unwrap();
    settings.planner.sections.insert("web".to_owned(), section.try_into().unwrap());
    assert!(chosen(&[], &settings, false).unwrap_err().contains("the policy threshold of [planner.for.web]"));
    assert!(chosen(&["reactive-5m"], &settings, false).is_ok());
    let mut settings = Settings::default();
    settings.planner.policy = PolicyName::Threshold;
    assert!(chosen(&[], &settings, false).unwrap_err().contains("\"planner\" needs forecasts"));
}

#[test]
fn a_share_is_stated_where_it_holds_for_all() {
    let mut settings = Settings::default();
    let stated = |label: &str, settings: &Settings| {
        parsed(label, settings, &request(Path::new("trace.csv"))).unwrap().stated_budget()
    };
    let label = "planner+proactive.aim=short-share+proactive.short_share=0.02";
    assert_eq!(stated(label, &settings), Some(Budget::of_time(0.02)));
    let unmet = "planner+proactive.aim=unmet-share+proactive.unmet_share=0.001";
    assert_eq!(stated(unmet, &settings), Some(Budget::of_demand(0.001)));
    assert_eq!(stated("planner", &settings), None);
    assert_eq!(stated("vpa", &settings), None);
    let section = "workloads = [\"web-*\"]\nproactive.short_share = 0.1".parse::<Table>().unwrap();
    settings.planner.sections.insert("web".to_owned(), section.try_into().unwrap());
    assert_eq!(stated(label, &settings), None);
}

#[test]
fn what_is_decided_stays_valid_until_it_serves() {
    let mut settings = Settings::default();
    // The section's own lead time is not the replay's.
    let text = "workloads = [\"web-*\"]\nlead_time_s = 300\nguardrails.valid_for_s = 300";
    let section = text.parse::<Table>().unwrap();
    settings.planner.sections.insert("web".to_owned(), section.try_into().unwrap());
    let policy = parsed("planner", &settings, &request(Path::new("trace.csv"))).unwrap();
    let Kind::Planner(planning) = policy.kind else { panic!("the planner") };
    let book = planning.rules(1200).unwrap();
    let pace = |name: &str| book.rules_for(&WorkloadId::new(name).unwrap(), "trace").rules.guardrails.pace.clone();
    assert_eq!([pace("web-1").valid_for_s, pace("db").valid_for_s], [1200; 2]);
}
