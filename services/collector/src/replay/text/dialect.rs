//! How a text file is written: what stands between its fields, and what its columns are called. Found from its first
//! lines where it was not set.

use super::super::form::{Header, Layout, TextForm};
use super::super::mapping::Mapping;
use super::instant::looks_like_one;
use super::number::{self, Sign};
use super::open::{open, text_of};
use super::survey::SHOWN_CHARACTERS;
use anyhow::{Context as _, Result, bail, ensure};
use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use std::io::Read;
use std::path::Path;

/// So much of a file tells its dialect.
const SAMPLE_BYTES: u64 = 256 << 10;
const SAMPLE_RECORDS: usize = 200;
/// By so much less, in thousandths, a separator counts by which lines stand before the table.
const PREFACE_COST: usize = 200;
/// The likeliest first.
const CANDIDATES: [u8; 4] = [b';', b',', b'\t', b'|'];

/// The dialect of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between fields.
    pub(super) separator: u8,
    /// Records before the first of values: the header, what stands before that, and a word to spreadsheets.
    pub(super) skipped: usize,
    /// How many stand before the table, such as a title, and with what the first of them begins.
    pub(super) preface: Option<(usize, String)>,
    /// The columns' names, none twice.
    pub(super) columns: Vec<String>,
    /// Whether the file itself has no names for them.
    pub(super) is_headerless: bool,
}

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    Number,
    Instant,
    Word,
}

impl Kind {
    fn of(field: &[u8]) -> Self {
        let text = text_of(field);
        if text.is_empty() || number::is_missing(&text) {
            Self::Missing
        } else if [Sign::Point, Sign::Comma].iter().any(|sign| number::parse(&text, *sign).is_some()) {
            Self::Number
        } else if looks_like_one(&text) {
            Self::Instant
        } else {
            Self::Word
        }
    }
}

/// A reader of the records of a text.
pub(super) fn records<R: Read>(text: R, separator: u8) -> Reader<R> {
    ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).trim(Trim::All).from_reader(text)
}

/// Finds the dialect of a file that is to be read under a mapping, which may be empty.
///
/// # Errors
/// When it cannot be read, or holds nothing.
pub(super) fn find(path: &Path, mapping: &Mapping) -> Result<Dialect> {
    let mut head = Vec::new();
    let shown = || format!("[collector.replay] file = \"{}\"", path.display());
    open(path)?
        .take(SAMPLE_BYTES)
        .read_to_end(&mut head)
        .with_context(|| format!("{}: it cannot be unpacked", shown()))?;
    of_sample(&head, mapping).with_context(shown)
}

fn of_sample(head: &[u8], mapping: &Mapping) -> Result<Dialect> {
    let form = &mapping.text;
    // Spreadsheets are told their separator by a first line such as `sep=;`.
    let told = head.strip_prefix(b"sep=").filter(|rest| matches!(rest.get(1), Some(b'\r' | b'\n')));
    let separator = match (form.separator_byte()?, told) {
        (Some(set), _) => set,
        (None, Some(rest)) => rest[0],
        (None, None) => likeliest(head),
    };
    let told = usize::from(told.is_some());
    let sample: Vec<ByteRecord> = sample(head, separator).into_iter().skip(told).collect();
    let (preface, sample) = sample.split_at(preface_of(form, &sample));
    let Some((first, others)) = sample.split_first() else { bail!("it is empty") };
    let is_headerless = is_headerless(form, first, others);
    let columns = if is_headerless { names_without_header(first, mapping) } else { names_in_header(first) };
    let (skipped, width) = (told + preface.len() + usize::from(!is_headerless), columns.len());
    let begin =
        |record: &ByteRecord| record.get(0).map(|field| text_of(field).chars().take(SHOWN_CHARACTERS).collect());
    let preface = preface.first().map(|first| (preface.len(), begin(first).unwrap_or_default()));
    ensure!(
        form.layout == Layout::Rows || width > 1,
        "[collector.replay.mapping.text] layout = \"columns\" needs a column of instants and others of values, and it \
         has one column"
    );
    Ok(Dialect { separator, skipped, preface, columns, is_headerless })
}

/// The first records; the last one is left out where it may be cut.
fn sample(head: &[u8], separator: u8) -> Vec<ByteRecord> {
    let mut sample: Vec<ByteRecord> =
        records(head, separator).into_byte_records().take(SAMPLE_RECORDS).filter_map(Result::ok).collect();
    let may_be_cut = head.len() as u64 == SAMPLE_BYTES && sample.len() < SAMPLE_RECORDS;
    if may_be_cut && sample.len() > 1 {
        sample.pop();
    }
    sample
}

/// Whether a record is a comment, or has one field where a table has more.
fn stands_alone(record: &ByteRecord) -> bool {
    is_comment(record) || record.len() < 2
}

fn is_comment(record: &ByteRecord) -> bool {
    record.get(0).is_some_and(|field| field.starts_with(b"#"))
}

/// How many records stand before the table: comments, and lines of one field where the header behind them has more. A
/// comment that has as many fields as the values right behind it is the header.
fn preface_of(form: &TextForm, sample: &[ByteRecord]) -> usize {
    let count = sample.iter().take_while(|record| stands_alone(record)).count();
    let comments = sample.iter().take_while(|record| is_comment(record)).count();
    let Some((next, others)) = sample[count..].split_first() else { return 0 };
    if form.header == Header::No || !holds_values(next, others) {
        return count;
    }
    let is_header = |comment: &ByteRecord| comment.len() == next.len();
    if count == comments && sample[..count].last().is_some_and(is_header) { count - 1 } else { comments }
}

/// The separator by which most records have as many fields as the table's first one.
fn likeliest(head: &[u8]) -> u8 {
    let alike = |separator: u8| {
        let sample = sample(head, separator);
        let alone = sample.iter().take_while(|record| stands_alone(record)).count();
        let width = sample.get(alone).map_or(0, ByteRecord::len);
        let alike = sample[alone..].iter().filter(|record| record.len() == width).count();
        let cost = if alone > 0 { PREFACE_COST } else { 0 };
        // One field is what every other separator gives.
        if width < 2 { 0 } else { (1000 * alike / sample.len()).saturating_sub(cost) }
    };
    let best = CANDIDATES.into_iter().rev().max_by_key(|separator| alike(*separator));
    best.filter(|separator| alike(*separator) > 0).unwrap_or(b',')
}

/// Whether the first record is of values, as is said or as it looks.
fn is_headerless(form: &TextForm, first: &ByteRecord, others: &[ByteRecord]) -> bool {
    match form.header {
        Header::Yes => false,
        Header::No => true,
        Header::Auto => holds_values(first, others),
    }
}

/// Whether a record holds values: each of the kind that its column has below, and one at least no word.
fn holds_values(first: &ByteRecord, others: &[ByteRecord]) -> bool {
    let kinds: Vec<Kind> = first.iter().map(Kind::of).collect();
    let is_alike = |(place, kind): (usize, &Kind)| {
        let below = others.iter().filter_map(|record| record.get(place)).map(Kind::of);
        let mut below = below.filter(|kind| *kind != Kind::Missing);
        *kind == Kind::Missing || below.next().is_some_and(|below| below == *kind)
    };
    kinds.iter().any(|kind| matches!(kind, Kind::Number | Kind::Instant)) && kinds.iter().enumerate().all(is_alike)
}

/// Names where there are none: the values of the first record, where the mapping calls the columns by them, or else
/// their numbers.
fn names_without_header(first: &ByteRecord, mapping: &Mapping) -> Vec<String> {
    let values = names_of(first);
    let numbers: Vec<String> = (1..=first.len()).map(|number| format!("column_{number}")).collect();
    let uses = |names: &[String]| {
        names.iter().any(|name| mapping.expressions().any(|text| text == name || text.contains(&format!("\"{name}\""))))
    };
    let names_values = uses(&values) && !mapping.expressions().any(|text| text.contains("column_"));
    if names_values { values } else { numbers }
}

/// The fields as names; those that are empty or there twice get a number.
fn names_of(header: &ByteRecord) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (place, field) in header.iter().enumerate() {
        let name = text_of(field).into_owned();
        let name = if name.is_empty() { format!("column_{}", place + 1) } else { name };
        let mut unique = (1..).map(|nth| if nth == 1 { name.clone() } else { format!("{name}_{nth}") });
        let unique = unique.find(|name| !names.contains(name));
        names.extend(unique);
    }
    names
}

/// As [`names_of`]; a separator at the end of the line is no column.
fn names_in_header(header: &ByteRecord) -> Vec<String> {
    let mut names = names_of(header);
    if names.len() > 1 && header.iter().next_back().is_some_and(<[u8]>::is_empty) {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Dialect {
        of_sample(text.as_bytes(), &Mapping::default()).unwrap()
    }

    fn columns(text: &str) -> Vec<String> {
        found(text).columns
    }

    #[test]
    fn separators_are_found() {
        for (text, separator) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2,5\n3,5;4,5\n", b';'),
            ("\"S\";\"T\";\"V\"\n\"x\";\"t\";1,721,992.5\n", b';'),
            ("ts;\tvm;\tcpu\n1;\ta;\t2\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("sep=|\r\na,b|c\r\n1|2\r\n", b'|'),
            ("t,max,mean\n1,0,5,0,7\n2,0,5,0,7\n", b','),
            ("alone\n1\n", b','),
        ] {
            assert_eq!(found(text).separator, separator, "{text}");
        }
        assert_eq!(columns("ts;\tvm;\tcpu\n1;\ta;\t2\n"), ["ts", "vm", "cpu"]);
        assert_eq!(columns("sep=|\na,b|c\n1|2\n"), ["a,b", "c"]);
        assert_eq!(columns("a,a,\n1,2,\n"), ["a", "a_2"]);
        assert!(of_sample(b"", &Mapping::default()).is_err());
    }

    #[test]
    fn what_stands_before_the_table_is_passed_over() {
        let table = "t,vm,cpu\n1709510400,a,1.5\n1709510700,a,1.6\n";
        let annotated = "#group,false,true\n#datatype,long,double\n,_time,_value\n,2024-03-04T00:00:00Z,0.5\n";
        for (text, skipped, preface, names) in [
            (format!("Metric: CPU\nExported 2024-03-05\n\n{table}"), 3, Some((2, "Metric: CPU")), ["t", "vm", "cpu"]),
            (format!("# exported; by x\n# y\n{table}"), 3, Some((2, "# exported; by x")), ["t", "vm", "cpu"]),
            (annotated.to_owned(), 3, Some((2, "#group")), ["column_1", "_time", "_value"]),
            (format!("#{table}"), 1, None, ["#t", "vm", "cpu"]),
            (format!("# y\n#{table}"), 2, Some((1, "# y")), ["#t", "vm", "cpu"]),
            (table.to_owned(), 1, None, ["t", "vm", "cpu"]),
        ] {
            let dialect = found(&text);
            let told = dialect.preface.as_ref().map(|(count, begin)| (*count, begin.as_str()));
            assert_eq!((dialect.separator, dialect.skipped, told), (b',', skipped, preface), "{text}");
            assert_eq!(dialect.columns, names, "{text}");
        }
        // Its header is of one field: that is no title.
        assert_eq!(found("mean\n1,5\n2,5\n").skipped, 1);
        assert_eq!(found("mean\n1,5\n2,5\n").columns, ["mean"]);
        let told = |mapping: &str, text: &str| of_sample(text.as_bytes(), &Mapping::parse(mapping).unwrap()).unwrap();
        assert_eq!(told("header=yes", &format!("#{table}")).columns, ["#t", "vm", "cpu"]);
        assert_eq!(told("header=no", "# y\n1,a,2\n3,a,4\n").skipped, 1);
    }

    #[test]
    fn a_first_line_of_values_is_no_header() {
        let data = "0,kQ7/tP==,5.03\n300,Zr5+eL==,5.05\n";
        let of = |mapping: &str| of_sample(data.as_bytes(), &Mapping::parse(mapping).unwrap()).unwrap();
        let numbered = of("entity=column_2,time=column_1,cpu=column_3 / 100.0");
        assert_eq!((numbered.is_headerless, numbered.skipped), (true, 0));
        assert_eq!(numbered.columns, ["column_1", "column_2", "column_3"]);
        let by_values = of("entity=\"kQ7/tP==\",time=\"0\",cpu=\"5.03\" / 100.0");
        assert_eq!((by_values.skipped, by_values.columns), (0, ["0", "kQ7/tP==", "5.03"].map(str::to_owned).to_vec()));
        for header in ["ts,vm,cpu\n0,a,1\n", "Time,101,102\n2024-01-01T00:00:00Z,1,2\n", "vm,kind\na,b\n"] {
            assert!(!found(header).is_headerless, "{header}");
        }
        let told = Mapping::parse("header=no").unwrap();
        assert_eq!(of_sample(b"vm,kind\na,b\n", &told).unwrap().columns, ["column_1", "column_2"]);
    }
}
