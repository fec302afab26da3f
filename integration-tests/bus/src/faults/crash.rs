//! Which process comes by which of the crash points, and how it ends there.

use prescale_bus::crash_point::CrashPoint;

/// Signal with which an aborted process ends.
pub const SIGABRT: i32 = 6;

/// Whether a source comes by the point, too.
pub fn is_of_sources(point: CrashPoint) -> bool {
    use CrashPoint as P;
    !matches!(
        point,
        P::KafkaPositionsSent
            | P::KafkaSnapshotWritten
            | P::KafkaSnapshotRenamed
            | P::EmbeddedSnapshotSliced
            | P::EmbeddedSnapshotStored
    )
}

/// Whether a process comes by the point only when it starts.
pub fn is_of_starts(point: CrashPoint) -> bool {
    matches!(point, CrashPoint::KafkaFenced | CrashPoint::KafkaSettled)
}

/// The points of a backend, by its name, in the order in which a run comes by.
pub fn of_backend(backend: &str) -> impl Iterator<Item = CrashPoint> {
    CrashPoint::ALL.iter().copied().filter(move |point| point.name().starts_with(backend))
}
