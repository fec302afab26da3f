//! A source on the embedded log: its records and its position in one transaction.

use super::store::{Store, append};
use crate::bus::Source;
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::record::OutputRecord;
use crate::write::Write;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

pub(super) struct EmbeddedSource {
    store: Arc<Store>,
    id: String,
    /// Raised by each opening: who opens a source last owns it, as with a transactional id.
    epoch: i64,
}

impl EmbeddedSource {
    pub(super) fn open(store: Arc<Store>, id: &str) -> Result<Self, BusError> {
        let epoch = store.write(&format!("cannot open source {id:?}"), |transaction| {
            transaction.query_row(
                "INSERT INTO sources (source, epoch) VALUES (?1, 1)
                 ON CONFLICT (source) DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
                [id],
                |row| row.get(0),
            )
        })?;
        Ok(Self { store, id: id.to_owned(), epoch })
    }
}

/// The position of a source, whoever has it open.
pub(super) fn position(store: &Store, id: &str) -> Result<Option<Vec<u8>>, BusError> {
    let found: Option<Option<Vec<u8>>> =
        store.look(&format!("cannot read the position of source {id:?}"), |connection| {
            let mut select = connection.prepare_cached("SELECT position FROM sources WHERE source = ?1")?;
            select.query_row([id], |row| row.get(0)).optional()
        })?;
    Ok(found.flatten())
}

impl Source for EmbeddedSource {
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.store.write(&format!("cannot read the position of source {:?}", self.id), |transaction| {
            transaction.query_row("SELECT position FROM sources WHERE source = ?1", [&self.id], |row| row.get(0))
        })
    }

    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        let writes: Vec<Write> = records.into_iter().map(Write::from).collect();
        let placed = self.store.place(&writes)?;
        CrashPoint::EmbeddedReady.pass();
        let written = self.store.write(&format!("source {:?} cannot write", self.id), |transaction| {
            let mut owned =
                transaction.prepare_cached("UPDATE sources SET position = ?3 WHERE source = ?1 AND epoch = ?2")?;
            if owned.execute(params![self.id, self.epoch, position])? == 0 {
                return Ok(false);
            }
            CrashPoint::EmbeddedPositionMoved.pass();
            append(transaction, &placed)?;
            CrashPoint::EmbeddedAppended.pass();
            Ok(true)
        })?;
        if !written {
            return Err(BusError::Fenced { stage: self.id.clone() });
        }
        CrashPoint::EmbeddedCommitted.pass();
        self.store.announce(&placed);
        Ok(())
    }
}
