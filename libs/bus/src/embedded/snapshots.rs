//! Snapshots in the file. Each slice is written in a transaction of its own, outside any step, so that no other stage
//! waits for a large state; one row then makes all of them valid in place of those before. Whatever ends in between
//! leaves the snapshot before as it was.

use super::failure::backend;
use super::log;
use super::store::{Store, Topic};
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::snapshot::{Assembly, Head, Loaded, Slice, Slices, SnapshotOf, stored_schema};
use crate::stage::StageFactory;
use crate::state_schema::StateSchema;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// The snapshots of a group's state of one partition.
pub(super) struct PartitionSnapshots<'a> {
    store: &'a Store,
    group: &'a str,
    topic: &'a Topic,
    partition: u32,
    of: SnapshotOf,
    stage: &'static str,
}

/// What there is of a partition to restore it from.
pub(super) struct Restorable<T> {
    /// The group's position.
    pub(super) position: i64,
    /// What the snapshot was made by, whether or not it can be used, or without one the last that was put aside; `None`
    /// where none says so.
    pub(super) made_by: Option<StateSchema>,
    /// What became of the snapshot.
    pub(super) loaded: Loaded<T>,
}

/// A snapshot as it was found.
struct Found {
    generation: i64,
    made_by: Option<StateSchema>,
    /// Its offset and state, or what is wrong with it.
    state: Result<(i64, Vec<u8>), String>,
}

impl<'a> PartitionSnapshots<'a> {
    pub(super) fn new(
        store: &'a Store,
        factory: &dyn StageFactory,
        group: &'a str,
        topic: &'a Topic,
        partition: u32,
    ) -> Self {
        let identity = format!("embedded/{group}/{}/{partition}", topic.name);
        let of = SnapshotOf { identity, state_schema: factory.state_schema() };
        Self { store, group, topic, partition, of, stage: factory.name() }
    }

    /// Stores the state after all records before `offset`, the group's position. False when another instance has
    /// taken the partition over meanwhile: the snapshot before stays.
    pub(super) fn store(&self, offset: i64, state: &[u8]) -> Result<bool, BusError> {
        self.remove_unused()?;
        let generation = self.begin()?;
        let mut slices = Slices::of(state);
        for (slice, nth) in slices.by_ref().zip(0..) {
            if !self.add(generation, nth, slice)? {
                return Ok(false);
            }
        }
        CrashPoint::EmbeddedSnapshotSliced.pass();
        let head = Head { offset, state_bytes: state.len() as u64, checksum: slices.checksum() };
        let is_valid = self.finish(generation, head)?;
        CrashPoint::EmbeddedSnapshotStored.pass();
        self.remove_unused()?;
        Ok(is_valid)
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, BusError> {
        self.store.write(&format!("cannot store a snapshot of {}", self.of.identity), work)
    }

    /// A generation that no other snapshot has, had or will have.
    fn begin(&self) -> Result<i64, BusError> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO snapshots (consumer_group, topic_id, partition, state)
                     VALUES (?1, ?2, ?3, 'writing') RETURNING generation",
                )?
                .query_row(params![self.group, self.topic.id, self.partition], |row| row.get(0))
        })
    }

    /// Writes a slice; false when another instance has put the generation away.
    fn add(&self, generation: i64, nth: i64, slice: Slice<'_>) -> Result<bool, BusError> {
        let added = self.write(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO snapshot_slices (generation, nth, checksum, bytes) SELECT ?1, ?2, ?3, ?4
                     WHERE EXISTS (SELECT 1 FROM snapshots WHERE generation = ?1 AND state = 'writing')",
                )?
                .execute(params![generation, nth, slice.checksum, slice.bytes])
        })?;
        Ok(added == 1)
    }

    /// Makes a generation valid in place of the one before; false when the group's position is another by now.
    fn finish(&self, generation: i64, head: Head) -> Result<bool, BusError> {
        self.write(|transaction| {
            if log::position(transaction, self.group, self.topic, self.partition)? != Some(head.offset) {
                return Ok(false);
            }
            let finished = transaction
                .prepare_cached(
                    "UPDATE snapshots SET state = 'valid', head = ?2 WHERE generation = ?1 AND state = 'writing'",
                )?
                .execute(params![generation, head.encode(&self.of)])?;
            if finished == 1 {
                transaction
                    .prepare_cached(
                        "UPDATE snapshots SET state = 'replaced' WHERE consumer_group = ?1 AND topic_id = ?2
                         AND partition = ?3 AND state = 'valid' AND generation <> ?4",
                    )?
                    .execute(params![self.group, self.topic.id, self.partition, generation])?;
            }
            Ok(finished == 1)
        })
    }

    /// Removes what was replaced and what was never finished, a slice at a time.
    fn remove_unused(&self) -> Result<(), BusError> {
        while self.write(|transaction| self.remove_some(transaction))? {}
        Ok(())
    }

    /// Whether there was something to remove.
    fn remove_some(&self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        let unused: Option<i64> = transaction
            .prepare_cached(
                "SELECT generation FROM snapshots WHERE consumer_group = ?1 AND topic_id = ?2 AND partition = ?3
                 AND state IN ('writing', 'replaced') LIMIT 1",
            )?
            .query_row(params![self.group, self.topic.id, self.partition], |row| row.get(0))
            .optional()?;
        let Some(generation) = unused else { return Ok(false) };
        let removed = transaction
            .prepare_cached(
                "DELETE FROM snapshot_slices WHERE generation = ?1
                 AND nth = (SELECT min(nth) FROM snapshot_slices WHERE generation = ?1)",
            )?
            .execute([generation])?;
        let then = match removed {
            0 => "DELETE FROM snapshots WHERE generation = ?1",
            // Whoever is still writing it finds out.
            _ => "UPDATE snapshots SET state = 'replaced' WHERE generation = ?1",
        };
        transaction.prepare_cached(then)?.execute([generation])?;
        Ok(true)
    }

    /// What there is to restore, all of one moment, since a step of another instance between would give a snapshot ahead
    /// of the position; with what `restore` makes of the snapshot. A bad one is put aside.
    pub(super) fn load<T>(
        &self,
        connection: &Connection,
        restore: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Restorable<T>, BusError> {
        let found = self.find(connection);
        let unreadable = |e: rusqlite::Error| backend(&format!("cannot read the snapshot of {}", self.of.identity), &e);
        let (position, found) = found.map_err(unreadable)?;
        let Some(Found { generation, made_by, state }) = found else {
            let made_by = self.made_by_aside(connection).map_err(unreadable)?;
            return Ok(Restorable { position, made_by, loaded: Loaded::Missing });
        };
        let reason = match state.and_then(|(offset, state)| Ok((restore(&state)?, offset))) {
            Ok((made, offset)) => return Ok(Restorable { position, made_by, loaded: Loaded::Sound(made, offset) }),
            Err(reason) => reason,
        };
        tracing::warn!(
            stage = self.stage,
            snapshot = %self.of.identity,
            generation,
            reason,
            "snapshot put aside (table snapshots, state 'rejected'); the state is rebuilt from the log"
        );
        self.reject(generation)?;
        Ok(Restorable { position, made_by, loaded: Loaded::Rejected })
    }

    /// The group's position, and the valid snapshot.
    fn find(&self, connection: &Connection) -> rusqlite::Result<(i64, Option<Found>)> {
        // One transaction, so that the position is that of the row's time, and the slices are there that it stands for.
        let transaction = connection.unchecked_transaction()?;
        let position = log::position(&transaction, self.group, self.topic, self.partition)?;
        let position = position.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let row: Option<(i64, Vec<u8>)> = transaction
            .prepare_cached(
                "SELECT generation, head FROM snapshots WHERE consumer_group = ?1 AND topic_id = ?2
                 AND partition = ?3 AND state = 'valid'",
            )?
            .query_row(params![self.group, self.topic.id, self.partition], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((generation, head)) = row else { return Ok((position, None)) };
        let state = match Head::decode(&self.of, position, &head) {
            Ok(head) => assembled(&transaction, generation, head)?,
            Err(reason) => Err(reason),
        };
        Ok((position, Some(Found { generation, made_by: stored_schema(&head).ok(), state })))
    }

    /// What the snapshot was made by that was put aside: where there is no other, nothing was stored since.
    fn made_by_aside(&self, connection: &Connection) -> rusqlite::Result<Option<StateSchema>> {
        let head: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT head FROM snapshots WHERE consumer_group = ?1 AND topic_id = ?2
                 AND partition = ?3 AND state = 'rejected'",
            )?
            .query_row(params![self.group, self.topic.id, self.partition], |row| row.get(0))
            .optional()?;
        Ok(head.and_then(|head| stored_schema(&head).ok()))
    }

    /// Puts a generation aside, in place of the one that was put aside before.
    fn reject(&self, generation: i64) -> Result<(), BusError> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE snapshots SET state = 'replaced' WHERE consumer_group = ?1 AND topic_id = ?2
                     AND partition = ?3 AND state = 'rejected'",
                )?
                .execute(params![self.group, self.topic.id, self.partition])?;
            transaction
                .prepare_cached("UPDATE snapshots SET state = 'rejected' WHERE generation = ?1 AND state = 'valid'")?
                .execute([generation])
                .map(drop)
        })
    }
}

/// Offset and state of a generation, or what is wrong with its slices.
fn assembled(
    transaction: &Transaction<'_>,
    generation: i64,
    head: Head,
) -> rusqlite::Result<Result<(i64, Vec<u8>), String>> {
    let mut assembly = Assembly::of(head);
    let mut select =
        transaction.prepare_cached("SELECT checksum, bytes FROM snapshot_slices WHERE generation = ?1 ORDER BY nth")?;
    let mut rows = select.query([generation])?;
    while let Some(row) = rows.next()? {
        let slice = Slice { checksum: row.get(0)?, bytes: row.get_ref(1)?.as_blob()? };
        if let Err(reason) = assembly.add(slice) {
            return Ok(Err(reason));
        }
    }
    Ok(assembly.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cleanup;
    use crate::embedded::EmbeddedBus;
    use crate::embedded::testing::{open, with_topic};
    use crate::snapshot::SLICE_BYTES;
    use crate::stage::Stage;
    use std::sync::Arc;

    const GROUP: &str = "group";

    struct Stageless;

    impl StageFactory for Stageless {
        fn name(&self) -> &'static str {
            "stageless"
        }

        fn input_topic(&self) -> Arc<str> {
            "topic".into()
        }

        fn output_topics(&self) -> Vec<Arc<str>> {
            Vec::new()
        }

        fn state_schema(&self) -> String {
            "bytes-1".to_owned()
        }

        fn create(&self, _partition: u32) -> Box<dyn Stage> {
            unreachable!("no test makes a stage")
        }

        fn restore(&self, _partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
            Err("no test makes a stage".to_owned())
        }
    }

    /// A log in which the group stands at this position of each partition.
    fn standing_at(folder: &std::path::Path, position: i64) -> (EmbeddedBus, Topic) {
        let bus = open(folder);
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        let topic = bus.store.topic("topic").expect("it is there");
        bus.store
            .write("test", |transaction| {
                transaction.execute(
                    "INSERT INTO positions (consumer_group, topic_id, partition, next_offset)
                     VALUES (?1, ?2, 0, ?3), (?1, ?2, 1, ?3)",
                    params![GROUP, topic.id, position],
                )
            })
            .expect("the position is set");
        (bus, topic)
    }

    fn loaded(bus: &EmbeddedBus, snapshots: &PartitionSnapshots<'_>) -> Loaded<Vec<u8>> {
        let connection = bus.store.reader().expect("it opens");
        snapshots.load(&connection, |state| Ok(state.to_vec())).expect("the log is readable").loaded
    }

    /// Snapshots by state, and how many slices there are.
    fn rows(bus: &EmbeddedBus) -> (Vec<String>, i64) {
        let connection = bus.store.reader().expect("it opens");
        let mut select = connection.prepare("SELECT state FROM snapshots ORDER BY generation").expect("it is sound");
        let states = select.query_map([], |row| row.get(0)).expect("it is readable");
        let states = states.collect::<rusqlite::Result<Vec<String>>>().expect("it is readable");
        let slices = connection.query_row("SELECT count(*) FROM snapshot_slices", [], |row| row.get(0));
        (states, slices.expect("it is readable"))
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_one_before_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bus, topic) = standing_at(folder.path(), 7);
        let snapshots = PartitionSnapshots::new(&bus.store, &Stageless, GROUP, &topic, 1);
        assert_eq!(loaded(&bus, &snapshots), Loaded::Missing);
        let first = vec![1_u8; 2 * SLICE_BYTES + 5];
        assert!(snapshots.store(7, &first).expect("it is stored"));
        assert_eq!(rows(&bus), (vec!["valid".to_owned()], 3));
        assert!(loaded(&bus, &snapshots) == Loaded::Sound(first.clone(), 7));

        let generation = snapshots.begin().expect("another begins");
        for (slice, nth) in Slices::of(&vec![2_u8; SLICE_BYTES + 1]).zip(0..) {
            assert!(snapshots.add(generation, nth, slice).expect("it is written"));
        }
        assert_eq!(rows(&bus), (vec!["valid".to_owned(), "writing".to_owned()], 5));
        assert!(loaded(&bus, &snapshots) == Loaded::Sound(first, 7), "the other is not finished");

        assert!(snapshots.store(7, b"third").expect("it is stored"));
        assert_eq!(rows(&bus), (vec!["valid".to_owned()], 1), "what was replaced or never finished is gone");
        assert_eq!(loaded(&bus, &snapshots), Loaded::Sound(b"third".to_vec(), 7));
        let late = Slices::of(b"late").next().expect("there is one");
        assert!(!snapshots.add(generation, 2, late).expect("it can be asked"), "whoever was writing finds out");
    }

    #[test]
    fn a_snapshot_of_a_partition_that_another_has_taken_over_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bus, topic) = standing_at(folder.path(), 7);
        let snapshots = PartitionSnapshots::new(&bus.store, &Stageless, GROUP, &topic, 1);
        assert!(snapshots.store(7, b"ours").expect("it is stored"));
        assert!(!snapshots.store(6, b"late").expect("it can be asked"));
        assert_eq!(
            (rows(&bus), loaded(&bus, &snapshots)),
            ((vec!["valid".to_owned()], 1), Loaded::Sound(b"ours".to_vec(), 7))
        );
        let others = PartitionSnapshots::new(&bus.store, &Stageless, GROUP, &topic, 0);
        assert_eq!(loaded(&bus, &others), Loaded::Missing, "another partition has its own");
    }

    #[test]
    fn a_snapshot_that_lacks_a_slice_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bus, topic) = standing_at(folder.path(), 7);
        let snapshots = PartitionSnapshots::new(&bus.store, &Stageless, GROUP, &topic, 1);
        for _ in 0..2 {
            assert!(snapshots.store(7, &vec![1_u8; 2 * SLICE_BYTES + 5]).expect("it is stored"));
            let damage = "DELETE FROM snapshot_slices WHERE nth = 2";
            bus.store.write("test", |transaction| transaction.execute(damage, [])).expect("a slice is gone");
            assert_eq!(loaded(&bus, &snapshots), Loaded::Rejected);
            assert_eq!(loaded(&bus, &snapshots), Loaded::Missing, "it is not looked at again");
        }
        assert!(snapshots.store(7, b"sound").expect("it is stored"));
        let states = ["rejected", "valid"].map(str::to_owned).to_vec();
        assert_eq!(rows(&bus), (states, 3), "the last one that was put aside is kept");
    }
}
