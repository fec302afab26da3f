//! Peaks at the same times each night: seen in advance, and no earlier than that.

use super::run::{clock, none_wrong, of_five_minutes, shown, since_start_s};
use super::series::{DAY_S, HOUR_S, Workload, noise};
use prescale_domain::kpi::CPU_CORES_USED;

/// From the fourth night on what comes each night is known.
const KNOWN_FROM_NIGHT: i64 = 3;
const NIGHTS: i64 = 9;

/// A peak of each night: when it begins and ends, in seconds of the day, and its cores.
type Peak = (i64, i64, f64);

struct Nightly {
    seed: u64,
    peaks: [Peak; 2],
    capacity: (f64, f64),
}

const NIGHTLY: [Nightly; 3] = [
    Nightly { seed: 1, peaks: [(0, 2400, 3.4), (3 * HOUR_S, 12_600, 3.0)], capacity: (4.0, 8.0) },
    Nightly { seed: 2, peaks: [(HOUR_S, 6000, 6.5), (5 * HOUR_S, 20_700, 5.0)], capacity: (8.0, 8.0) },
    Nightly { seed: 3, peaks: [(2 * HOUR_S, 9900, 1.7), (6 * HOUR_S, 23_400, 1.5)], capacity: (2.0, 4.0) },
];
/// The same services with too few cores for their peaks.
const SMALL: [Nightly; 2] = [
    Nightly { seed: 11, capacity: (2.0, 4.0), ..NIGHTLY[0] },
    Nightly { seed: 12, capacity: (3.5, 4.0), ..NIGHTLY[1] },
];

impl Nightly {
    fn name(&self) -> String {
        format!("lookup-{}", self.seed)
    }

    fn workload(&self) -> Workload {
        Workload::new(&self.name(), self.capacity, (300, NIGHTS * DAY_S), |at_s| {
            let of_day = at_s % DAY_S;
            let scale = self.peaks[0].2 / 3.4;
            let day = 0.8 - 0.27 * ((of_day - HOUR_S) as f64 / DAY_S as f64 * std::f64::consts::TAU).cos();
            let peak = self.peaks.iter().find(|(from_s, to_s, _)| (*from_s..*to_s).contains(&of_day));
            let cores = peak.map_or(scale * day, |(_, _, cores)| *cores);
            (cores + 0.05 * scale * noise(self.seed, at_s), 3.0 + 0.03 * noise(8, at_s))
        })
    }

    /// When the peaks of the known nights begin, with their cores.
    fn known_peaks(&self) -> Vec<(i64, f64)> {
        let nights = KNOWN_FROM_NIGHT..NIGHTS;
        nights.flat_map(|night| self.peaks.map(|(from_s, _, cores)| (night * DAY_S + from_s, cores))).collect()
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    NIGHTLY.iter().chain(&SMALL).map(Nightly::workload).collect()
}

#[test]
fn peaks_are_forecast_and_not_too_early() {
    let run = of_five_minutes();
    for nightly in &NIGHTLY {
        let median = |at_s| run.forecast_at(&nightly.name(), CPU_CORES_USED, 900, at_s).maximum.median();
        let mut wrong = Vec::new();
        for (peak_s, cores) in nightly.known_peaks() {
            for at_s in [peak_s - 900, peak_s - 600].into_iter().filter(|at_s| median(*at_s) < 0.8 * cores) {
                wrong.push(format!("{}: {:.2} of {cores} cores", clock(at_s), median(at_s)));
            }
            let early_s = peak_s - 5400;
            if median(early_s) >= 0.8 * cores {
                wrong.push(format!("{}: {:.2} cores already", clock(early_s), median(early_s)));
            }
        }
        none_wrong(&nightly.name(), wrong);
    }
}

/// In the quarter of an hour before a peak: what was asked for last when it begins, and all that is decided within it.
#[test]
fn no_decrease_below_a_peak_before_it() {
    for nightly in &NIGHTLY {
        let name = nightly.name();
        let mut wrong = Vec::new();
        for (peak_s, cores) in nightly.known_peaks() {
            let from_s = peak_s - 900;
            // At full speed the governor's rulings come hours late, so it is the planner that is judged.
            let before = of_five_minutes().proposed_within(&name, 0..from_s + 1).pop();
            let within = of_five_minutes().proposed_within(&name, from_s + 1..peak_s);
            let judged = before.into_iter().chain(within);
            let short = judged.filter(|action| action.desired.cpu_cores() < 0.95 * cores);
            wrong.extend(short.map(|action| format!("before {}: {}", clock(peak_s), shown(action))));
        }
        none_wrong(&name, wrong);
    }
}

#[test]
fn too_few_cores_for_a_peak_are_added_before_it() {
    for nightly in &SMALL {
        let (from_s, _, cores) = nightly.peaks[0];
        let mut wrong = Vec::new();
        for night in KNOWN_FROM_NIGHT..NIGHTS {
            let peak_s = night * DAY_S + from_s;
            let before = of_five_minutes().proposed_within(&nightly.name(), peak_s - 1800..peak_s - 299);
            if before.iter().all(|action| action.desired.cpu_cores() < 0.97 * cores) {
                let most = before.iter().map(|action| action.desired.cpu_cores()).fold(0.0, f64::max);
                let then = of_five_minutes().actions(&nightly.name()).iter();
                let next = then.map(|a| (since_start_s(a.decided_at), a)).find(|(at_s, _)| *at_s >= peak_s - 299);
                let next = next.map_or("none".to_owned(), |(_, action)| shown(action));
                wrong.push(format!("{}: {most} cores are asked for in time; next {next}", clock(peak_s)));
            }
        }
        none_wrong(&nightly.name(), wrong);
    }
}
