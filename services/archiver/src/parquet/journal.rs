//! Records of one partition and day that are not in a Parquet file yet: appended, and on disk, before
//! their position moves. An entry is its length, a checksum, the position and the record as it came.

use anyhow::{Context as _, Result, ensure};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const HEAD_BYTES: usize = 16;
/// No record is as long; a longer one is damage.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position in the log.
    pub(super) offset: i64,
    /// The record as it came.
    pub(super) value: Vec<u8>,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    is_dirty: bool,
}

impl Journal {
    /// Opens a journal, makes it when missing, and calls `each` with every whole entry. What a crash
    /// left unfinished at the end is cut off: its position has not moved.
    pub(super) fn open(path: &Path, mut each: impl FnMut(&Entry) -> Result<()>) -> Result<Self> {
        let said = || format!("cannot open {}", path.display());
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(said)?;
        let length = file.metadata().with_context(said)?.len();
        let mut whole = 0;
        let mut reader = BufReader::new(&file);
        while let Some(entry) = next(&mut reader).with_context(said)? {
            each(&entry)?;
            whole += (HEAD_BYTES + entry.value.len()) as u64;
        }
        drop(reader);
        if whole < length {
            tracing::warn!(journal = %path.display(), bytes = length - whole, "an unfinished entry is cut off");
            file.set_len(whole).with_context(said)?;
        }
        let mut file = BufWriter::new(file);
        file.seek(SeekFrom::Start(whole)).with_context(said)?;
        Ok(Self { path: path.to_owned(), file, is_dirty: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry; it is safe only after [`Self::sync`].
    pub(super) fn append(&mut self, offset: i64, value: &[u8]) -> Result<()> {
        let said = || format!("cannot write {}", self.path.display());
        ensure!(value.len() <= RECORD_BYTES_MAX, "a record of {} bytes is too long for the archive", value.len());
        let length = u32::try_from(value.len()).with_context(said)?;
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&checksum(offset, value).to_le_bytes());
        head[8..].copy_from_slice(&offset.to_le_bytes());
        self.file.write_all(&head).and_then(|()| self.file.write_all(value)).with_context(said)?;
        self.is_dirty = true;
        Ok(())
    }

    /// Waits until everything appended is on disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.is_dirty {
            let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
            synced.with_context(|| format!("cannot write {}", self.path.display()))?;
            self.is_dirty = false;
        }
        Ok(())
    }
}

/// Calls `each` with the entries of a journal, in order.
pub(super) fn each_entry(path: &Path, mut each: impl FnMut(&Entry) -> Result<()>) -> Result<()> {
    let said = || format!("cannot read {}", path.display());
    let mut reader = BufReader::new(File::open(path).with_context(said)?);
    while let Some(entry) = next(&mut reader).with_context(said)? {
        each(&entry)?;
    }
    Ok(())
}

fn checksum(offset: i64, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(value);
    hasher.finalize()
}

/// The next entry; `None` at the end, and where an entry is not whole.
fn next(reader: &mut impl std::io::Read) -> std::io::Result<Option<Entry>> {
    let mut head = [0; HEAD_BYTES];
    if !filled(reader, &mut head)? {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, offset @ ..] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let offset = i64::from_le_bytes(offset);
    if length > RECORD_BYTES_MAX {
        return Ok(None);
    }
    let mut value = Vec::new();
    reader.take(length as u64).read_to_end(&mut value)?;
    let is_whole = value.len() == length && checksum(offset, &value) == u32::from_le_bytes([c0, c1, c2, c3]);
    Ok(is_whole.then_some(Entry { offset, value }))
}

fn filled(reader: &mut impl std::io::Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(path: &Path) -> Vec<Entry> {
        let mut entries = Vec::new();
        Journal::open(path, |entry| {
            entries.push(entry.clone());
            Ok(())
        })
        .unwrap();
        entries
    }

    #[test]
    fn entries_come_back_and_what_is_torn_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.journal");
        let mut journal = Journal::open(&path, |_| Ok(())).unwrap();
        let written: Vec<Entry> = (0..4).map(|i| Entry { offset: i * 10, value: vec![i as u8; i as usize] }).collect();
        for entry in &written {
            journal.append(entry.offset, &entry.value).unwrap();
        }
        journal.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(entries(&path), written);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let left = entries(&path);
            assert_eq!(left, written[..left.len()], "cut to {cut}");
            let mut journal = Journal::open(&path, |_| Ok(())).unwrap();
            journal.append(99, b"new").unwrap();
            journal.sync().unwrap();
            assert_eq!(entries(&path).len(), left.len() + 1, "it goes on behind the last whole one");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(entries(&path).len() < written.len(), "byte {at}");
        }
    }
}
