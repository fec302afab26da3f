//! Failures of SQLite, in the bus's words.

use super::batch::DamagedBatch;
use crate::error::BusError;
use rusqlite::ErrorCode;

/// A failure of SQLite, in the bus's words.
pub(super) fn backend(context: &str, error: &rusqlite::Error) -> BusError {
    let retryable = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull | ErrorCode::SystemIoFailure)
    );
    let message = DamagedBatch::in_error(error).map_or_else(|| error.to_string(), DamagedBatch::to_string);
    BusError::Backend { context: context.to_owned(), message, retryable }
}
