//! A job that comes again within the hour keeps the memory that it needs.

use super::run::{none_wrong, of_one_minute, shown, since_start_s};
use super::series::{DAY_S, GIB, HOUR_S, Workload, noise};
use prescale_domain::action::Action;
use prescale_domain::kpi::MEMORY_BYTES;
use prescale_domain::sample::Capacity;

struct Job {
    seed: u64,
    /// Minutes of the hour.
    runs: std::ops::Range<i64>,
    cores: f64,
    gib: f64,
    /// GiB that may be asked for: enough, and not far more.
    fine_gib: std::ops::RangeInclusive<f64>,
    capacity: (f64, f64),
}

const JOBS: [Job; 3] = [
    Job { seed: 1, runs: 5..11, cores: 0.9, gib: 2.6, fine_gib: 2.75..=3.25, capacity: (2.0, 4.0) },
    Job { seed: 2, runs: 40..44, cores: 1.6, gib: 5.0, fine_gib: 5.25..=6.25, capacity: (2.0, 8.0) },
    Job { seed: 3, runs: 22..37, cores: 0.5, gib: 1.2, fine_gib: 1.25..=1.5, capacity: (1.0, 3.0) },
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

/// What is asked for from the second day on.
fn later(job: &Job) -> Vec<&'static Action> {
    of_one_minute().actions_within(&name(job), DAY_S..4 * DAY_S)
}

fn gib(capacity: &Capacity) -> f64 {
    capacity.memory_bytes() / GIB
}

#[test]
fn no_action_leaves_less_memory_than_the_job_needs() {
    for (job, workload) in JOBS.iter().zip(workloads()) {
        let needs = workload.points.iter().filter_map(|point| point.gib).fold(0.0, f64::max);
        let short = later(job).into_iter().filter(|action| gib(&action.desired) < needs);
        none_wrong(&format!("the actions of a job of {needs} GiB"), short.map(shown).collect());
    }
}

#[test]
fn memory_is_asked_for_by_the_peak_and_not_far_above_it() {
    for job in &JOBS {
        let later = later(job);
        let is_less = |action: &Action| gib(&action.desired) < gib(&action.current);
        let all = of_one_minute().actions_within(&name(job), 0..4 * DAY_S);
        let first_s = all.iter().find(|action| is_less(action)).map(|action| since_start_s(action.decided_at));
        assert!(first_s.is_some_and(|s| s < 2 * DAY_S), "{}: less memory is first asked for {first_s:?}", name(job));
        let wrong = later.iter().filter(|action| is_less(action) && !job.fine_gib.contains(&gib(&action.desired)));
        none_wrong("the actions", wrong.map(|action| shown(action)).collect());
        let last = later.last().expect("there is one on the second day");
        assert!(job.fine_gib.contains(&gib(&last.desired)), "the last plan: {}", shown(last));
    }
}

#[test]
fn the_plan_of_memory_does_not_follow_each_run() {
    for job in &JOBS {
        let plans = of_one_minute().actions_within(&name(job), 2 * DAY_S..4 * DAY_S);
        let changed = plans.windows(2).filter(|pair| gib(&pair[0].desired) != gib(&pair[1].desired));
        let changes: Vec<String> = changed.map(|pair| shown(pair[1])).collect();
        assert!(changes.len() <= 4, "{}: within two days {}", name(job), changes.join("\n  "));
    }
}

#[test]
fn the_reasons_name_the_peak() {
    for job in &JOBS {
        // What is used at a peak is above this by less than a hundredth of a GiB.
        let peak = format!("{:.1}", job.gib);
        let names_it = |action: &Action| {
            let mut of_memory = action.reasons.iter().filter(|reason| reason.text.starts_with(MEMORY_BYTES));
            of_memory.any(|reason| reason.text.contains("peak") && reason.text.contains(&peak))
        };
        let smaller = later(job).into_iter().filter(|action| gib(&action.desired) < gib(&action.current));
        let smaller: Vec<&Action> = smaller.collect();
        assert!(!smaller.is_empty(), "{}: nothing less is asked for", name(job));
        let silent = smaller.into_iter().filter(|action| !names_it(action));
        none_wrong(&format!("the actions by a peak of {peak} GiB"), silent.map(shown).collect());
    }
}
