//! Use beyond what a workload has, by multiples and all the time, is a mistake of units.

use super::run::{Run, none_wrong, shown};
use super::series::{DAY_S, START_S, noise};
use std::fmt::Write;

/// Hundredths of a percent of CPU and memory that each VM uses, and its size in cores and MiB.
const VMS: [(f64, f64, u32, u32); 3] =
    [(196.0, 5100.0, 4, 8192), (4100.0, 5105.0, 4, 16_384), (1190.0, 2400.0, 2, 4096)];

/// The exporter's "percent", mapped as percent.
const MAPPING: &str = "entity=vm,time=ts,cpu=cpu_usage_average / 100.0 * vcpus,\
                       memory=mem_usage_average / 100.0 * mem_mb * 1048576.0,\
                       cpu_capacity=vcpus,memory_capacity=mem_mb * 1048576.0";

fn csv() -> String {
    let mut text = "ts,vm,cpu_usage_average,vcpus,mem_usage_average,mem_mb\n".to_owned();
    for at_s in (0..DAY_S).step_by(300) {
        for (i, (cpu, memory, cores, mib)) in VMS.into_iter().enumerate() {
            let (cpu, memory) = (cpu * (1.0 + 0.2 * noise(i as u64, at_s)), memory * (1.0 + 0.01 * noise(7, at_s)));
            writeln!(text, "{},vm-{i},{cpu:.1},{cores},{memory:.1},{mib}", START_S + at_s).expect("a text takes all");
        }
    }
    text
}

#[test]
fn nothing_is_asked_for_on_numbers_of_another_unit() {
    let run = Run::over(&csv(), MAPPING);
    for i in 0..VMS.len() {
        let name = format!("vm-{i}");
        none_wrong("the actions", run.actions(&name).iter().map(shown).collect());
        assert!(!run.has_predictions(&name) || run.predictions(&name).iter().all(|made| made.capacity.is_none()));
    }
}
