//! Generated series of workloads, and their trace as CSV.

use std::fmt::Write;

/// First instant of every series, in seconds since 1970: 2024-03-04T00:00:00Z, a Monday.
pub(super) const START_S: i64 = 1_709_510_400;
pub(super) const HOUR_S: i64 = 3600;
pub(super) const DAY_S: i64 = 86_400;
pub(super) const GIB: f64 = 1_073_741_824.0;

/// A workload of a case.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: String,
    /// Capacity, in cores and GiB.
    pub(super) capacity: (f64, f64),
    pub(super) points: Vec<Point>,
}

/// What was measured at an instant; `None` is written as NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Seconds since [`START_S`].
    pub(super) at_s: i64,
    pub(super) cores: Option<f64>,
    pub(super) gib: Option<f64>,
}

impl Workload {
    /// A workload with a value at each step; `value` gives cores and GiB at so many seconds since the start.
    pub(super) fn new(
        name: &str,
        capacity: (f64, f64),
        (step_s, length_s): (i64, i64),
        value: impl Fn(i64) -> (f64, f64),
    ) -> Self {
        let point = |at_s: i64| {
            let (cores, gib) = value(at_s);
            Point { at_s, cores: Some(cores), gib: Some(gib) }
        };
        Self { name: name.to_owned(), capacity, points: (0..length_s / step_s).map(|i| point(i * step_s)).collect() }
    }

    /// GiB at an instant, where they were measured.
    pub(super) fn gib_at(&self, at_s: i64) -> Option<f64> {
        self.at(at_s)?.gib
    }

    fn at(&self, at_s: i64) -> Option<&Point> {
        self.points.binary_search_by_key(&at_s, |point| point.at_s).ok().map(|i| &self.points[i])
    }
}

/// A number within -1 to 1 that follows from both.
pub(super) fn noise(seed: u64, at_s: i64) -> f64 {
    let mut mixed = (seed << 40) ^ at_s as u64;
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    2.0 * (mixed >> 11) as f64 / (1u64 << 53) as f64 - 1.0
}

/// The columns of [`csv`].
pub(super) const MAPPING: &str = "entity=vm,time=ts,cpu=cpu,memory=mem,cpu_capacity=cores,memory_capacity=mem_cap";

/// The workloads as a trace.
pub(super) fn csv(workloads: &[Workload]) -> String {
    let mut text = "ts,vm,cpu,mem,cores,mem_cap\n".to_owned();
    for Workload { name, capacity: (cores, gib), points } in workloads {
        for point in points {
            let field = |value: Option<f64>| value.map_or_else(|| "NaN".to_owned(), |value| value.to_string());
            let (at_s, cpu, memory) = (START_S + point.at_s, field(point.cores), field(point.gib.map(|gib| gib * GIB)));
            writeln!(text, "{at_s},{name},{cpu},{memory},{cores},{}", gib * GIB).expect("a text takes all");
        }
    }
    text
}
