//! The stages as a graph: which topics each reads and writes, in the order of the data. It knows no stage by name:
//! each service declares its own, and whoever runs or watches a pipeline hands over the list.

use crate::audit::Audit;
use std::collections::BTreeSet;

/// How the ids of a stage's outputs come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Each follows from one input, and its id is made with that input's key.
    OfInput,
    /// As [`Ids::OfInput`], or made with the output's own key.
    OfOutput,
    /// Each follows from all inputs of its key and of a time, and has the key and the instant of the newest of them.
    Joined,
}

/// A stage as its service declares it.
#[derive(Clone, Copy, Debug)]
pub struct StageEntry {
    /// Name of the stage.
    pub stage: &'static str,
    /// Topic that it reads.
    pub input: &'static str,
    /// Topics that it writes, beside the dead letter queue of its input; none where its effect is outside the bus.
    pub outputs: &'static [&'static str],
    /// How the ids of its outputs come about.
    pub ids: Ids,
    /// What must follow from its inputs.
    pub audit: fn() -> Box<dyn Audit>,
}

/// What writes to topics without being a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    /// Id of the source; `None` for any.
    pub id: Option<&'static str>,
    /// Topics that it writes.
    pub topics: &'static [&'static str],
}

/// What a service does on the bus beside running its stages.
#[derive(Clone, Debug)]
pub enum Use {
    /// It writes as a source.
    Writes(SourceEntry),
    /// It reads a topic as part of no group.
    Reads(String),
    /// It looks how far a stage is behind.
    Watches(StageEntry),
    /// It asks where a topic ends, with the name of a group that nobody is in.
    Ends {
        /// The group.
        group: &'static str,
        /// The topic.
        topic: &'static str,
    },
}

/// Stages and sources over the topics that join them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    stages: Vec<StageEntry>,
    sources: Vec<SourceEntry>,
}

impl Graph {
    /// Of these stages, in any order.
    pub fn new(stages: &[StageEntry]) -> Self {
        Self { stages: in_order(stages), sources: Vec::new() }
    }

    /// With these sources as well.
    #[must_use]
    pub fn with_sources(self, sources: Vec<SourceEntry>) -> Self {
        Self { sources, ..self }
    }

    /// The stages: each behind those that write what it reads, and otherwise as they were given. A circle begins where
    /// the data enters it.
    pub fn stages(&self) -> &[StageEntry] {
        &self.stages
    }

    /// The topics that stages read, each once, in the order of the data.
    pub fn inputs(&self) -> Vec<&'static str> {
        distinct(self.stages.iter().map(|stage| stage.input))
    }

    /// The topics that anyone reads or writes, each once.
    pub fn topics(&self) -> Vec<&'static str> {
        let of_stages = self.stages.iter().flat_map(|stage| [stage.input].into_iter().chain(written_by(stage)));
        distinct(of_stages.chain(self.sources.iter().flat_map(|source| source.topics.iter().copied())))
    }

    /// The stages that read a topic.
    pub fn reading<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a StageEntry> {
        self.stages.iter().filter(move |stage| stage.input == topic)
    }

    /// The stages that write a topic.
    pub fn writing<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a StageEntry> {
        self.stages.iter().filter(move |stage| writes(stage, topic))
    }

    /// The stages through which records of one topic lead to records of another, in the order of the data.
    pub fn leading(&self, from: &str, to: &str) -> Vec<StageEntry> {
        let ahead = grown(from, |known| {
            let reached = self.stages.iter().filter(|stage| known.contains(stage.input));
            reached.flat_map(written_by).collect()
        });
        let behind = grown(to, |known| {
            let leads = |stage: &&StageEntry| written_by(stage).any(|topic| known.contains(topic));
            self.stages.iter().filter(leads).map(|stage| stage.input).collect()
        });
        let is_between =
            |stage: &&StageEntry| ahead.contains(stage.input) && written_by(stage).any(|topic| behind.contains(topic));
        self.stages.iter().filter(is_between).copied().collect()
    }

    /// Whether a record on a topic that the stage writes counts as its own. One that says that nobody made it who
    /// writes there is counted with the first stage that does.
    pub fn is_output_of(&self, stage: &StageEntry, topic: &str, producer: Option<&str>) -> bool {
        if producer == Some(stage.stage) {
            return true;
        }
        let is_first = self.writing(topic).next().is_some_and(|first| first.stage == stage.stage);
        let is_of_stage = self.writing(topic).any(|other| producer == Some(other.stage));
        let may_be_of = |source: &SourceEntry| source.id.is_none() || source.id == producer;
        let is_of_source = self.sources.iter().any(|source| source.topics.contains(&topic) && may_be_of(source));
        is_first && !is_of_stage && !is_of_source
    }
}

fn written_by(stage: &StageEntry) -> impl Iterator<Item = &'static str> + use<> {
    stage.outputs.iter().copied()
}

fn writes(stage: &StageEntry, topic: &str) -> bool {
    written_by(stage).any(|written| written == topic)
}

fn distinct(topics: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    topics.filter(|topic| seen.insert(*topic)).collect()
}

/// A topic with all that are found from those that are known, until there is no more.
fn grown(start: &str, more: impl Fn(&BTreeSet<String>) -> Vec<&'static str>) -> BTreeSet<String> {
    let mut known = BTreeSet::from([start.to_owned()]);
    loop {
        let before = known.len();
        let found = more(&known);
        known.extend(found.into_iter().map(str::to_owned));
        if known.len() == before {
            return known;
        }
    }
}

/// By depth-first search, the last to be left first.
fn in_order(stages: &[StageEntry]) -> Vec<StageEntry> {
    let begins = |at: &usize| {
        let stage = &stages[*at];
        !stages.iter().any(|other| other.stage != stage.stage && writes(other, stage.input))
    };
    let (first, others): (Vec<usize>, Vec<usize>) = (0..stages.len()).rev().partition(begins);
    let (mut seen, mut left) = (vec![false; stages.len()], Vec::with_capacity(stages.len()));
    for at in first.into_iter().chain(others) {
        visit(stages, at, &mut seen, &mut left);
    }
    left.reverse();
    left
}

fn visit(stages: &[StageEntry], at: usize, seen: &mut [bool], left: &mut Vec<StageEntry>) {
    if std::mem::replace(&mut seen[at], true) {
        return;
    }
    for next in (0..stages.len()).rev() {
        if writes(&stages[at], stages[next].input) {
            visit(stages, next, seen, left);
        }
    }
    left.push(stages[at]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit;

    const fn stage(stage: &'static str, input: &'static str, outputs: &'static [&'static str]) -> StageEntry {
        StageEntry { stage, input, outputs, ids: Ids::OfInput, audit: audit::each }
    }

    /// A line with a branch, a stage that hears itself, a circle and a sink.
    const STAGES: [StageEntry; 6] = [
        stage("sink", "plans", &[]),
        stage("carry", "deeds", &["results"]),
        stage("rule", "plans", &["deeds", "plans"]),
        stage("report", "views", &["pages"]),
        stage("see", "samples", &["views"]),
        stage("plan", "views", &["plans", "views"]),
    ];

    fn names<'a>(stages: impl IntoIterator<Item = &'a StageEntry>) -> Vec<&'static str> {
        stages.into_iter().map(|stage| stage.stage).collect()
    }

    #[test]
    fn stages_come_behind_those_that_write_what_they_read() {
        let graph = Graph::new(&STAGES);
        assert_eq!(names(graph.stages()), ["see", "plan", "rule", "sink", "carry", "report"]);
        assert_eq!(graph.inputs(), ["samples", "views", "plans", "deeds"]);
        assert_eq!(graph.topics(), ["samples", "views", "plans", "deeds", "results", "pages"]);
        assert_eq!(names(graph.reading("views")), ["plan", "report"]);
        assert_eq!(names(graph.writing("plans")), ["plan", "rule"]);
    }

    #[test]
    fn a_circle_begins_where_the_data_enters_it() {
        let circle = [stage("b", "two", &["one"]), stage("a", "one", &["two"]), stage("in", "zero", &["one"])];
        assert_eq!(names(Graph::new(&circle).stages()), ["in", "a", "b"]);
        assert_eq!(names(Graph::new(&circle[..2]).stages()).len(), 2, "nothing enters it");
    }

    #[test]
    fn what_leads_from_one_topic_to_another_leaves_branches_out() {
        let graph = Graph::new(&STAGES);
        assert_eq!(names(&graph.leading("samples", "results")), ["see", "plan", "rule", "carry"]);
        assert_eq!(names(&graph.leading("views", "pages")), ["plan", "report"], "what it writes to views is reported");
        assert!(graph.leading("results", "samples").is_empty());
    }

    #[test]
    fn a_record_counts_with_who_says_to_have_made_it_or_with_the_first_who_may() {
        let sources = vec![SourceEntry { id: Some("orders"), topics: &["plans"] }];
        let graph = Graph::new(&STAGES).with_sources(sources);
        let whose = |topic: &str, producer| {
            names(
                graph
                    .stages()
                    .iter()
                    .filter(|stage| writes(stage, topic) && graph.is_output_of(stage, topic, producer)),
            )
        };
        assert_eq!(whose("plans", Some("plan")), ["plan"]);
        assert_eq!(whose("plans", Some("rule")), ["rule"]);
        assert_eq!(whose("plans", Some("orders")), [""; 0]);
        assert_eq!(whose("plans", Some("nobody")), ["plan"]);
        assert_eq!(whose("results", None), ["carry"]);
    }

    #[test]
    fn without_circles_nobody_comes_before_who_writes_for_it_however_they_are_listed() {
        let listed = [
            stage("s0", "t0", &["t1", "t3"]),
            stage("s1", "t1", &["t2"]),
            stage("s2", "t2", &["t3", "t4"]),
            stage("s3", "t3", &["t4"]),
            stage("s4", "t4", &[]),
        ];
        let lists = (0..5_usize.pow(5)).map(|code| (0..5).map(|nth| code / 5_usize.pow(nth) % 5).collect::<Vec<_>>());
        for list in lists.filter(|list| list.iter().collect::<BTreeSet<_>>().len() == listed.len()) {
            let stages: Vec<StageEntry> = list.iter().map(|at| listed[*at]).collect();
            assert_eq!(names(Graph::new(&stages).stages()), ["s0", "s1", "s2", "s3", "s4"], "{list:?}");
        }
    }
}
