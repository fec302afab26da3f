//! `prescale account`: reads the log and accounts for every record of every stage's input, and for every output.
//!
//! Ids are deterministic, so what must follow from a record can be worked out from the record alone, and looked for.
//! Nothing here trusts a counter. Whether an input without an output should have had one is each stage's own to say
//! ([`prescale_chassis::audit`]).

mod outputs;

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, ensure};
use outputs::{Id, Kept, Orphan, Outputs, id_of, shown};
use prescale_bus::dlq::DeadLetter;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_chassis::audit::{Judged, Place, Read};
use prescale_chassis::{Context, Graph, StageEntry};
use prescale_contracts::topics;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);
/// Most records of a fault that are named.
const NAMED_MAX: usize = 3;
/// What the header `ce_source` of our records begins with.
const PRODUCER_PREFIX: &str = "/prescale/";

/// What became of the records that a stage has read, and what it has written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageAccount {
    /// Name of the stage.
    pub stage: String,
    /// Records on its input topic that it is past, each id counted once, without [`Self::others`].
    pub read: u64,
    /// Records on its input topic that it has not come to yet.
    pub unread: u64,
    /// Records on its input topic that it is past and only hears of: no output has to follow from them.
    pub others: u64,
    /// Those read that came to outputs.
    pub followed: u64,
    /// Those in the dead letter queue.
    pub rejected: u64,
    /// Those that have no output, and need none.
    pub without_output: u64,
    /// Why not, with how many each.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Those that lack what should have followed: 0 unless something was lost.
    pub missing: u64,
    /// Records on the input topic with an id that was there before.
    pub repeated_inputs: u64,
    /// Outputs with an id that was there before: 0 unless something was written twice.
    pub repeated_outputs: u64,
    /// Outputs that follow from no record that was ever on the input topic: 0 unless something was made up.
    pub strays: u64,
    /// Outputs whose input may have been removed by retention.
    pub outputs_without_input: u64,
    /// The first records of each fault, and what is wrong with them.
    pub examples: Vec<String>,
    /// Whether its effect is outside the bus, so that only what it has read is known.
    #[serde(skip)]
    pub is_sink: bool,
    /// The reasons that the stage counts as well.
    #[serde(skip)]
    pub counted: Vec<&'static str>,
}

impl StageAccount {
    /// What is wrong, in words; nothing where every record is accounted for.
    pub fn faults(&self) -> Vec<String> {
        let Self { stage, missing, repeated_outputs, strays, .. } = self;
        let named = |what: &str| {
            let of_kind: Vec<&str> = self.examples.iter().filter_map(|e| e.strip_prefix(what)).collect();
            of_kind.join(",")
        };
        let mut faults = Vec::new();
        if *missing > 0 {
            faults.push(format!("{stage} lacks what should follow from {missing} records:{}", named(MISSING)));
        }
        if *repeated_outputs > 0 {
            faults.push(format!("{stage} wrote {repeated_outputs} outputs twice:{}", named(REPEATED)));
        }
        if *strays > 0 {
            faults.push(format!("{strays} outputs of {stage} follow from no input:{}", named(STRAY)));
        }
        faults
    }

    /// Those without output for the reasons that the stage counts as well.
    pub fn counted_without_output(&self) -> u64 {
        self.counted.iter().filter_map(|reason| self.reasons.get(reason)).sum()
    }

    fn judged(&mut self, topic: &str, place: Place, judged: Judged, is_rejected: bool) {
        match judged {
            Judged::Ended if is_rejected => self.rejected += 1,
            Judged::Ended => self.followed += 1,
            Judged::Aside => {
                self.others += 1;
                return;
            }
            Judged::Without(reason) => {
                self.without_output += 1;
                *self.reasons.entry(reason).or_default() += 1;
            }
            Judged::Wrong(why) => {
                self.missing += 1;
                self.example(self.missing, format!("{MISSING} {} ({why})", shown(topic, place)));
            }
            Judged::Open => return,
        }
        self.read += 1;
    }

    /// Names a record that is the `nth` of its fault.
    fn example(&mut self, nth: u64, text: String) {
        if nth <= NAMED_MAX as u64 {
            self.examples.push(text);
        }
    }
}

const MISSING: &str = "missing:";
const REPEATED: &str = "twice:";
const STRAY: &str = "stray:";

/// The accounts of the context's stages, in the order of the data.
///
/// # Errors
/// When a topic is missing, the bus cannot be read, or the shutdown comes first.
pub fn account(bus: &dyn Bus, context: &Context, shutdown: &CancellationToken) -> Result<Vec<StageAccount>> {
    let graph = context.graph.as_ref();
    let of =
        |entry: &StageEntry| Accountant { bus, graph, entry, group: context.group(entry.stage), shutdown }.account();
    graph.stages().iter().map(of).collect()
}

/// What is needed for the account of one stage.
struct Accountant<'a> {
    bus: &'a dyn Bus,
    graph: &'a Graph,
    entry: &'a StageEntry,
    group: String,
    shutdown: &'a CancellationToken,
}

impl Accountant<'_> {
    fn account(&self) -> Result<StageAccount> {
        let (input, is_sink) = (self.entry.input, self.entry.outputs.is_empty());
        let mut account = StageAccount { stage: self.entry.stage.to_owned(), is_sink, ..StageAccount::default() };
        // Before what was written: what a stage is past has its outputs on the log.
        let lags = self.bus.lag(&self.group, input)?;
        let positions: HashMap<u32, i64> = lags.iter().map(|lag| (lag.partition, lag.position)).collect();
        let is_past = |record: &ConsumedRecord| record.offset < positions.get(&record.partition).copied().unwrap_or(0);
        if is_sink {
            self.each(input, |record| *(if is_past(record) { &mut account.read } else { &mut account.unread }) += 1)?;
            return Ok(account);
        }
        let mut outputs = self.outputs()?;
        let rejected = self.rejected()?;
        let (mut audit, mut kept) = ((self.entry.audit)(), Kept::default());
        let (mut seen, mut first): (HashSet<Id>, HashMap<u32, i64>) = (HashSet::new(), HashMap::new());
        self.each(input, |record| {
            first.entry(record.partition).or_insert(record.offset);
            kept.take(record);
            let found = outputs.following(record);
            if !is_past(record) {
                account.unread += 1;
                return;
            }
            if id_of(record).is_some_and(|id| !seen.insert(id)) {
                account.repeated_inputs += 1;
                return;
            }
            let is_rejected = rejected.contains(&Place::of(record));
            let judged = audit.judge(&Read { record, found: &found, is_rejected });
            account.judged(input, Place::of(record), judged, is_rejected && found.is_empty());
        })?;
        let mut closed = audit.close();
        closed.sort_unstable_by_key(|(place, _)| *place);
        for (place, judged) in closed {
            account.judged(input, place, judged, false);
        }
        account.counted = audit.counted().to_vec();
        // A partition without records had some once, if its end is not at its beginning.
        let is_gone = |partition: u32, end: i64| first.get(&partition).map_or(end > 0, |offset| *offset > 0);
        kept.has_lost_its_beginning = lags.iter().any(|lag| is_gone(lag.partition, lag.end));
        told(&mut account, &outputs, &kept);
        Ok(account)
    }

    /// What counts as written by the stage.
    fn outputs(&self) -> Result<Outputs<'_>> {
        let mut outputs = Outputs::of(self.entry);
        for (number, topic) in self.entry.outputs.iter().enumerate() {
            self.each(topic, |record| {
                let source = record.header("ce_source").and_then(|source| std::str::from_utf8(source).ok());
                let producer = source.and_then(|source| source.strip_prefix(PRODUCER_PREFIX));
                if self.graph.is_output_of(self.entry, topic, producer) {
                    outputs.take(number, record);
                }
            })?;
        }
        Ok(outputs)
    }

    /// Where the inputs lay that are the stage's dead letters.
    fn rejected(&self) -> Result<HashSet<Place>> {
        let mut rejected = HashSet::new();
        self.each(&topics::dlq_of(self.entry.input), |record| {
            let letter = DeadLetter::of(record.clone());
            if letter.stage.is_empty() || letter.stage == self.entry.stage {
                rejected.extend(letter.place().map(|(partition, offset)| Place { partition, offset }));
            }
        })?;
        Ok(rejected)
    }

    fn each(&self, topic: &str, mut take: impl FnMut(&ConsumedRecord)) -> Result<()> {
        if self.bus.lag(&self.group, topic)?.iter().all(|lag| lag.end == 0) {
            return Ok(());
        }
        let mut reader = self.bus.reader(topic, ReadFrom::Earliest)?;
        loop {
            ensure!(!self.shutdown.is_cancelled(), "stopped before all of topic {topic:?} was read");
            let (records, caught_up) =
                reader.poll(PAGE_RECORDS, WAIT).with_context(|| format!("cannot read topic {topic:?}"))?;
            records.iter().for_each(&mut take);
            if caught_up == CaughtUp::Yes {
                return Ok(());
            }
        }
    }
}

/// Takes into an account what is wrong with outputs.
fn told(account: &mut StageAccount, outputs: &Outputs<'_>, kept: &Kept) {
    for (nth, place) in (1..).zip(&outputs.repeated) {
        account.repeated_outputs = nth;
        account.example(nth, format!("{REPEATED} {place}"));
    }
    for orphan in outputs.orphans(kept) {
        match orphan {
            Orphan::MayBeRetention => account.outputs_without_input += 1,
            Orphan::Stray(place) => {
                account.strays += 1;
                account.example(account.strays, format!("{STRAY} {place}"));
            }
        }
    }
}

/// The accounts as a table, with the reasons of those without output below it.
pub fn table(accounts: &[StageAccount]) -> String {
    let mut text = format!(
        "{:<32} {:>12} {:>12} {:>10} {:>14} {:>10} {:>10} {:>10} {:>10}\n",
        "stage", "read", "followed", "rejected", "without output", "missing", "repeated", "stray", "unread"
    );
    for a in accounts {
        let repeated = a.repeated_inputs + a.repeated_outputs;
        text += &format!(
            "{:<32} {:>12} {:>12} {:>10} {:>14} {:>10} {:>10} {:>10} {:>10}\n",
            a.stage, a.read, a.followed, a.rejected, a.without_output, a.missing, repeated, a.strays, a.unread
        );
    }
    for a in accounts.iter().filter(|a| !a.reasons.is_empty()) {
        let reasons: Vec<String> = a.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        text += &format!("{}: without output: {}\n", a.stage, reasons.join(", "));
    }
    text
}
