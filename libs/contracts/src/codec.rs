//! Avro in Confluent framing: magic byte 0x00, schema id (4 bytes, big-endian), datum.

use crate::error::ContractError;
use crate::mirror::{Fault, Wire};
use crate::positional;
use crate::registry;
use crate::topics::subject_of;
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
const CAPACITY_BYTES: usize = 1024;

pub(crate) fn encode<W: Wire>(topic: &str, value: &W::Domain) -> Result<Vec<u8>, ContractError> {
    let mirror = W::of(value);
    W::follows(value).and_then(|()| mirror.check()).map_err(|fault| invalid::<W>(mirror.workload(), fault))?;
    let subject = subject_of(topic);
    let registered = registry::newest(&subject).ok_or(ContractError::UnknownTopic { topic: topic.to_owned() })?;
    let mut framed = Vec::with_capacity(CAPACITY_BYTES);
    framed.push(MAGIC);
    framed.extend_from_slice(&registered.id.to_be_bytes());
    positional::write(&mirror, &mut framed).map_err(|e| ContractError::Datum {
        subject,
        id: registered.id,
        message: e.to_string(),
    })?;
    #[cfg(test)]
    assert_eq!(&framed[FRAME_BYTES..], written_by_the_schema(registered, &mirror));
    Ok(framed)
}

#[cfg(test)]
fn written_by_the_schema<W: Wire>(registered: &registry::Registered, mirror: &W) -> Vec<u8> {
    let mut datum = Vec::new();
    registered.writer.write_ser(&mut datum, mirror).expect("the mirror follows its schema");
    datum
}

pub(crate) fn decode<W: Wire>(topic: &str, framed: &[u8]) -> Result<W::Domain, ContractError> {
    let (id, datum) = unframe(framed)?;
    let subject = subject_of(topic);
    let registered = registry::by_id(id, &subject)?;
    let newest = registry::newest(&subject).ok_or(ContractError::UnknownTopic { topic: topic.to_owned() })?;
    let read = if registered.id == newest.id {
        read_direct::<W>(datum)
    } else {
        read_resolving::<W>(registered.schema, newest.schema, datum)
    };
    let mirror = read.map_err(|message| ContractError::Datum { subject, id, message })?;
    mirror.check().map_err(|fault| invalid::<W>(mirror.workload(), fault))?;
    let workload = mirror.workload().to_owned();
    mirror.into_domain().map_err(|fault| invalid::<W>(&workload, fault))
}

/// Schema id and datum of a framed record.
pub(crate) fn unframe(framed: &[u8]) -> Result<(u32, &[u8]), ContractError> {
    match framed.split_first_chunk::<FRAME_BYTES>() {
        Some(([MAGIC, id @ ..], datum)) => Ok((u32::from_be_bytes(*id), datum)),
        _ => Err(ContractError::NotFramed { bytes: framed.len() }),
    }
}

fn read_direct<W: Wire>(mut datum: &[u8]) -> Result<W, String> {
    let mirror = positional::read::<W>(&mut datum).map_err(|e| e.to_string())?;
    all_read(datum)?;
    Ok(mirror)
}

/// Through Avro's schema resolution: an older writer's fields that are gone are skipped, newer
/// fields get their defaults.
pub(crate) fn read_resolving<W: Wire>(writer: &Schema, reader: &Schema, mut datum: &[u8]) -> Result<W, String> {
    let resolving = GenericDatumReader::builder(writer)
        .reader_schema(reader)
        .human_readable(false)
        .build()
        .map_err(|e| e.to_string())?;
    let value = resolving.read_value(&mut datum).map_err(|e| e.to_string())?;
    all_read(datum)?;
    apache_avro::from_value(&value).map_err(|e| e.to_string())
}

/// The unqualified name by which Avro matches a writer's record with the reader's.
pub(crate) fn read_name(schema: &Schema) -> &str {
    schema.name().map_or("no record", |name| name.name())
}

pub(crate) fn all_read(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over behind the datum", rest.len())) }
}

fn invalid<W: Wire>(workload: &str, fault: Fault) -> ContractError {
    ContractError::Invalid {
        record: W::RECORD,
        workload: workload.to_owned(),
        field: fault.field,
        problem: fault.problem,
    }
}
