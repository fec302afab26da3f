//! One dead letter: what its headers say of it, and the record that it was.

use super::{HEADER_PREFIX, topic_of_dlq};
use crate::record::{ConsumedRecord, OutputRecord};

/// A record of a dead letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record as it lies in the queue.
    pub record: ConsumedRecord,
    /// Stage that rejected it; empty when no header says so.
    pub stage: String,
    /// Code of the reason, such as `undecodable`; empty when no header says so.
    pub code: String,
    /// The reason in words.
    pub message: String,
}

/// Which letters are meant; what is `None` admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Code of the reason.
    pub code: Option<String>,
    /// Stage that rejected.
    pub stage: Option<String>,
}

impl LetterFilter {
    /// Whether the letter is meant.
    pub fn admits(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        is(&self.code, &letter.code) && is(&self.stage, &letter.stage)
    }
}

impl DeadLetter {
    /// Of a record of a dead letter queue.
    pub fn of(record: ConsumedRecord) -> Self {
        let text = |name: &str| {
            let value = record.header(&format!("{HEADER_PREFIX}{name}")).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let (stage, code, message) = (text("stage"), text("class.name"), text("exception.message"));
        Self { record, stage, code, message }
    }

    /// Partition and offset that the record had in the topic that it came from, where its headers say so; `None` of a
    /// message of others, which came from another topic than the queue's.
    pub fn place(&self) -> Option<(u32, i64)> {
        let came_from = self.record.header(&format!("{HEADER_PREFIX}topic"));
        let own = topic_of_dlq(&self.record.topic);
        if came_from.is_some_and(|topic| Some(topic) != own.map(str::as_bytes)) {
            return None;
        }
        let number = |name: &str| -> Option<i64> {
            std::str::from_utf8(self.record.header(&format!("{HEADER_PREFIX}{name}"))?).ok()?.parse().ok()
        };
        Some((u32::try_from(number("partition")?).ok()?, number("offset")?))
    }

    /// The record that was rejected, for the topic that it came from: key, bytes and headers as they
    /// were.
    ///
    /// # Errors
    /// With the reason when it cannot be written back.
    pub fn original(&self) -> Result<OutputRecord, String> {
        let queue = &self.record.topic;
        let topic = topic_of_dlq(queue).ok_or_else(|| format!("{queue} is no dead letter queue"))?;
        if let Some(said) = self.record.header(&format!("{HEADER_PREFIX}topic"))
            && said != topic.as_bytes()
        {
            return Err(format!("its headers say that it came from {}, not {topic}", String::from_utf8_lossy(said)));
        }
        let key = self.record.key.clone().ok_or("it has no key, and every record of Prescale's topics needs one")?;
        let headers = self.record.headers.iter().filter(|h| !h.name.starts_with(HEADER_PREFIX)).cloned().collect();
        Ok(OutputRecord { topic: topic.into(), key, value: self.record.value.clone(), headers })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{dead_letter, foreign_letter};
    use super::*;
    use crate::record::Header;
    use crate::stage::Rejection;

    fn rejected() -> ConsumedRecord {
        ConsumedRecord {
            topic: "raw-kpis".into(),
            partition: 2,
            offset: 7,
            appended_at_ms: 5,
            key: Some(b"web-1".to_vec()),
            value: Some(vec![0, 9, 255]),
            headers: vec![Header { name: "ce_id".into(), value: vec![1_u8].into() }],
        }
    }

    fn letter() -> DeadLetter {
        let rejection = Rejection { code: "late", message: "3 steps too late".to_owned() };
        let write = dead_letter("fingerprinter", &rejected(), &rejection);
        DeadLetter::of(ConsumedRecord {
            topic: write.topic,
            key: write.key,
            value: write.value,
            headers: write.headers,
            ..rejected()
        })
    }

    #[test]
    fn a_letter_says_why_and_gives_the_record_back() {
        let letter = letter();
        assert_eq!((letter.stage.as_str(), letter.code.as_str()), ("fingerprinter", "late"));
        assert_eq!(letter.message, "3 steps too late");
        let was = rejected();
        let original =
            OutputRecord { topic: was.topic, key: b"web-1".to_vec(), value: was.value, headers: was.headers };
        assert_eq!(letter.original(), Ok(original));
    }

    #[test]
    fn a_message_of_others_says_where_it_lay_and_is_no_record_of_the_queues_topic() {
        let rejection = Rejection { code: "unreadable", message: "no JSON".to_owned() };
        let message = ConsumedRecord { topic: "metrics".into(), key: None, ..rejected() };
        let written = foreign_letter("kafka-topic:theirs", "raw-points", &message, &rejection).read_at(0, 0);
        assert_eq!(&*written.topic, "raw-points.dlq");
        let header = |name: &str| written.header(&format!("{HEADER_PREFIX}{name}")).map(<[u8]>::to_vec);
        assert_eq!(header("topic"), Some(b"metrics".to_vec()));
        assert_eq!((header("partition"), header("offset")), (Some(b"2".to_vec()), Some(b"7".to_vec())));
        let letter = DeadLetter::of(written.clone());
        assert_eq!((letter.stage.as_str(), letter.code.as_str()), ("kafka-topic:theirs", "unreadable"));
        assert_eq!(letter.place(), None, "it hides no record of raw-points");
        assert!(letter.original().is_err());
        assert_eq!(self::letter().place(), Some((2, 7)));
    }

    #[test]
    fn a_message_of_others_cannot_say_where_it_lay_and_is_left_out_where_it_is_too_large() {
        let header = |name: &str, value: &[u8]| Header { name: name.to_owned().into(), value: value.to_vec().into() };
        let headers = vec![header("__connect.errors.topic", b"raw-points"), header("trace", b"1")];
        let rejection = Rejection { code: "unreadable", message: "é".repeat(5000) };
        let message = ConsumedRecord { topic: "metrics".into(), headers, ..rejected() };
        let letter = DeadLetter::of(foreign_letter("s", "raw-points", &message, &rejection).read_at(0, 0));
        assert_eq!((letter.place(), letter.record.header("trace")), (None, Some(&b"1"[..])));
        assert_eq!((letter.record.value.clone(), letter.message.chars().count()), (message.value.clone(), 1000));
        let large = ConsumedRecord { value: Some(vec![0; 1_000_000]), ..message };
        let letter = DeadLetter::of(foreign_letter("s", "raw-points", &large, &rejection).read_at(0, 0));
        assert_eq!((letter.record.value.as_deref(), letter.record.header("trace")), (None, None));
        assert!(letter.message.contains("bytes, too many"), "{}", letter.message);
    }

    #[test]
    fn a_filter_admits_what_it_names() {
        let of = |code: Option<&str>, stage: Option<&str>| LetterFilter {
            code: code.map(str::to_owned),
            stage: stage.map(str::to_owned),
        };
        assert!(LetterFilter::default().admits(&letter()));
        assert!(of(Some("late"), Some("fingerprinter")).admits(&letter()));
        assert!(!of(Some("late"), Some("planner")).admits(&letter()));
        assert!(!of(Some("undecodable"), None).admits(&letter()));
    }

    #[test]
    fn what_came_from_elsewhere_or_has_no_key_cannot_go_back() {
        let mut foreign = letter();
        foreign.record.topic = "actions.dlq".into();
        assert!(foreign.original().unwrap_err().contains("raw-kpis"));
        let mut keyless = letter();
        keyless.record.key = None;
        assert!(keyless.original().unwrap_err().contains("no key"));
        let mut bare = letter();
        bare.record.headers.clear();
        assert!(bare.original().is_ok(), "a letter without headers goes to its queue's topic");
    }
}
