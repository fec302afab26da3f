//! A reader that follows a topic while faults happen. It sees only what is committed, so whatever
//! it saw must be there afterwards, in the same order.

use crate::conformance::fixture::{bytes_by_partition, until};
use prescale_bus::{Bus, BusError, ConsumedRecord, ReadFrom};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[derive(Debug, Default)]
struct Shared {
    read: AtomicUsize,
    stop: AtomicBool,
    failed: Mutex<Option<String>>,
}

/// Follows one topic on a thread of its own.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<ConsumedRecord>>>,
}

impl Follower {
    /// Follows a topic from its beginning.
    ///
    /// # Panics
    /// When the reader cannot be opened for long.
    pub fn start(bus: &dyn Bus, topic: &str) -> Self {
        let mut reader = until("the reader to open", || bus.reader(topic, ReadFrom::Earliest).ok());
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut all = Vec::new();
            while !seen.stop.load(Ordering::SeqCst) {
                match reader.poll(1000, Duration::from_millis(100)) {
                    Ok((records, _)) => all.extend(records),
                    Err(BusError::Backend { retryable: true, .. }) => {}
                    Err(error) => {
                        *seen.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                        break;
                    }
                }
                seen.read.store(all.len(), Ordering::SeqCst);
            }
            all
        });
        Self { shared, thread: Some(thread) }
    }

    /// How many records it has read.
    ///
    /// # Panics
    /// When its reader failed for good.
    pub fn read(&self) -> usize {
        let failed = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*failed, None, "the follower's reader failed");
        self.shared.read.load(Ordering::SeqCst)
    }

    /// What it has read, by partition in the order in which it came.
    ///
    /// # Panics
    /// When offsets did not come in order.
    pub fn finish(mut self) -> BTreeMap<u32, Vec<Vec<u8>>> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("it is finished once");
        let records = thread.join().expect("the follower does not panic");
        let mut last: BTreeMap<u32, i64> = BTreeMap::new();
        for record in &records {
            let before = last.insert(record.partition, record.offset);
            assert!(before.is_none_or(|b| b < record.offset), "offset {} came after {before:?}", record.offset);
        }
        bytes_by_partition(&records)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}
