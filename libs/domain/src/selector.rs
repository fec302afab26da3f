//! Which workloads are meant: by patterns of their names and of their sources.
//!
//! It must not know what it is that holds for them.

use crate::workload::WorkloadId;
use glob::{Pattern, PatternError};

/// Workloads by patterns: one of each list must match, and an empty list lets all through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    workloads: Vec<Pattern>,
    sources: Vec<Pattern>,
}

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}: {pattern:?}: {problem}")]
pub struct SelectorError {
    /// `workloads` or `sources`.
    pub list: &'static str,
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Selector {
    /// Of patterns such as `web-*`: `?` is any one character, `*` any number of them, `[abc]` one of these.
    ///
    /// # Errors
    /// With the first text that is no pattern.
    pub fn new(workloads: &[String], sources: &[String]) -> Result<Self, SelectorError> {
        let patterns = |list: &'static str, texts: &[String]| {
            let refused =
                |text: &String, e: PatternError| SelectorError { list, pattern: text.clone(), problem: e.to_string() };
            texts.iter().map(|text| Pattern::new(text).map_err(|e| refused(text, e))).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { workloads: patterns("workloads", workloads)?, sources: patterns("sources", sources)? })
    }

    /// Whether it means a workload of a source.
    pub fn holds(&self, workload: &WorkloadId, source: &str) -> bool {
        let matches =
            |patterns: &[Pattern], text: &str| patterns.is_empty() || patterns.iter().any(|p| p.matches(text));
        matches(&self.workloads, workload.as_str()) && matches(&self.sources, source)
    }

    /// Whether some workload could be meant by both. Where it says no there is none; where it says yes there may be none.
    pub fn may_meet(&self, other: &Self) -> bool {
        let meet = |a: &[Pattern], b: &[Pattern]| {
            a.is_empty() || b.is_empty() || a.iter().any(|p| b.iter().any(|q| patterns_may_meet(p, q)))
        };
        meet(&self.workloads, &other.workloads) && meet(&self.sources, &other.sources)
    }

    /// Its patterns as they were given: of names, and of sources.
    pub fn texts(&self) -> [Vec<&str>; 2] {
        [&self.workloads, &self.sources].map(|patterns| patterns.iter().map(Pattern::as_str).collect())
    }
}

const WILD: [char; 4] = ['*', '?', '[', ']'];

fn patterns_may_meet(a: &Pattern, b: &Pattern) -> bool {
    let (a_text, b_text) = (a.as_str(), b.as_str());
    match (a_text.contains(WILD), b_text.contains(WILD)) {
        (false, _) => b.matches(a_text),
        (_, false) => a.matches(b_text),
        (true, true) => {
            let (a_head, b_head) = (head(a_text), head(b_text));
            let (a_tail, b_tail) = (tail(a_text), tail(b_text));
            (a_head.starts_with(b_head) || b_head.starts_with(a_head))
                && (a_tail.ends_with(b_tail) || b_tail.ends_with(a_tail))
        }
    }
}

/// What every text that matches begins with.
fn head(pattern: &str) -> &str {
    pattern.find(WILD).map_or(pattern, |at| &pattern[..at])
}

/// What every text that matches ends with.
fn tail(pattern: &str) -> &str {
    pattern.rfind(WILD).map_or(pattern, |at| &pattern[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(workloads: &[&str], sources: &[&str]) -> Selector {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Selector::new(&texts(workloads), &texts(sources)).unwrap()
    }

    #[test]
    fn one_pattern_of_each_list_must_match() {
        let web = of(&["web-*", "proxy-?"], &["fleet:*"]);
        let holds = |name: &str, source: &str| web.holds(&WorkloadId::new(name).unwrap(), source);
        assert!(holds("web-1", "fleet:a") && holds("proxy-1", "fleet:a"));
        assert!(!holds("web-1", "host:a") && !holds("proxy-12", "fleet:a"));
        let error = Selector::new(&["a".to_owned(), "web-[".to_owned()], &[]).unwrap_err().to_string();
        assert!(error.starts_with("workloads: \"web-[\": "), "{error}");
    }

    #[test]
    fn other_beginnings_and_other_ends_do_not_meet() {
        let meet = |a: &str, b: &str| of(&[a], &[]).may_meet(&of(&[b], &[]));
        assert!(!meet("web-*", "db-*") && !meet("*-api", "*-db") && !meet("web-1", "web-2") && !meet("db", "web-*"));
        assert!(meet("web-*", "*-api") && meet("web-*", "web-1*") && meet("web-1", "web-?") && meet("*", "x"));
        assert!(!of(&[], &["host:*"]).may_meet(&of(&["a"], &["fleet:*"])));
        assert!(of(&["a"], &[]).may_meet(&of(&[], &["fleet:*"])));
    }

    fn pattern() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "?", "[ab]", "[!a]"]), 1..5)
            .prop_map(|parts| parts.concat().replace("**", "*"))
            .prop_filter("is a pattern", |text| Pattern::new(text).is_ok())
    }

    proptest! {
        #[test]
        fn those_that_hold_for_one_workload_may_meet(
            a in prop::collection::vec(pattern(), 0..3), b in prop::collection::vec(pattern(), 0..3), name in "[ab]{1,5}",
        ) {
            let (a, b) = (Selector::new(&a, &[]).unwrap(), Selector::new(&b, &[]).unwrap());
            let name = WorkloadId::new(&name).unwrap();
            if a.holds(&name, "x") && b.holds(&name, "x") {
                prop_assert!(a.may_meet(&b) && b.may_meet(&a));
            }
        }
    }
}
