//! Books of made-up sections.

use super::*;
use crate::policy::fixtures::workload;
use proptest::prelude::*;
use std::convert::Infallible;

fn section(name: &str, priority: i64, workloads: &[&str], sources: &[&str]) -> Section {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let selector = Selector::new(&texts(workloads), &texts(sources)).unwrap();
    Section { name: name.into(), priority, reach: Reach(vec![vec![selector]]) }
}

/// A lead time of one digit for each section that holds, the lowest first.
fn composed(names: &[Arc<str>]) -> Result<Rules, Infallible> {
    let mut rules = Rules::default();
    rules.forecast.lead_time_s =
        names.iter().fold(0u32, |sum, name| sum.wrapping_mul(10).wrapping_add(name.parse::<u32>().unwrap()));
    Ok(rules)
}

fn lead_time_s(book: &RuleBook, name: &str, source: &str) -> u32 {
    book.rules_for(&workload(name), source).rules.forecast.lead_time_s
}

#[test]
fn sections_go_on_top_of_each_other_by_priority_and_then_by_name() {
    let sections = vec![
        section("3", 0, &["web-*"], &[]),
        section("1", 5, &["*-api"], &[]),
        section("2", 0, &["*"], &["fleet:*"]),
        section("4", 0, &["db-*"], &[]),
    ];
    let book = RuleBook::new(Rules::default(), sections, composed).unwrap();
    assert_eq!(lead_time_s(&book, "web-api", "fleet:a"), 231);
    assert_eq!(lead_time_s(&book, "web-api", "host:a"), 31);
    assert_eq!(lead_time_s(&book, "db-1", "fleet:a"), 24);
    assert_eq!(lead_time_s(&book, "batch", "host:a"), Rules::default().forecast.lead_time_s);
    let ruled = book.rules_for(&workload("web-api"), "fleet:a");
    assert_eq!(ruled.from.iter().map(|name| &**name).collect::<Vec<_>>(), ["2", "3", "1"]);
    assert_eq!(book.composed.len(), 11, "web and db never meet");
    let alone: Vec<_> = book.alone().map(|(section, rules)| (section, rules.forecast.lead_time_s)).collect();
    let wanted = [(None, 900), (Some("2"), 2), (Some("3"), 3), (Some("4"), 4), (Some("1"), 1)];
    assert_eq!(alone, wanted, "the general rules, then each section by itself");
}

#[test]
fn one_selector_of_each_list_must_hold() {
    let office = vec![Selector::new(&["a-*".into(), "b-1".into()], &[]).unwrap()];
    let mut on_fleet = section("1", 0, &[], &["fleet:*"]);
    on_fleet.reach.0.push(office);
    let book = RuleBook::new(Rules::default(), vec![on_fleet], composed).unwrap();
    assert_eq!((lead_time_s(&book, "b-1", "fleet:a"), lead_time_s(&book, "b-1", "host:a")), (1, 900));
    assert_eq!(lead_time_s(&book, "b-2", "fleet:a"), 900);
}

#[test]
fn too_many_that_may_meet_are_refused_by_name_and_wrong_rules_by_their_error() {
    let many = |pattern: &str| (0..13).map(|i| section(&i.to_string(), 0, &[pattern], &[])).collect::<Vec<_>>();
    let error = RuleBook::new(Rules::default(), many("*x*"), composed).unwrap_err().to_string();
    assert!(error.contains("0, 1, 10") && error.contains("over 4096 combinations"), "{error}");
    let apart = (0..1000).map(|i| section(&i.to_string(), 0, &[&format!("team-{i}-*")], &[])).collect();
    assert_eq!(RuleBook::new(Rules::default(), apart, composed).unwrap().composed.len(), 1000);
    let refuse = |names: &[Arc<str>]| if names.len() == 2 { Err("both") } else { Ok(Rules::default()) };
    let both = vec![section("1", 0, &["a*"], &[]), section("2", 0, &["*b"], &[])];
    assert_eq!(RuleBook::new(Rules::default(), both, refuse).unwrap_err().to_string(), "both");
}

fn pattern() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["*", "a*", "b*", "*a", "*b", "ab", "?b", "a?", "[ab]a"]).prop_map(str::to_owned)
}

proptest! {
    /// Whatever sections hold for a workload, their combination is in the book, in whatever order they were given.
    #[test]
    fn every_combination_that_holds_is_composed(
        given in prop::collection::vec((pattern(), -2i64..3), 0..7), name in "[ab]{1,3}", turn in 0usize..7,
    ) {
        let numbered = given.iter().enumerate();
        let mut sections: Vec<Section> =
            numbered.map(|(i, (pattern, priority))| section(&(i + 1).to_string(), *priority, &[pattern], &[])).collect();
        let mut holding: Vec<&Section> = sections.iter().filter(|s| s.reach.holds(&workload(&name), "x")).collect();
        holding.sort_by_key(|section| (section.priority, section.name.clone()));
        let wanted: Vec<Arc<str>> = holding.iter().map(|section| section.name.clone()).collect();
        let by = turn % sections.len().max(1);
        sections.rotate_left(by);
        let book = RuleBook::new(Rules::default(), sections, composed).unwrap();
        prop_assert_eq!(book.rules_for(&workload(&name), "x").from, &wanted[..]);
    }
}
