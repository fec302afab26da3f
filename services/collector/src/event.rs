//! What the collector tells whoever runs it: progress and ends of its sources.

use prescale_domain::time::EventTime;
use std::collections::BTreeMap;

/// Something that a source tells. The set is closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The replay has come so far.
    ReplayProgress {
        /// Rows that are done.
        rows_done: u64,
        /// Rows that there are.
        rows_total: u64,
    },
    /// The replay has come to its end.
    ReplayEnded(ReplayReport),
    /// The history of a Prometheus has come so far.
    PrometheusProgress {
        /// What is before it is read.
        at: EventTime,
        /// Now.
        until: EventTime,
    },
    /// The history of a Prometheus is read, or where it was read before a stop, what came meanwhile; and what comes is
    /// read live. Told once.
    PrometheusLive,
    /// Remote write is received.
    RemoteWriteListens {
        /// Where.
        url: String,
    },
    /// Line protocol is received.
    InfluxListens {
        /// Where.
        url: String,
    },
    /// OTLP is received, over gRPC and HTTP.
    OtlpListens {
        /// Where.
        url: String,
    },
    /// The generated fleet's history has come so far.
    FleetProgress {
        /// Instant of the next sample.
        at: EventTime,
        /// Instant that the history goes to, as far as is known now.
        until: EventTime,
    },
    /// The generated fleet has caught up with the clock and goes on live.
    FleetLive,
    /// The generated fleet has come to the end of its span.
    FleetEnded {
        /// Samples that it wrote since it was made.
        samples_written: u64,
    },
}

/// What became of a trace. Every row is accounted for:
/// `rows_read == samples_written + rows_joined + rows_dropped.values().sum()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Rows within the range, and those that have no instant.
    pub rows_read: u64,
    /// Samples written to `raw-kpis`, one for each workload and instant.
    pub samples_written: u64,
    /// Rows that added KPIs to the sample of another row.
    pub rows_joined: u64,
    /// Rows that held another value of a KPI than a row before it of the same workload and instant, which was used.
    pub rows_differing: u64,
    /// Rows that could not become a sample, by reason.
    pub rows_dropped: BTreeMap<&'static str, u64>,
    /// Instant of the first sample.
    pub first_at: Option<EventTime>,
    /// Instant of the last sample.
    pub last_at: Option<EventTime>,
    /// What was left out of the files and why, and what was taken for granted: a sentence each.
    pub notes: Vec<String>,
}
