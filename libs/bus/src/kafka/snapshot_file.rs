//! Snapshots as files. One is written whole or not at all; a bad or foreign one is put aside.

use super::protocol::port::Snapshots;
use crate::crash_point::CrashPoint;
use crate::snapshot::{self, SnapshotOf};
use std::fs::{self, File};
use std::io::{self, Write};
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
}

impl Snapshots for SnapshotFiles {
    fn store(&self, partition: u32, offset: i64, state: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(partition);
        let temporary = path.with_extension("snapshot.partial");
        let mut file = File::create(&temporary)?;
        file.write_all(&snapshot::encode(&self.of(partition), offset, state))?;
        file.sync_all()?;
        CrashPoint::KafkaSnapshotWritten.pass();
        fs::rename(&temporary, &path)?;
        CrashPoint::KafkaSnapshotRenamed.pass();
        File::open(&self.folder)?.sync_all()
    }

    /// A bad one is renamed to `*.rejected`.
    fn load<T>(
        &self,
        partition: u32,
        committed: i64,
        restore: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<(T, i64)> {
        let path = self.path(partition);
        let loaded = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => snapshot::decode(&self.of(partition), committed, &bytes)
                .and_then(|(offset, state)| Ok((restore(state)?, offset))),
        };
        let reason = match loaded {
            Ok(loaded) => return Some(loaded),
            Err(reason) => reason,
        };
        let aside = path.with_extension("snapshot.rejected");
        let moved = fs::rename(&path, &aside);
        tracing::warn!(
            snapshot = %path.display(),
            reason,
            moved_to = %aside.display(),
            moved = moved.is_ok(),
            "snapshot put aside; the state is rebuilt from the log"
        );
        None
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
        assert_eq!(load(9), None);
        files.store(3, 7, b"one").expect("it is stored");
        files.store(3, 8, b"two").expect("it is stored");
        assert_eq!(load(9), Some((b"two".to_vec(), 8)));
        assert_eq!(files.load(4, 9, |_| Ok(())), None, "another partition has its own");

        let path = files.path(3);
        let bytes = fs::read(&path).expect("it is there");
        fs::write(&path, &bytes[..bytes.len() - 3]).expect("it is cut");
        assert_eq!(load(9), None);
        assert!(!path.exists() && path.with_extension("snapshot.rejected").exists());

        files.store(3, 12, b"ahead").expect("it is stored");
        assert_eq!(load(9), None, "ahead of the committed position");
    }
}
