//! What was found out of a registry, in a file: a restart must not need the registry for what was
//! known before, and must judge every record as it was judged the first time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A partition, as the key of a map.
pub(super) type Place = (String, u32);

/// What is known of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// The registry's URL.
    url: String,
    /// Id by subject, of the schema that is written under it.
    written: BTreeMap<String, u32>,
    /// Texts by id.
    schemas: BTreeMap<u32, String>,
    /// By `topic/partition` and id, the last offset whose schema the registry did not have.
    absent: BTreeMap<String, BTreeMap<u32, i64>>,
}

impl Known {
    /// The id under which this schema is written.
    pub(super) fn written(&self, subject: &str, schema: &str) -> Option<u32> {
        let id = self.written.get(subject)?;
        (self.schemas.get(id)? == schema).then_some(*id)
    }

    pub(super) fn schema(&self, id: u32) -> Option<&str> {
        self.schemas.get(&id).map(String::as_str)
    }

    /// Whether the schema was absent when this offset, or a later one, was judged.
    pub(super) fn was_absent(&self, place: &Place, id: u32, offset: i64) -> bool {
        let last = self.absent.get(&name(place)).and_then(|ids| ids.get(&id));
        last.is_some_and(|last| offset <= *last)
    }

    pub(super) fn add_written(&mut self, subject: &str, id: u32, schema: &str) {
        self.written.insert(subject.to_owned(), id);
        self.schemas.insert(id, schema.to_owned());
    }

    pub(super) fn add_schema(&mut self, id: u32, schema: &str) {
        self.schemas.insert(id, schema.to_owned());
    }

    pub(super) fn add_absent(&mut self, place: &Place, id: u32, offset: i64) {
        let last = self.absent.entry(name(place)).or_default().entry(id).or_insert(offset);
        *last = offset.max(*last);
    }

    /// What another process found is kept.
    fn merge(&mut self, other: Self) {
        for (subject, id) in other.written {
            self.written.entry(subject).or_insert(id);
        }
        for (id, schema) in other.schemas {
            self.schemas.entry(id).or_insert(schema);
        }
        for (place, ids) in other.absent {
            let mine = self.absent.entry(place).or_default();
            for (id, offset) in ids {
                let last = mine.entry(id).or_insert(offset);
                *last = offset.max(*last);
            }
        }
    }
}

fn name((topic, partition): &Place) -> String {
    format!("{topic}/{partition}")
}

/// What is known, and its file.
#[derive(Debug)]
pub(super) struct KnownFile {
    path: PathBuf,
    pub(super) known: Known,
}

impl KnownFile {
    /// Reads the file; one that is damaged or of another registry counts as empty and is replaced.
    pub(super) fn open(path: PathBuf, url: &str) -> Self {
        let known = read(&path, url);
        Self { path, known }
    }

    /// Writes the file. Processes that share it lose nothing of each other's.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let lock = File::create(beside(&self.path, ".lock"))?;
        lock.lock()?;
        self.known.merge(read(&self.path, &self.known.url));
        let new = beside(&self.path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.known)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn read(path: &Path, url: &str) -> Known {
    let empty = || Known { url: url.to_owned(), ..Known::default() };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return empty(),
        Err(error) => {
            tracing::warn!(%error, "cannot read {}; the schema registry will be asked again", path.display());
            return empty();
        }
    };
    match serde_json::from_slice::<Known>(&bytes) {
        Ok(known) if known.url == url => known,
        Ok(known) => {
            tracing::warn!("{} is of the schema registry {}, which is not used any more", path.display(), known.url);
            empty()
        }
        Err(error) => {
            tracing::warn!(%error, "{} is damaged; the schema registry will be asked again", path.display());
            empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("raw-kpis".to_owned(), 3)
    }

    #[test]
    fn what_is_known_outlives_the_process_and_processes_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/schema-ids.json");
        let mut first = KnownFile::open(path.clone(), "http://a");
        let mut second = KnownFile::open(path.clone(), "http://a");
        first.known.add_written("raw-kpis-value", 7, "{}");
        first.known.add_absent(&place(), 9, 100);
        first.save().unwrap();
        second.known.add_schema(8, "[]");
        second.known.add_absent(&place(), 9, 50);
        second.save().unwrap();
        let known = KnownFile::open(path.clone(), "http://a").known;
        assert_eq!((known.written("raw-kpis-value", "{}"), known.schema(8)), (Some(7), Some("[]")));
        assert_eq!(known.written("raw-kpis-value", "another version"), None);
        assert!(known.was_absent(&place(), 9, 100) && !known.was_absent(&place(), 9, 101));
        assert!(!known.was_absent(&place(), 8, 1));
        assert_eq!(KnownFile::open(path, "http://b").known.written("raw-kpis-value", "{}"), None);
    }

    #[test]
    fn a_damaged_file_counts_as_empty_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema-ids.json");
        fs::write(&path, "{\"url\": \"http://a\", \"sch").unwrap();
        let mut file = KnownFile::open(path.clone(), "http://a");
        assert_eq!(file.known, Known { url: "http://a".to_owned(), ..Known::default() });
        file.known.add_schema(8, "[]");
        file.save().unwrap();
        assert_eq!(KnownFile::open(path, "http://a").known.schema(8), Some("[]"));
    }
}
