//! Checkpoints beside the commits: what stands in SQLite's journal comes into the file, and both onto the disk, while
//! steps go on being committed.
//!
//! SQLite's own checkpoint is part of the commit that finds the journal too long, and whoever else commits waits until the
//! disk has written as much as the journal twice. Here a connection that only reads does most of that, before it comes to
//! it; what was committed meanwhile is done in a moment in which nobody commits, and is little. After that the journal
//! begins anew. Nothing rests on it: where it fails, SQLite's own comes.

use super::periodic::Periodic;
use super::schema::PAGE_BYTES;
use super::store::Store;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

/// What is written until a checkpoint begins.
const BEGUN_AT_BYTES: u64 = 16 << 20;
/// A journal of so many pages is to begin anew. SQLite's own checkpoint comes at more than twice as many.
const RENEWED_AT_PAGES: i64 = (48 << 20) / PAGE_BYTES;
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// Makes checkpoints as they are due, until what it returns is dropped.
pub(super) fn start(store: &Arc<Store>) -> std::io::Result<Periodic> {
    Periodic::start("bus-checkpoints", store, LOOKED_EVERY, checkpoint_if_due)
}

fn checkpoint_if_due(store: &Store) {
    const CONTEXT: &str = "cannot take the journal in";
    if !store.take_written(BEGUN_AT_BYTES) {
        return;
    }
    let taken_in = store.look(CONTEXT, checkpoint).and_then(|pages| {
        store.sync_file();
        if pages < RENEWED_AT_PAGES { Ok(pages) } else { store.between_commits(CONTEXT, checkpoint) }
    });
    if let Err(error) = taken_in {
        tracing::debug!(%error, "the commit that finds the journal too long takes it in");
    }
}

/// Takes in what no reader is in the way of; gives the pages that the journal has.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cleanup;
    use crate::embedded::testing::{open, read, with_topic, write};
    use std::path::Path;

    fn file_bytes(folder: &Path) -> u64 {
        std::fs::metadata(folder.join("log.db")).expect("it is there").len()
    }

    /// Hexadecimal digits, of which compression leaves half.
    fn noise(bytes: usize) -> String {
        let mut random = fastrand::Rng::with_seed(14);
        (0..bytes).map(|_| random.digit(16)).collect()
    }

    #[test]
    fn what_is_written_comes_into_the_file_once_it_is_much() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[("a", Some("little"))]);
        checkpoint_if_due(&bus.store);
        let before = file_bytes(folder.path());
        assert!(before < 1 << 20, "{before}");
        let (text, many) = (noise(1 << 20), (3 * BEGUN_AT_BYTES) >> 20);
        for _ in 0..many {
            write(&bus, &[("b", Some(text.as_str()))]);
        }
        checkpoint_if_due(&bus.store);
        let after = file_bytes(folder.path());
        assert!(after >= BEGUN_AT_BYTES, "{after}");
        checkpoint_if_due(&bus.store);
        write(&bus, &[("a", Some("more"))]);
        assert_eq!(read(&bus).len() as u64, 2 + many);
    }
}
