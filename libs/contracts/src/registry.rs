//! Every schema version and its id, embedded from `schemas/`.
//!
//! `ids.json` is the one list. A new version of a schema takes over `<topic>.avsc`; the one before
//! moves to `history/<topic>/v<N>.avsc`, keeps its id, and is added to [`TEXTS`].

use crate::error::ContractError;
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// No text or array of a record may claim more, so that a torn length does not take all memory.
const ALLOCATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Set in the id of a record whose schema the registry does not have, or not as one that can be
/// used. No registry gives such ids: theirs are positive 32-bit integers.
pub(crate) const UNUSABLE: u32 = 1 << 31;

pub(crate) const IDS: &str = include_str!("../../../schemas/ids.json");

/// The embedded files, by path below `schemas/`.
pub(crate) const TEXTS: [(&str, &str); 20] = [
    ("raw-points.avsc", include_str!("../../../schemas/raw-points.avsc")),
    ("raw-kpis.avsc", include_str!("../../../schemas/raw-kpis.avsc")),
    ("fingerprints.avsc", include_str!("../../../schemas/fingerprints.avsc")),
    ("predictions.avsc", include_str!("../../../schemas/predictions.avsc")),
    ("proposals.avsc", include_str!("../../../schemas/proposals.avsc")),
    ("control.avsc", include_str!("../../../schemas/control.avsc")),
    ("actions.avsc", include_str!("../../../schemas/actions.avsc")),
    ("action-results.avsc", include_str!("../../../schemas/action-results.avsc")),
    ("history/action-results/v1.avsc", include_str!("../../../schemas/history/action-results/v1.avsc")),
    ("outcomes.avsc", include_str!("../../../schemas/outcomes.avsc")),
    ("forecast-scores.avsc", include_str!("../../../schemas/forecast-scores.avsc")),
    ("history/forecast-scores/v1.avsc", include_str!("../../../schemas/history/forecast-scores/v1.avsc")),
    ("retraining.avsc", include_str!("../../../schemas/retraining.avsc")),
    ("trials.avsc", include_str!("../../../schemas/trials.avsc")),
    ("model-decisions.avsc", include_str!("../../../schemas/model-decisions.avsc")),
    ("anomalies.avsc", include_str!("../../../schemas/anomalies.avsc")),
    ("alarms.avsc", include_str!("../../../schemas/alarms.avsc")),
    ("incidents.avsc", include_str!("../../../schemas/incidents.avsc")),
    ("group-parts.avsc", include_str!("../../../schemas/group-parts.avsc")),
    ("group-predictions.avsc", include_str!("../../../schemas/group-predictions.avsc")),
];

/// One line of `ids.json`, which also has the SHA-256 of the schema's parsing canonical form. The
/// same schema under two subjects has one id.
#[derive(Debug, Deserialize)]
pub(crate) struct IdLine {
    pub(crate) subject: String,
    pub(crate) version: u32,
    pub(crate) id: u32,
    /// Path of the schema below `schemas/`.
    pub(crate) schema: String,
}

pub(crate) fn id_lines() -> Result<Vec<IdLine>, serde_json::Error> {
    serde_json::from_str(IDS)
}

/// A schema with what reads and writes by it.
pub(crate) struct Registered {
    pub(crate) id: u32,
    pub(crate) subjects: Vec<String>,
    pub(crate) text: &'static str,
    pub(crate) schema: &'static Schema,
    pub(crate) reader: GenericDatumReader<'static>,
    pub(crate) writer: GenericDatumWriter<'static>,
}

struct Registry {
    by_id: BTreeMap<u32, Registered>,
    newest: BTreeMap<String, (u32, u32)>,
}

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| load().expect("the embedded schemas are well-formed: tests of this crate check each"));

fn load() -> Result<Registry, String> {
    apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
    let mut registry = Registry { by_id: BTreeMap::new(), newest: BTreeMap::new() };
    for line in id_lines().map_err(|e| format!("ids.json: {e}"))? {
        let newest = registry.newest.entry(line.subject.clone()).or_insert((line.version, line.id));
        *newest = (*newest).max((line.version, line.id));
        if let Some(registered) = registry.by_id.get_mut(&line.id) {
            registered.subjects.push(line.subject);
            continue;
        }
        let schema: &'static Schema = Box::leak(Box::new(parse(&line.schema)?));
        let registered = Registered {
            id: line.id,
            subjects: vec![line.subject],
            text: text(&line.schema)?,
            schema,
            reader: GenericDatumReader::builder(schema).human_readable(false).build().map_err(|e| e.to_string())?,
            writer: GenericDatumWriter::builder(schema).human_readable(false).build().map_err(|e| e.to_string())?,
        };
        registry.by_id.insert(line.id, registered);
    }
    Ok(registry)
}

/// An embedded schema by its path below `schemas/`.
pub(crate) fn parse(path: &str) -> Result<Schema, String> {
    Schema::parse_str(text(path)?).map_err(|e| format!("{path}: {e}"))
}

fn text(path: &str) -> Result<&'static str, String> {
    TEXTS.iter().find(|(p, _)| *p == path).map(|(_, text)| *text).ok_or_else(|| format!("{path} is not embedded"))
}

/// The schema with that id, which must belong to the subject.
pub(crate) fn by_id(id: u32, subject: &str) -> Result<&'static Registered, ContractError> {
    if id & UNUSABLE != 0 {
        return Err(ContractError::NotInRegistry { id: id & !UNUSABLE });
    }
    let registered = REGISTRY.by_id.get(&id).ok_or(ContractError::UnknownSchema { id })?;
    if registered.subjects.iter().any(|s| s == subject) {
        return Ok(registered);
    }
    Err(ContractError::WrongSubject { id, found: registered.subjects.join(" and "), wanted: subject.to_owned() })
}

/// Every schema of a subject.
pub(crate) fn of_subject(subject: &str) -> impl Iterator<Item = &'static Registered> {
    REGISTRY.by_id.values().filter(move |r| r.subjects.iter().any(|s| s == subject))
}

/// The newest schema of a subject.
pub(crate) fn newest(subject: &str) -> Option<&'static Registered> {
    let (_, id) = REGISTRY.newest.get(subject)?;
    REGISTRY.by_id.get(id)
}
