//! Snapshots as files: the head, then each slice behind its length and checksum. One is written whole or not at all; a
//! bad or foreign one is put aside.

use super::options::KafkaOptions;
use super::protocol::port::Snapshots;
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::framing::put_bytes;
use crate::snapshot::{Assembly, Head, Loaded, SLICE_BYTES, Slice, Slices, SnapshotOf, stored_schema};
use crate::state_schema::StateSchema;
use crate::stored::StoredState;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Where the snapshots of one group on one topic are.
#[derive(Clone, Debug)]
pub(super) struct SnapshotFiles {
    folder: PathBuf,
    /// Cluster, group and topic, as the snapshots name them.
    identity: String,
    topic: String,
    state_schema: String,
}

/// Only characters that every file system takes.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

impl SnapshotFiles {
    pub(super) fn new(state_dir: &Path, cluster_id: &str, group: &str, topic: &str, state_schema: String) -> Self {
        Self {
            folder: state_dir.join(file_name(group)),
            identity: format!("kafka/{cluster_id}/{group}/{topic}"),
            topic: file_name(topic),
            state_schema,
        }
    }

    fn path(&self, partition: u32) -> PathBuf {
        self.folder.join(format!("{}-{partition}.snapshot", self.topic))
    }

    fn of(&self, partition: u32) -> SnapshotOf {
        SnapshotOf { identity: format!("{}/{partition}", self.identity), state_schema: self.state_schema.clone() }
    }

    /// Where a bad one is put aside.
    fn path_aside(&self, partition: u32) -> PathBuf {
        self.path(partition).with_extension("snapshot.rejected")
    }

    /// Offset and state of a file.
    fn read(&self, partition: u32, committed: i64, mut file: impl Read) -> Result<(i64, Vec<u8>), String> {
        let head = head_of(&mut file)?;
        let mut assembly = Assembly::of(Head::decode(&self.of(partition), committed, &head)?);
        while assembly.wanted() > 0 {
            let (length, checksum) = (read_number(&mut file)?, read_number(&mut file)?);
            if length as usize != assembly.wanted() {
                return Err(format!("{length} bytes follow where {} are wanted", assembly.wanted()));
            }
            let bytes = read_bytes(&mut file, length as usize)?;
            assembly.add(Slice { checksum, bytes: &bytes })?;
        }
        if file.read(&mut [0]).map_err(|e| e.to_string())? > 0 {
            return Err("something follows its last slice".to_owned());
        }
        assembly.finish()
    }
}

/// What this instance's folder holds of a group's states over a topic, by partition; `None` where it has no folder. No
/// broker is asked, so what the log has is not known.
///
/// # Errors
/// When the folder cannot be read.
pub fn stored_states(options: &KafkaOptions, group: &str, topic: &str) -> Result<Option<Vec<StoredState>>, BusError> {
    let files =
        SnapshotFiles::new(&options.state_dir, "", &options.prefixed(group), &options.prefixed(topic), String::new());
    let found = match fs::read_dir(&files.folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<OsString>>>()
        }),
    };
    let names = found.map_err(|e| BusError::Backend {
        context: format!("cannot read the snapshots in {}", files.folder.display()),
        message: e.to_string(),
        retryable: false,
    })?;
    let partition = |name: &OsString| -> Option<u32> {
        let rest = name.to_str()?.strip_prefix(&files.topic)?.strip_prefix('-')?;
        rest.strip_suffix(".snapshot")?.parse().ok()
    };
    let mut partitions: Vec<u32> = names.iter().filter_map(partition).collect();
    partitions.sort_unstable();
    let of = |partition: u32| StoredState { partition, schema: Some(schema_in(&files.path(partition))), log: None };
    Ok(Some(partitions.into_iter().map(of).collect()))
}

/// What a file says that its state was made by.
fn schema_in(path: &Path) -> Result<StateSchema, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    stored_schema(&head_of(&mut file)?)
}

fn head_of(file: &mut impl Read) -> Result<Vec<u8>, String> {
    let length = read_number(file)?;
    read_bytes(file, length as usize)
}

fn write(file: &mut impl Write, of: &SnapshotOf, offset: i64, state: &[u8]) -> io::Result<()> {
    let mut cut = Slices::of(state);
    let slices: Vec<Slice<'_>> = cut.by_ref().collect();
    let head = Head { offset, state_bytes: state.len() as u64, checksum: cut.checksum() };
    let mut framed = Vec::new();
    put_bytes(&mut framed, &head.encode(of));
    file.write_all(&framed)?;
    for Slice { checksum, bytes } in slices {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&checksum.to_le_bytes())?;
        file.write_all(bytes)?;
    }
    Ok(())
}

fn read_number(file: &mut impl Read) -> Result<u32, String> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes).map_err(|e| e.to_string())?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_bytes(file: &mut impl Read, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(length.min(SLICE_BYTES));
    file.take(length as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() == length { Ok(bytes) } else { Err(format!("it ends after {} of {length} bytes", bytes.len())) }
}

impl Snapshots for SnapshotFiles {
    fn store(&self, partition: u32, offset: i64, state: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(partition);
        let temporary = path.with_extension("snapshot.partial");
        let mut file = File::create(&temporary)?;
        write(&mut file, &self.of(partition), offset, state)?;
        file.sync_all()?;
        CrashPoint::KafkaSnapshotWritten.pass();
        fs::rename(&temporary, &path)?;
        CrashPoint::KafkaSnapshotRenamed.pass();
        File::open(&self.folder)?.sync_all()
    }

    fn made_by(&self, partition: u32) -> Option<StateSchema> {
        schema_in(&self.path(partition)).or_else(|_| schema_in(&self.path_aside(partition))).ok()
    }

    /// A bad one is renamed to `*.rejected`.
    fn load<T>(&self, partition: u32, committed: i64, restore: impl FnOnce(&[u8]) -> Result<T, String>) -> Loaded<T> {
        let path = self.path(partition);
        let loaded = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Missing,
            Err(error) => Err(error.to_string()),
            Ok(file) => {
                self.read(partition, committed, file).and_then(|(offset, state)| Ok((restore(&state)?, offset)))
            }
        };
        let reason = match loaded {
            Ok((made, offset)) => return Loaded::Sound(made, offset),
            Err(reason) => reason,
        };
        let aside = self.path_aside(partition);
        let moved = fs::rename(&path, &aside);
        tracing::warn!(
            snapshot = %path.display(),
            reason,
            moved_to = %aside.display(),
            moved = moved.is_ok(),
            "snapshot put aside; the state is rebuilt from the log"
        );
        Loaded::Rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> SnapshotFiles {
        SnapshotFiles::new(folder, "cluster", "eu/group", "topic", "schema-1".to_owned())
    }

    #[test]
    fn a_snapshot_is_stored_whole_and_a_bad_one_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let load = |committed| files.load(3, committed, |state| Ok(state.to_vec()));
        assert_eq!(load(9), Loaded::Missing);
        files.store(3, 7, b"one").expect("it is stored");
        files.store(3, 8, b"two").expect("it is stored");
        assert_eq!((files.made_by(3), files.made_by(4)), (Some("schema-1".into()), None));
        assert_eq!(load(9), Loaded::Sound(b"two".to_vec(), 8));
        assert_eq!(files.load(4, 9, |_| Ok(())), Loaded::Missing, "another partition has its own");

        let path = files.path(3);
        let bytes = fs::read(&path).expect("it is there");
        fs::write(&path, &bytes[..bytes.len() - 3]).expect("it is cut");
        assert_eq!(load(9), Loaded::Rejected);
        assert!(!path.exists() && path.with_extension("snapshot.rejected").exists());
        assert_eq!(files.made_by(3), Some("schema-1".into()), "what was put aside says it, too");

        files.store(3, 12, b"ahead").expect("it is stored");
        assert_eq!(load(9), Loaded::Rejected, "ahead of the committed position");
    }

    #[test]
    fn a_folder_says_what_its_snapshots_were_made_by() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = KafkaOptions {
            state_dir: folder.path().to_owned(),
            topic_prefix: "eu.".to_owned(),
            ..KafkaOptions::default()
        };
        assert!(stored_states(&options, "group", "topic").expect("it can be looked for").is_none());
        let schema = "counter 1\nwindow_s = 60";
        let files = SnapshotFiles::new(folder.path(), "cluster", "eu.group", "eu.topic", schema.to_owned());
        files.store(11, 7, b"state").expect("it is stored");
        files.store(3, 7, b"state").expect("it is stored");
        fs::write(files.path(3), b"torn").expect("it is damaged");
        let states = stored_states(&options, "group", "topic").expect("it is readable").expect("it is there");
        assert_eq!(states.iter().map(|state| state.partition).collect::<Vec<_>>(), [3, 11]);
        assert!(matches!(states[0].schema, Some(Err(_))));
        assert_eq!(states[1].schema, Some(Ok(schema.into())));
        assert!(states.iter().all(|state| state.log.is_none()));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let mut bytes = Vec::new();
        write(&mut bytes, &files.of(3), 7, b"state").expect("a vector takes all");
        let read = |bytes: &[u8]| files.read(3, 7, bytes);
        assert_eq!(read(&bytes), Ok((7, b"state".to_vec())));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "byte {at}");
        }
        bytes.push(0);
        assert!(read(&bytes).is_err(), "something follows");
    }

    #[test]
    fn a_state_of_many_slices_comes_back_and_is_checked_slice_by_slice() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let mut state = vec![0_u8; 2 * SLICE_BYTES + 5];
        fastrand::Rng::with_seed(14).fill(&mut state);
        files.store(3, 7, &state).expect("it is stored");
        assert_eq!(files.load(3, 9, |found| Ok(found == state)), Loaded::Sound(true, 7));
        let path = files.path(3);
        let mut bytes = fs::read(&path).expect("it is there");
        bytes[SLICE_BYTES + 1000] ^= 1;
        let damaged = files.read(3, 9, bytes.as_slice());
        assert_eq!(damaged, Err("its slice 1 is truncated or damaged".to_owned()));
    }
}
