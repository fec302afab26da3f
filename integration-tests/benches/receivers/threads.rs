//! What the threads of this process have taken of the CPU, by their names.

use std::collections::BTreeMap;

/// In a second the system counts so many ticks of a thread's time (`USER_HZ`, the same on all Linux).
const TICKS_PER_S: f64 = 100.0;

/// CPU seconds so far of the threads that there are; the system cuts names after 15 bytes.
pub(crate) fn cpu_s() -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return by_name };
    for thread in threads.flatten() {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        if let Some((name, cpu_s)) = of(&stat) {
            *by_name.entry(name).or_default() += cpu_s;
        }
    }
    by_name
}

/// Name and CPU seconds: the name is in parentheses, and of what is behind it the twelfth and thirteenth are ticks.
fn of(stat: &str) -> Option<(String, f64)> {
    let (before, behind) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let ticks: f64 = behind.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Some((name.to_owned(), ticks / TICKS_PER_S))
}
