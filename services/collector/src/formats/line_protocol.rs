//! InfluxDB line protocol, as Telegraf writes it: `measurement,tag=a field=1.5,other=2i 1700000000000000000`. Pure; read
//! where it lies. A line that cannot be read says why, and those around it are read.

use super::{METRIC, SeriesValue, metric_of};
use std::borrow::Cow;
use std::fmt;

/// Tags, and fields, of one line.
const PARTS_MAX: usize = 10_000;

/// Unit of the timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Precision {
    /// As it is named in `precision=`; nanoseconds where that is empty.
    ///
    /// # Errors
    /// With what is possible, when it has another name.
    pub fn named(name: &str) -> Result<Self, String> {
        Ok(match name {
            "" | "ns" | "n" => Self::Nanoseconds,
            "us" | "u" | "µ" | "µs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            other => return Err(format!("precision {other:?}: ns, us, ms, s, m and h are possible")),
        })
    }

    /// A timestamp of this unit in milliseconds since 1970; what is between two of them counts as the first.
    pub fn as_ms(self, timestamp: i64) -> i64 {
        match self {
            Self::Nanoseconds => timestamp.div_euclid(1_000_000),
            Self::Microseconds => timestamp.div_euclid(1000),
            Self::Milliseconds => timestamp,
            Self::Seconds => timestamp.saturating_mul(1000),
            Self::Minutes => timestamp.saturating_mul(60_000),
            Self::Hours => timestamp.saturating_mul(3_600_000),
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A finite number.
    Float(f64),
    /// Ends with `i`.
    Integer(i64),
    /// Ends with `u`.
    Unsigned(u64),
    /// `t`, `true`, `f`, `false` and the like.
    Boolean(bool),
    /// In quotes.
    Text(Cow<'a, str>),
}

impl FieldValue<'_> {
    /// As a number: 1 and 0 for true and false; `None` for a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Text(_) => None,
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// What was measured.
    pub measurement: Cow<'a, str>,
    /// Names and values, in the order that they have there.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// At least one.
    pub fields: Vec<(Cow<'a, str>, FieldValue<'a>)>,
    /// In the unit of the message; `None` where the line has none.
    pub timestamp: Option<i64>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.why)
    }
}

/// The lines of a message with their numbers, without comments and empty ones.
pub fn lines(message: &[u8]) -> Lines<'_> {
    Lines { rest: message, number: 0 }
}

/// See [`lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    /// Of the line before `rest`.
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, Result<Line<'a>, BadLine>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            self.number += 1;
            let number = self.number;
            let mut scan = Scan { rest: self.rest };
            scan.skip(b" \t");
            if matches!(scan.peek(), None | Some(b'\n' | b'#')) || scan.is_at_end_of_line() {
                self.rest = behind_line(self.rest);
                continue;
            }
            let read = scan.line().and_then(|line| if scan.ends_line() { Ok(line) } else { Err(BEHIND) });
            return Some(match read {
                Ok(line) => {
                    let read = self.rest.len() - scan.rest.len();
                    let (taken, behind) = self.rest.split_at(read);
                    // Texts in quotes may have ends of lines in them.
                    let ends = taken.iter().filter(|byte| **byte == b'\n').count();
                    self.number += if taken.last() == Some(&b'\n') { ends - 1 } else { ends };
                    self.rest = behind;
                    (number, Ok(line))
                }
                Err(why) => {
                    self.rest = behind_line(self.rest);
                    (number, Err(BadLine { number, why }))
                }
            });
        }
    }
}

const BEHIND: &str = "something follows where the line should end";

fn behind_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    end.and_then(|end| bytes.get(end + 1..)).unwrap_or_default()
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Goes past a byte if it is the next one.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn skip(&mut self, bytes: &[u8]) {
        let length = self.rest.iter().position(|byte| !bytes.contains(byte)).unwrap_or(self.rest.len());
        self.rest = &self.rest[length..];
    }

    fn is_at_end_of_line(&self) -> bool {
        matches!(self.rest, [] | [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..])
    }

    /// Goes past the end of the line if that is next.
    fn ends_line(&mut self) -> bool {
        if !self.is_at_end_of_line() {
            return false;
        }
        self.takes(b'\r');
        self.takes(b'\n');
        true
    }

    fn line(&mut self) -> Result<Line<'a>, &'static str> {
        let measurement = self.name(b", ", b", ")?;
        if measurement.is_empty() {
            return Err("it has no measurement");
        }
        let mut tags = Vec::new();
        while self.takes(b',') {
            let tag = self.name(b",= ", b",= ")?;
            if tag.is_empty() || !self.takes(b'=') {
                return Err("a tag has no name or no value: give name=value");
            }
            let value = self.name(b",= ", b",= ")?;
            if value.is_empty() {
                return Err("a tag has no value");
            }
            push(&mut tags, (tag, value))?;
        }
        if !self.takes(b' ') {
            return Err("it has no fields");
        }
        self.skip(b" ");
        let mut fields = Vec::new();
        loop {
            let field = self.name(b",= ", b",= ")?;
            if field.is_empty() || !self.takes(b'=') {
                return Err("a field has no name or no value: give name=value");
            }
            let value = self.value()?;
            push(&mut fields, (field, value))?;
            if !self.takes(b',') {
                break;
            }
        }
        let has_gap = self.peek() == Some(b' ');
        self.skip(b" ");
        let timestamp = if has_gap && !self.is_at_end_of_line() { Some(self.timestamp()?) } else { None };
        self.skip(b" ");
        Ok(Line { measurement, tags, fields, timestamp })
    }

    fn timestamp(&mut self) -> Result<i64, &'static str> {
        let token = self.token();
        let timestamp = std::str::from_utf8(token).ok().and_then(|text| text.parse().ok());
        timestamp.ok_or("the timestamp is no whole number")
    }

    /// What comes before a blank, a comma or the end of the line.
    fn token(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| matches!(byte, b' ' | b',' | b'\n' | b'\r'));
        let (token, behind) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = behind;
        token
    }

    /// A name up to one of `ends`, in which a backslash before one of `escaped` takes its meaning away.
    fn name(&mut self, ends: &[u8], escaped: &[u8]) -> Result<Cow<'a, str>, &'static str> {
        let (mut length, mut has_escapes) = (0, false);
        while let Some(byte) = self.rest.get(length) {
            match byte {
                b'\\' if self.rest.get(length + 1).is_some_and(|next| escaped.contains(next)) => {
                    has_escapes = true;
                    length += 2;
                }
                b'\n' => break,
                byte if ends.contains(byte) => break,
                _ => length += 1,
            }
        }
        let (name, behind) = self.rest.split_at(length);
        self.rest = behind;
        text(name, if has_escapes { escaped } else { b"" })
    }

    fn value(&mut self) -> Result<FieldValue<'a>, &'static str> {
        if self.takes(b'"') {
            return self.quoted().map(FieldValue::Text);
        }
        let token = std::str::from_utf8(self.token()).map_err(|_| NO_UTF8)?;
        match token {
            "t" | "T" | "true" | "True" | "TRUE" => return Ok(FieldValue::Boolean(true)),
            "f" | "F" | "false" | "False" | "FALSE" => return Ok(FieldValue::Boolean(false)),
            "" => return Err("a field has no value"),
            _ => {}
        }
        if let Some(digits) = token.strip_suffix('i') {
            return digits.parse().map(FieldValue::Integer).map_err(|_| NO_NUMBER);
        }
        if let Some(digits) = token.strip_suffix('u') {
            return digits.parse().map(FieldValue::Unsigned).map_err(|_| NO_NUMBER);
        }
        // `inf` and `nan` are numbers for Rust.
        let is_plain = token.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let number = token.parse().ok().filter(|number: &f64| is_plain && number.is_finite());
        number.map(FieldValue::Float).ok_or(NO_NUMBER)
    }

    /// The rest of a text up to its closing quote.
    fn quoted(&mut self) -> Result<Cow<'a, str>, &'static str> {
        let (mut length, mut has_escapes) = (0, false);
        loop {
            match self.rest.get(length) {
                None => return Err("a quote is not closed"),
                Some(b'"') => break,
                Some(b'\\') if matches!(self.rest.get(length + 1), Some(b'"' | b'\\')) => {
                    has_escapes = true;
                    length += 2;
                }
                Some(_) => length += 1,
            }
        }
        let (quoted, behind) = self.rest.split_at(length);
        self.rest = &behind[1..];
        text(quoted, if has_escapes { b"\"\\" } else { b"" })
    }
}

const NO_UTF8: &str = "it is not UTF-8";
const NO_NUMBER: &str = "a value is neither a number, nor true or false, nor a text in quotes";

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), &'static str> {
    if list.len() >= PARTS_MAX {
        return Err("it has more tags or fields than are read");
    }
    list.push(item);
    Ok(())
}

/// The text without the backslashes before one of `escaped`.
fn text<'a>(bytes: &'a [u8], escaped: &[u8]) -> Result<Cow<'a, str>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| NO_UTF8)?;
    if escaped.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let is_escaped = |c: char| u8::try_from(c).is_ok_and(|byte| escaped.contains(&byte));
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().filter(|next| character == '\\' && is_escaped(*next));
        plain.push(next.unwrap_or(character));
        if next.is_some() {
            characters.next();
        }
    }
    Ok(Cow::Owned(plain))
}

/// Gives each field that is a number to `take` as a value of a series: its metric is called `MEASUREMENT_FIELD` (the field
/// alone where the measurement is `prometheus`), its labels are the tags. A line without a timestamp is of `now_ms`.
pub fn each_value(line: &Line<'_>, precision: Precision, now_ms: i64, mut take: impl FnMut(&SeriesValue<'_>)) {
    let at_ms = line.timestamp.map_or(now_ms, |timestamp| precision.as_ms(timestamp));
    for (field, value) in &line.fields {
        let Some(value) = value.number() else { continue };
        let metric = metric_of(&line.measurement, field);
        let tags = line.tags.iter().map(|(name, value)| (&**name, &**value));
        let labels = [(METRIC, &*metric)].into_iter().chain(tags).collect();
        take(&SeriesValue { labels, at_ms, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = Vec<(usize, Result<Line<'static>, String>)>;

    /// The lines, or why they cannot be read.
    fn read(message: &'static [u8]) -> Read {
        lines(message).map(|(number, line)| (number, line.map_err(|bad| bad.to_string()))).collect()
    }

    fn line(message: &'static str) -> Line<'static> {
        let mut all = read(message.as_bytes());
        assert_eq!(all.len(), 1, "{message}");
        all.remove(0).1.unwrap()
    }

    fn why(message: &'static str) -> String {
        let mut all = read(message.as_bytes());
        assert_eq!(all.len(), 1, "{message}");
        all.remove(0).1.unwrap_err()
    }

    #[test]
    fn a_line_of_telegrafs_is_read() {
        let line = line(
            "cpu,cpu=cpu-total,host=vm-1 usage_idle=98.5,usage_user=1e0,n=3i,big=18446744073709551615u,up=t 1700000000000000000\n",
        );
        assert_eq!(line.measurement, "cpu");
        assert_eq!(
            line.tags,
            [("cpu", "cpu-total"), ("host", "vm-1")].map(|(tag, value)| (Cow::from(tag), Cow::from(value)))
        );
        let fields = [
            ("usage_idle", FieldValue::Float(98.5)),
            ("usage_user", FieldValue::Float(1.0)),
            ("n", FieldValue::Integer(3)),
            ("big", FieldValue::Unsigned(u64::MAX)),
            ("up", FieldValue::Boolean(true)),
        ];
        assert_eq!(line.fields, fields.map(|(name, value)| (Cow::from(name), value)));
        assert_eq!(line.timestamp, Some(1_700_000_000_000_000_000));
    }

    #[test]
    fn what_is_escaped_is_part_of_the_name_and_any_other_backslash_stays() {
        let line = line(r#"a\ b\,c\d=,t\=\ \,x=C:\dir\ e f\=g="say \"hi\" \\ \n",h="a b,c=d" 1"#);
        assert_eq!(line.measurement, r"a b,c\d=");
        assert_eq!(line.tags, [(Cow::from("t= ,x"), Cow::from(r"C:\dir e"))]);
        let texts = [("f=g", r#"say "hi" \ \n"#), ("h", "a b,c=d")];
        assert_eq!(line.fields, texts.map(|(name, text)| (Cow::from(name), FieldValue::Text(text.into()))));
    }

    #[test]
    fn comments_and_empty_lines_count_as_lines_and_a_text_may_have_several() {
        let all = read(b"# a comment\r\n\n  \nm f=1\r\nm f=\"a\nb\" 5\nm f=2 7  \nm f=3");
        let said: Vec<_> = all.iter().map(|(number, line)| (*number, line.as_ref().unwrap().timestamp)).collect();
        assert_eq!(said, [(4, None), (5, Some(5)), (7, Some(7)), (8, None)]);
    }

    #[test]
    fn a_bad_line_loses_no_other() {
        let all = read(b"m f=1\nm f=\"open\nm\nm f=\xff\nm f=2\n");
        let said: Vec<_> =
            all.iter().map(|(number, line)| (*number, line.as_ref().err().map(String::as_str))).collect();
        let bad =
            [(2, "line 2: a quote is not closed"), (3, "line 3: it has no fields"), (4, "line 4: it is not UTF-8")];
        assert_eq!(said, [(1, None), (bad[0].0, Some(bad[0].1)), (3, Some(bad[1].1)), (4, Some(bad[2].1)), (5, None)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (message, said) in [
            (",a=b f=1", "no measurement"),
            ("m", "no fields"),
            ("m,a f=1", "a tag has no name or no value"),
            ("m,a= f=1", "a tag has no value"),
            ("m f", "a field has no name or no value"),
            ("m f=", "a field has no value"),
            ("m f=NaN", "neither a number"),
            ("m f=1e999", "neither a number"),
            ("m f=9223372036854775808i", "neither a number"),
            ("m f=-1u", "neither a number"),
            ("m f=1 x", "the timestamp is no whole number"),
            ("m f=1 5 6", BEHIND),
            ("m f=\"a\"b", BEHIND),
        ] {
            assert!(why(message).contains(said), "{message}: {}", why(message));
        }
    }

    #[test]
    fn timestamps_come_in_units() {
        for (name, timestamp) in [
            ("", 1_700_000_040_000_000_999),
            ("ns", 1_700_000_040_000_000_999),
            ("us", 1_700_000_040_000_999),
            ("u", 1_700_000_040_000_000),
            ("ms", 1_700_000_040_000),
            ("s", 1_700_000_040),
            ("m", 28_333_334),
        ] {
            assert_eq!(Precision::named(name).unwrap().as_ms(timestamp), 1_700_000_040_000, "{name}");
        }
        assert_eq!(Precision::Hours.as_ms(2), 7_200_000);
        assert_eq!(Precision::Nanoseconds.as_ms(-1), -1, "before 1970");
        assert!(Precision::named("d").unwrap_err().contains("ns, us"));
    }

    #[test]
    fn each_number_is_a_value_of_a_series() {
        let mut said = Vec::new();
        let mut take = |value: &SeriesValue<'_>| {
            let labels: Vec<String> = value.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            said.push((labels.join(" "), value.at_ms, value.value));
        };
        each_value(&line("disk,host=a used=5i,mode=\"rw\",ro=f 7"), Precision::Seconds, 1, &mut take);
        each_value(&line("prometheus,host=a up=1"), Precision::Seconds, 1, &mut take);
        let wanted = [
            ("__name__=disk_used host=a", 7000, 5.0),
            ("__name__=disk_ro host=a", 7000, 0.0),
            ("__name__=up host=a", 1, 1.0),
        ];
        assert_eq!(said, wanted.map(|(labels, at_ms, value)| (labels.to_owned(), at_ms, value)));
    }

    fn written(line: &Line<'_>) -> String {
        let escaped = |text: &str, which: &str| -> String {
            text.chars().flat_map(|c| which.contains(c).then_some('\\').into_iter().chain([c])).collect()
        };
        let name = |text: &str| escaped(text, ",= ");
        let tags: String = line.tags.iter().map(|(tag, value)| format!(",{}={}", name(tag), name(value))).collect();
        let value = |value: &FieldValue<'_>| match value {
            FieldValue::Float(value) => format!("{value:?}"),
            FieldValue::Integer(value) => format!("{value}i"),
            FieldValue::Unsigned(value) => format!("{value}u"),
            FieldValue::Boolean(value) => value.to_string(),
            FieldValue::Text(text) => format!("\"{}\"", escaped(text, "\"\\")),
        };
        let fields: Vec<String> =
            line.fields.iter().map(|(field, held)| format!("{}={}", name(field), value(held))).collect();
        let timestamp = line.timestamp.map(|timestamp| format!(" {timestamp}")).unwrap_or_default();
        format!("{}{tags} {}{timestamp}", escaped(&line.measurement, ", "), fields.join(","))
    }

    /// Names may have everything but ends of lines; a backslash is not written as one of two, so there is none here.
    const NAME: &str = "[a-z,= ä\"]{1,6}";

    prop_compose! {
        fn any_line()(
            measurement in "[a-z][a-z,= ä\"]{0,5}",
            tags in prop::collection::vec((NAME, NAME), 0..4),
            fields in prop::collection::vec((NAME, prop_oneof![
                any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(FieldValue::Float),
                any::<i64>().prop_map(FieldValue::Integer),
                any::<u64>().prop_map(FieldValue::Unsigned),
                any::<bool>().prop_map(FieldValue::Boolean),
                "[a-z\"\\\\ ,=\n]{0,6}".prop_map(|text| FieldValue::Text(text.into())),
            ]), 1..4),
            timestamp in any::<Option<i64>>(),
        ) -> Line<'static> {
            let tags = tags.into_iter().map(|(tag, value)| (tag.into(), value.into())).collect();
            let fields = fields.into_iter().map(|(field, value)| (field.into(), value)).collect();
            Line { measurement: measurement.into(), tags, fields, timestamp }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(any_line(), 0..5)) {
            let message: String = all.iter().map(|line| written(line) + "\n").collect();
            let read: Vec<Line<'_>> = lines(message.as_bytes()).map(|(_, line)| line.unwrap()).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn a_message_from_anywhere_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let numbers: Vec<usize> = lines(&bytes).map(|(number, _)| number).collect();
            prop_assert!(numbers.is_sorted());
        }

        #[test]
        fn a_line_of_nonsense_loses_no_other(line in any_line(), nonsense in "[a-z=, \\\\]{0,20}") {
            let message = format!("{nonsense}\n{}\n", written(&line));
            let last = lines(message.as_bytes()).last();
            prop_assert_eq!(last.map(|(_, line)| line), Some(Ok(line)));
        }
    }
}
