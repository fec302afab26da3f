//! Records under a schema registry's ids. Within the process every record has the ids of
//! `schemas/ids.json`; here is how one under other ids, or by another team's version of a schema,
//! becomes such a record. It must not know how a registry is asked.

use crate::codec::{all_read, read_name, unframe};
use crate::error::ContractError;
use crate::registry::{self, Registered, UNUSABLE};
use crate::topics::subject_of;
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

const ID: std::ops::Range<usize> = 1..5;

/// Schema id of a record in Confluent framing; `None` for other bytes.
pub fn schema_id(framed: &[u8]) -> Option<u32> {
    unframe(framed).ok().map(|(id, _)| id)
}

/// The same record under another id; bytes in no Confluent framing stay as they are.
pub fn with_schema_id(mut framed: Vec<u8>, id: u32) -> Vec<u8> {
    if schema_id(&framed).is_some() {
        framed[ID].copy_from_slice(&id.to_be_bytes());
    }
    framed
}

/// The same record marked as one without a usable schema: decoding it fails and says so.
pub fn without_schema(framed: Vec<u8>) -> Vec<u8> {
    match schema_id(&framed) {
        Some(id) => with_schema_id(framed, id | UNUSABLE),
        None => framed,
    }
}

/// Text of the schema that records of the topic are written with; `None` when the topic has none.
pub fn newest_schema(topic: &str) -> Option<&'static str> {
    registry::newest(&subject_of(topic)).map(|registered| registered.text)
}

/// How records of one topic under one writer schema are read.
pub struct Reading(How);

enum How {
    /// The schema is one of ours; only the id differs.
    Own(u32),
    /// Through Avro's schema resolution to our newest.
    Resolved { reader: Box<GenericDatumReader<'static>>, newest: &'static Registered },
}

impl Reading {
    /// Of the topic's records under the schema `text`. Each call keeps a schema in memory for good.
    ///
    /// # Errors
    /// When the text is no Avro schema, or not of the topic's record.
    pub fn of(topic: &str, text: &str) -> Result<Self, ContractError> {
        let subject = subject_of(topic);
        let unusable = |message: String| ContractError::WriterSchema { subject: subject_of(topic), message };
        let newest = registry::newest(&subject).ok_or(ContractError::UnknownTopic { topic: topic.to_owned() })?;
        let writer = Schema::parse_str(text).map_err(|e| unusable(e.to_string()))?;
        let form = writer.canonical_form();
        if let Some(own) = registry::of_subject(&subject).find(|own| own.schema.canonical_form() == form) {
            return Ok(Self(How::Own(own.id)));
        }
        let (found, wanted) = (read_name(&writer), read_name(newest.schema));
        if found != wanted {
            return Err(unusable(format!("it is of {found}, records of this topic are {wanted}")));
        }
        let writer: &'static Schema = Box::leak(Box::new(writer));
        let reader = GenericDatumReader::builder(writer)
            .reader_schema(newest.schema)
            .human_readable(false)
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        Ok(Self(How::Resolved { reader: Box::new(reader), newest }))
    }

    /// The record as one under our ids.
    ///
    /// # Errors
    /// When it is not framed or does not follow its schema, or our schema has no value for what it says.
    pub fn to_own(&self, framed: &[u8]) -> Result<Vec<u8>, ContractError> {
        let (id, mut datum) = unframe(framed)?;
        match &self.0 {
            How::Own(own) => Ok(with_schema_id(framed.to_vec(), *own)),
            How::Resolved { reader, newest } => {
                let mut own = Vec::with_capacity(framed.len());
                own.push(0);
                own.extend_from_slice(&newest.id.to_be_bytes());
                let read = reader.read_value(&mut datum).map_err(|e| e.to_string());
                read.and_then(|value| all_read(datum).map(|()| value))
                    .and_then(|value| newest.writer.write_value(&mut own, value).map_err(|e| e.to_string()))
                    .map_err(|message| ContractError::Datum { subject: newest.subjects.join(" and "), id, message })?;
                Ok(own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics;
    use crate::{Contract, record_json};
    use prescale_domain::sample::{Platform, Sample};
    use prescale_domain::source::SourceName;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;
    use serde_json::{Value as Json, json};

    fn sample() -> Sample {
        Sample {
            workload: WorkloadId::new("web-1").unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            at: EventTime::from_s(60),
            step_s: 60,
            kpis: Vec::new(),
            capacity: None,
            platform: Platform::SIMULATED,
        }
    }

    /// Our schema of samples with one more field, as another team would register it.
    fn evolved() -> String {
        let mut schema: Json = serde_json::from_str(newest_schema(topics::RAW_KPIS).unwrap()).unwrap();
        let region = json!({"name": "region", "type": "string", "default": "", "doc": "Where it runs."});
        schema["fields"].as_array_mut().unwrap().insert(0, region);
        schema.to_string()
    }

    #[test]
    fn only_the_id_of_our_own_schema_changes() {
        let bytes = sample().encode().unwrap();
        let elsewhere = with_schema_id(bytes.clone(), 4711);
        assert_eq!(schema_id(&elsewhere), Some(4711));
        let reading = Reading::of(topics::RAW_KPIS, newest_schema(topics::RAW_KPIS).unwrap()).unwrap();
        assert_eq!(reading.to_own(&elsewhere), Ok(bytes));
    }

    #[test]
    fn a_schema_with_a_field_more_is_resolved() {
        let bytes = sample().encode().unwrap();
        let mut written = with_schema_id(bytes.clone(), 9)[..5].to_vec();
        written.extend_from_slice(b"\x04eu");
        written.extend_from_slice(&bytes[5..]);
        let reading = Reading::of(topics::RAW_KPIS, &evolved()).unwrap();
        let own = reading.to_own(&written).unwrap();
        assert_eq!(own, bytes);
        assert_eq!(Sample::decode(&own), Ok(sample()));
        written.push(0);
        assert!(reading.to_own(&written).unwrap_err().to_string().contains("schema id 9"));
    }

    #[test]
    fn schemas_of_other_records_are_refused() {
        let actions = newest_schema(topics::ACTIONS).unwrap();
        let error = |text: &str| Reading::of(topics::RAW_KPIS, text).err().unwrap().to_string();
        assert!(error(actions).contains("Action"), "{}", error(actions));
        assert!(error("{").contains("raw-kpis-value"));
        assert!(Reading::of("nowhere", actions).is_err());
    }

    #[test]
    fn a_record_without_a_schema_says_so() {
        let marked = without_schema(with_schema_id(sample().encode().unwrap(), 77));
        for said in [Sample::decode(&marked).unwrap_err(), record_json(topics::RAW_KPIS, &marked).unwrap_err()] {
            assert_eq!(said, ContractError::NotInRegistry { id: 77 });
        }
        assert_eq!(without_schema(vec![1, 2]), [1, 2]);
    }
}
