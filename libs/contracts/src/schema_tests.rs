//! The schemas themselves: ids, examples, evolution, and the AsyncAPI document beside them.

use crate::codec::read_resolving;
use crate::contract::Contract;
use crate::json::record_json;
use crate::mirror::Wire;
use crate::registry::{self, TEXTS, id_lines, parse};
use crate::topics;
use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

fn schemas() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    PathBuf::from(package).join("../../schemas")
}

fn read(path: &str) -> String {
    fs::read_to_string(schemas().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn subjects() -> Vec<(String, String)> {
    topics::table().into_iter().filter_map(|t| Some((t.name, t.subject?))).collect()
}

#[test]
fn ids_are_in_step_with_the_files() {
    let recorded: Vec<BTreeMap<String, Json>> = serde_json::from_str(registry::IDS).unwrap();
    let mut changed = BTreeSet::new();
    for (line, fields) in id_lines().unwrap().iter().zip(&recorded) {
        assert_eq!(fields.len(), 5, "{fields:?}");
        let sha256 = format!("{:x}", Sha256::digest(parse(&line.schema).unwrap().canonical_form()));
        if fields["sha256"] != sha256.as_str() {
            changed.insert((line.schema.clone(), sha256));
        }
    }
    assert!(changed.is_empty(), "published schemas changed; give them a new version and id: {changed:#?}");
    let embedded: BTreeSet<&str> = TEXTS.iter().map(|(path, _)| *path).collect();
    let listed: BTreeSet<String> = id_lines().unwrap().into_iter().map(|l| l.schema).collect();
    assert_eq!(embedded, listed.iter().map(String::as_str).collect());
}

#[test]
fn every_file_is_embedded() {
    let mut files = BTreeSet::new();
    let mut folders = vec![schemas()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "avsc") {
                files.insert(path.strip_prefix(schemas()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(files, TEXTS.iter().map(|(path, _)| (*path).to_owned()).collect());
}

#[test]
fn each_subject_counts_its_versions_and_each_id_names_one_schema() {
    let lines = id_lines().unwrap();
    let mut schema_of_id = BTreeMap::new();
    for line in &lines {
        let schema = schema_of_id.entry(line.id).or_insert(&line.schema);
        assert_eq!(*schema, &line.schema, "id {} names two schemas", line.id);
    }
    for (topic, subject) in subjects() {
        let versions: Vec<u32> = lines.iter().filter(|l| l.subject == subject).map(|l| l.version).collect();
        assert_eq!(versions, (1..=versions.len() as u32).collect::<Vec<_>>(), "{subject}");
        assert!(!versions.is_empty(), "{topic} has no schema");
        let newest = lines.iter().rfind(|l| l.subject == subject).unwrap();
        assert!(!newest.schema.starts_with("history/"), "{subject}");
    }
    let known: BTreeSet<String> = subjects().into_iter().map(|(_, s)| s).collect();
    assert!(lines.iter().all(|l| known.contains(&l.subject)));
}

/// JSON as an untyped Avro value, for a schema to resolve.
fn avro(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| Value::Double(n.as_f64().unwrap()), Value::Long),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(avro).collect()),
        Json::Object(fields) => Value::Map(fields.iter().map(|(name, v)| (name.clone(), avro(v))).collect()),
    }
}

#[test]
fn examples_round_trip() {
    for (path, _) in TEXTS.iter().filter(|(path, _)| !path.starts_with("history/")) {
        let topic = path.strip_suffix(".avsc").unwrap();
        let example: Json = serde_json::from_str(&read(&format!("examples/{topic}.json"))).unwrap();
        let registered = registry::newest(&topics::subject_of(topic)).unwrap();
        let value = avro(&example).resolve(registered.schema).unwrap_or_else(|e| panic!("{topic}: {e}"));
        let mut framed = vec![0];
        framed.extend(registered.id.to_be_bytes());
        registered.writer.write_value(&mut framed, value).unwrap();
        assert_eq!(record_json(topic, &framed).unwrap(), example, "{topic}");
        assert_eq!(record_json(&topics::dlq_of(topic), &framed).unwrap(), example, "{topic}");
        decodes_as_its_contract(topic, &framed);
    }
}

/// Where the topic has a domain type, its codec must read the example and write the same bytes.
fn decodes_as_its_contract(topic: &str, framed: &[u8]) {
    fn same<C: Contract>(framed: &[u8]) {
        let value = C::decode(framed).unwrap_or_else(|e| panic!("{}: {e}", C::TOPIC));
        assert_eq!(value.encode().unwrap(), framed, "{}", C::TOPIC);
    }
    match topic {
        topics::RAW_POINTS => same::<prescale_domain::point::Point>(framed),
        topics::RAW_KPIS => same::<prescale_domain::sample::Sample>(framed),
        topics::FINGERPRINTS => same::<prescale_domain::fingerprint::Fingerprint>(framed),
        topics::PREDICTIONS => same::<prescale_domain::prediction::Prediction>(framed),
        topics::GROUP_PARTS => same::<prescale_domain::group::GroupPart>(framed),
        topics::GROUP_PREDICTIONS => same::<prescale_domain::group::GroupPrediction>(framed),
        topics::PROPOSALS => same::<prescale_domain::governor::FleetRecord>(framed),
        topics::CONTROL => same::<prescale_domain::governor::StandingOrder>(framed),
        topics::ACTIONS => same::<prescale_domain::action::Action>(framed),
        topics::ACTION_RESULTS => same::<prescale_domain::action::ActionResult>(framed),
        topics::OUTCOMES => same::<prescale_domain::evaluation::Outcome>(framed),
        topics::FORECAST_SCORES => same::<prescale_domain::forecast_score::ForecastScore>(framed),
        topics::RETRAINING => same::<prescale_domain::retraining::RetrainingRequest>(framed),
        topics::TRIALS => same::<prescale_domain::promotion::TrialScore>(framed),
        topics::MODEL_DECISIONS => same::<prescale_domain::promotion::ModelDecision>(framed),
        topics::ANOMALIES => same::<prescale_domain::alarm::Anomaly>(framed),
        topics::ALARMS => same::<prescale_domain::incident::FleetAnomaly>(framed),
        topics::INCIDENTS => same::<prescale_domain::incident::Incident>(framed),
        other => panic!("{other}: say which contract reads it"),
    }
}

fn fields_without_doc(value: &Json, path: &str, bare: &mut Vec<String>) {
    match value {
        Json::Object(object) => {
            let named = object.get("name").and_then(Json::as_str).unwrap_or_default();
            let path = if named.is_empty() { path.to_owned() } else { format!("{path}/{named}") };
            if !named.is_empty() && object.get("doc").and_then(Json::as_str).is_none_or(str::is_empty) {
                bare.push(path.clone());
            }
            if object.get("type").and_then(Json::as_str) == Some("enum") && object.get("default").is_none() {
                bare.push(format!("{path} has no default symbol"));
            }
            object.values().for_each(|v| fields_without_doc(v, &path, bare));
        }
        Json::Array(items) => items.iter().for_each(|v| fields_without_doc(v, path, bare)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented_and_every_enum_has_a_default() {
    let mut bare = Vec::new();
    for (path, text) in TEXTS {
        fields_without_doc(&serde_json::from_str(text).unwrap(), path, &mut bare);
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

/// FULL: each reads what the other wrote. Partial compatibility (a union branch that only one side
/// has) is none: a record that uses the branch would be unreadable.
fn fully_compatible(a: &Schema, b: &Schema) -> Result<(), String> {
    match SchemaCompatibility::mutual_read(a, b) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("only partly compatible".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_pair_of_versions_is_fully_compatible() {
    let lines = id_lines().unwrap();
    for a in &lines {
        for b in lines.iter().filter(|b| b.subject == a.subject) {
            let verdict = fully_compatible(&parse(&a.schema).unwrap(), &parse(&b.schema).unwrap());
            assert_eq!(verdict, Ok(()), "{} version {} against {}", a.subject, a.version, b.version);
        }
    }
}

/// The sample's schema with one edit of its JSON.
fn edited(edit: impl FnOnce(&mut Vec<Json>)) -> Schema {
    let mut schema: Json = serde_json::from_str(&read("raw-kpis.avsc")).unwrap();
    edit(schema["fields"].as_array_mut().unwrap());
    Schema::parse(&schema).unwrap()
}

fn field<'a>(fields: &'a mut [Json], name: &str) -> &'a mut Json {
    fields.iter_mut().find(|f| f["name"] == name).unwrap()
}

/// The sample's schema in which a KPI may be of one kind more.
fn with_another_kind() -> Schema {
    edited(|f| {
        let kpi = field(f, "kpis")["type"]["items"]["fields"].as_array_mut().unwrap();
        field(kpi, "kind")["type"]["symbols"].as_array_mut().unwrap().push("HISTOGRAM".into());
    })
}

#[test]
fn the_compatibility_check_can_fail() {
    let sample = parse("raw-kpis.avsc").unwrap();
    let refused = [
        edited(|f| f.push(serde_json::json!({"name": "region", "type": "string"}))),
        edited(|f| f.retain(|field| field["name"] != "step_s")),
        edited(|f| field(f, "step_s")["type"] = "double".into()),
        edited(|f| field(f, "step_s")["name"] = "interval_s".into()),
        edited(|f| field(f, "step_s")["type"] = serde_json::json!(["null", "long"])),
    ];
    for schema in refused {
        assert!(fully_compatible(&sample, &schema).is_err(), "{}", schema.canonical_form());
    }
    let accepted = [
        edited(|f| f.push(serde_json::json!({"name": "region", "type": ["null", "string"], "default": null}))),
        edited(|f| f.retain(|field| field["name"] != "capacity")),
        with_another_kind(),
    ];
    for schema in accepted {
        assert_eq!(fully_compatible(&sample, &schema), Ok(()), "{}", schema.canonical_form());
    }
}

/// A sample in Avro under a schema that this build does not have.
fn written_by(schema: &Schema, change: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut example: Json = serde_json::from_str(&read("examples/raw-kpis.json")).unwrap();
    change(&mut example);
    let value = avro(&example).resolve(schema).unwrap();
    apache_avro::writer::datum::GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn mirrored(writer: &Schema, datum: &[u8]) -> crate::wire::sample::Sample {
    let reader = parse("raw-kpis.avsc").unwrap();
    let mirror: crate::wire::sample::Sample = read_resolving(writer, &reader, datum).unwrap();
    mirror.check().unwrap();
    mirror
}

fn resolved(writer: &Schema, datum: &[u8]) -> prescale_domain::sample::Sample {
    mirrored(writer, datum).into_domain().unwrap()
}

#[test]
fn other_versions_are_resolved_to_the_readers() {
    let own: prescale_domain::sample::Sample = {
        let schema = parse("raw-kpis.avsc").unwrap();
        resolved(&schema, &written_by(&schema, |_| {}))
    };
    let added = edited(|f| f.insert(1, serde_json::json!({"name": "region", "type": "string", "default": "?"})));
    assert_eq!(resolved(&added, &written_by(&added, |e| e["region"] = "eu".into())), own);

    let removed = edited(|f| f.retain(|field| field["name"] != "capacity"));
    let without = written_by(&removed, |e| {
        e.as_object_mut().unwrap().remove("capacity");
    });
    assert_eq!(resolved(&removed, &without), prescale_domain::sample::Sample { capacity: None, ..own.clone() });

    let without = edited(|f| f.retain(|field| field["name"] != "platform"));
    let unsaid = resolved(
        &without,
        &written_by(&without, |e| {
            e.as_object_mut().unwrap().remove("platform");
        }),
    );
    assert_eq!(unsaid.platform, prescale_domain::sample::Platform::OBSERVED_ONLY);

    let widened = with_another_kind();
    let unknown = mirrored(&widened, &written_by(&widened, |e| e["kpis"][0]["kind"] = "HISTOGRAM".into()));
    assert_eq!(unknown.into_domain().unwrap_err().field, "kpis[0].kind");
}

#[test]
fn the_asyncapi_document_has_every_topic_and_schema() {
    let text = read("asyncapi.yaml");
    assert!(text.starts_with("asyncapi: 3."), "AsyncAPI 3");
    let channels: BTreeSet<&str> =
        text.lines().filter_map(|l| l.trim().strip_prefix("address: ")).map(|a| a.trim_matches('"')).collect();
    let table = topics::table();
    let names: BTreeSet<&str> = table.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(channels, names);
    for (path, _) in TEXTS.iter().filter(|(path, _)| !path.starts_with("history/")) {
        assert!(text.contains(&format!("$ref: ./{path}")), "{path} is referred to");
    }
    for (name, _) in an_envelope().headers().iter().filter(|(name, _)| *name != "content-type") {
        assert!(text.contains(&format!("{name}:")), "header {name} is described");
    }
}

fn an_envelope() -> crate::Envelope {
    let workload = prescale_domain::workload::WorkloadId::new("w").unwrap();
    crate::Envelope::root("p", "t", &workload, prescale_domain::time::EventTime::from_ms(0), "0")
}
