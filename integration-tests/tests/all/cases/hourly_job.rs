//! A job that comes again within the hour keeps the memory that it needs.

use super::run::{none_wrong, of_one_minute, shown};
use super::series::{DAY_S, GIB, HOUR_S, Workload, noise};

struct Job {
    seed: u64,
    /// Minutes of the hour.
    runs: std::ops::Range<i64>,
    cores: f64,
    gib: f64,
    capacity: (f64, f64),
}

const JOBS: [Job; 3] = [
    Job { seed: 1, runs: 5..11, cores: 0.9, gib: 2.6, capacity: (2.0, 4.0) },
    Job { seed: 2, runs: 40..44, cores: 1.6, gib: 5.0, capacity: (2.0, 8.0) },
    Job { seed: 3, runs: 22..37, cores: 0.5, gib: 1.2, capacity: (1.0, 3.0) },
];

fn name(job: &Job) -> String {
    format!("job-{}", job.seed)
}

pub(super) fn workloads() -> Vec<Workload> {
    let of = |job: &Job| {
        Workload::new(&name(job), job.capacity, (60, 4 * DAY_S), |at_s| {
            let noise = noise(job.seed, at_s);
            if job.runs.contains(&(at_s % HOUR_S / 60)) {
                (job.cores + 0.01 * noise, job.gib + 0.008 * noise)
            } else {
                (0.06 + 0.01 * noise, 0.31 + 0.01 * noise)
            }
        })
    };
    JOBS.iter().map(of).collect()
}

#[test]
fn no_action_leaves_less_memory_than_the_job_needs() {
    for job in &JOBS {
        let later = of_one_minute().actions_within(&name(job), DAY_S..4 * DAY_S);
        let short = later.iter().filter(|action| action.desired.memory_bytes() / GIB < job.gib);
        none_wrong(&format!("{} actions of a job of {} GiB", later.len(), job.gib), short.map(|a| shown(a)).collect());
    }
}

#[test]
fn the_reasons_name_the_peak() {
    for job in &JOBS {
        let later = of_one_minute().actions_within(&name(job), DAY_S..4 * DAY_S);
        let smaller = later.iter().filter(|action| action.desired.memory_bytes() < action.current.memory_bytes());
        let silent = smaller.filter(|action| !action.reasons.iter().any(|reason| reason.text.contains("peak")));
        none_wrong("the actions", silent.map(|action| shown(action)).collect());
    }
}
