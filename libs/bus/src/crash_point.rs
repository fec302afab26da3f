//! Named points on each side of every effect, at which a process can be made to end as if it were
//! killed, so that a test can see what is left at each.
//!
//! Only a program that calls [`CrashPoint::arm`] ends so; no configuration reaches it, and passing a
//! point that is not armed costs one relaxed load. It is no Cargo feature on purpose: one member of
//! the workspace that asks for a feature turns it on for all, and what is tested here is the very
//! code that ships.

use std::sync::atomic::{AtomicU64, Ordering};

/// The armed point's number (from 1) in the upper half, passings left in the lower; 0 when none is.
static ARMED: AtomicU64 = AtomicU64::new(0);

macro_rules! crash_points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A point in the course of a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CrashPoint {
            $($(#[$doc])* $point,)*
        }

        impl CrashPoint {
            /// All of them, in the order in which a run comes by.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// Its name; it begins with the backend's, with `files` where a stage has files of its own, or with `cloud` where
            /// a cloud is called.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

crash_points! {
    /// A new producer has fenced its predecessors; what they left is not settled.
    KafkaFenced = "kafka-fenced",
    /// What earlier producers left is settled.
    KafkaSettled = "kafka-settled",
    /// A transaction is about to begin.
    KafkaReady = "kafka-ready",
    /// A transaction has begun and is empty.
    KafkaBegun = "kafka-begun",
    /// The records were given to the client, which may have sent none, some or all.
    KafkaProduced = "kafka-produced",
    /// The positions are part of the transaction.
    KafkaPositionsSent = "kafka-positions-sent",
    /// The broker has all records; the commit was not asked for.
    KafkaDelivered = "kafka-delivered",
    /// The broker has said that it commits; the log may not show it.
    KafkaCommitted = "kafka-committed",
    /// The log shows the commit; this process has not taken note of it.
    KafkaCommitSeen = "kafka-commit-seen",
    /// A snapshot is in its temporary file.
    KafkaSnapshotWritten = "kafka-snapshot-written",
    /// A snapshot has its name, which may not be on disk.
    KafkaSnapshotRenamed = "kafka-snapshot-renamed",
    /// A transaction is about to begin.
    EmbeddedReady = "embedded-ready",
    /// The position has moved within the open transaction.
    EmbeddedPositionMoved = "embedded-position-moved",
    /// The records are appended within the open transaction.
    EmbeddedAppended = "embedded-appended",
    /// The transaction is committed; this process has not taken note of it.
    EmbeddedCommitted = "embedded-committed",
    /// A snapshot's slices are stored, and the one before it is the one that counts.
    EmbeddedSnapshotSliced = "embedded-snapshot-sliced",
    /// The snapshot counts; the one before it is still there.
    EmbeddedSnapshotStored = "embedded-snapshot-stored",
    /// Records are in a stage's own files, on disk; their position has not moved.
    FilesAppended = "files-appended",
    /// A file of records is written beside its place.
    FilesWritten = "files-written",
    /// It has its name, and what it was written from is still there.
    FilesRenamed = "files-renamed",
    /// What it was written from is gone.
    FilesForgotten = "files-forgotten",
    /// A call that changes a cloud is written down, and was not made.
    CloudCalling = "cloud-calling",
    /// The cloud has answered such a call; this process has not taken note of it.
    CloudAnswered = "cloud-answered",
}

impl CrashPoint {
    /// The point of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|point| point.name() == name)
    }

    /// Makes this process abort at its `passing`-th passing of this point from now, counted from 1.
    /// It takes the place of what was armed before.
    pub fn arm(self, passing: u32) {
        ARMED.store(self.number() << 32 | u64::from(passing.max(1)), Ordering::SeqCst);
    }

    fn number(self) -> u64 {
        self as u64 + 1
    }

    /// Comes by this point.
    pub fn pass(self) {
        if ARMED.load(Ordering::Relaxed) != 0 {
            self.pass_armed();
        }
    }

    #[cold]
    fn pass_armed(self) {
        let counted = ARMED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |armed| {
            (armed >> 32 == self.number()).then(|| armed.saturating_sub(1))
        });
        if counted.is_ok_and(|before| before & u64::from(u32::MAX) == 1) {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CrashPoint;

    #[test]
    fn a_point_is_found_by_its_name() {
        for point in CrashPoint::ALL {
            assert_eq!(CrashPoint::named(point.name()), Some(*point));
        }
        assert_eq!(CrashPoint::named("nowhere"), None);
    }
}
