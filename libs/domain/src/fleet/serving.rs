//! What becomes of a demand that meets a capacity: use, waiting, errors. It must not know where
//! either comes from.

use crate::sample::Capacity;

/// A request is given up after so long, in ms.
const GIVEN_UP_AFTER_MS: f64 = 10_000.0;
/// CPU in use grows so far, relative to the capacity: as a container's beyond its request, or a VM's on
/// a host that has room. If it could not, nobody who looks at use alone could tell a workload that needs
/// more from one that just fits.
pub const CPU_BURST: f64 = 1.5;
/// Memory in use grows so far before allocations fail, relative to the capacity.
const MEMORY_SHARE_MAX: f64 = 0.98;

/// What a workload would use if its capacity had no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// CPU, in cores.
    pub cpu_cores: f64,
    /// Memory, in bytes.
    pub memory_bytes: f64,
    /// Disk reads, in bytes/s.
    pub disk_read_bytes_per_s: f64,
    /// Disk writes, in bytes/s.
    pub disk_write_bytes_per_s: f64,
    /// Received from the network, in bytes/s.
    pub network_receive_bytes_per_s: f64,
    /// Sent to the network, in bytes/s.
    pub network_transmit_bytes_per_s: f64,
    /// Requests that arrive, where it serves any.
    pub requests: Option<Requests>,
}

/// Requests that arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// How many, per second.
    pub per_s: f64,
    /// Time that one takes when nothing is in its way, in ms.
    pub service_ms: f64,
    /// Share that fails whatever the capacity.
    pub failing_share: f64,
}

/// What a demand got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// Share of the demand that was met, from 0 to 1.
    pub share: f64,
    /// CPU in use, in cores; never more than [`CPU_BURST`] times the capacity.
    pub cpu_cores_used: f64,
    /// Memory in use, in bytes; never more than the capacity.
    pub memory_bytes: f64,
    /// How the requests fared.
    pub requests: Option<ServedRequests>,
}

/// How requests fared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServedRequests {
    /// Answered, per second.
    pub per_s: f64,
    /// Mean time to an answer, in ms.
    pub latency_ms: f64,
    /// Failed or given up, per second.
    pub errors_per_s: f64,
}

/// Serves a demand with a capacity. CPU and memory are capped; the share of the work that the
/// scarcer of the two leaves undone fails.
pub fn serve(demand: &Demand, capacity: &Capacity) -> Served {
    let (cores, memory_bytes) = (CPU_BURST * capacity.cpu_cores(), MEMORY_SHARE_MAX * capacity.memory_bytes());
    let share = part_of(cores, demand.cpu_cores).min(part_of(memory_bytes, demand.memory_bytes));
    let requests = demand.requests.map(|requests| {
        let answered = requests.per_s * share * (1.0 - requests.failing_share);
        ServedRequests {
            per_s: answered,
            latency_ms: latency_ms(requests.service_ms, demand.cpu_cores, cores),
            errors_per_s: requests.per_s - answered,
        }
    });
    Served {
        share,
        cpu_cores_used: demand.cpu_cores.min(cores),
        memory_bytes: demand.memory_bytes.min(memory_bytes),
        requests,
    }
}

/// The part of `wanted` that `there` covers.
fn part_of(there: f64, wanted: f64) -> f64 {
    if wanted > there { (there / wanted).max(0.0) } else { 1.0 }
}

/// Mean time to an answer in a queue before `cores` servers of which `busy_cores` are kept busy:
/// Sakasegawa's approximation of M/M/c ("An approximation formula Lq ≈ αρ^β/(1-ρ)", 1977), which
/// also holds for a number of servers that is not whole. It ends at the time-out.
pub fn latency_ms(service_ms: f64, busy_cores: f64, cores: f64) -> f64 {
    let utilisation = busy_cores / cores;
    if utilisation.is_nan() || utilisation >= 1.0 {
        return GIVEN_UP_AFTER_MS;
    }
    let waiting = utilisation.powf((2.0 * (cores + 1.0)).sqrt() - 1.0) / (cores * (1.0 - utilisation));
    (service_ms * (1.0 + waiting)).min(GIVEN_UP_AFTER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capacity(cores: f64, memory_bytes: f64) -> Capacity {
        Capacity {
            replicas: 1,
            cpu_cores_per_replica: cores,
            memory_bytes_per_replica: memory_bytes,
            instance_type: None,
        }
    }

    fn demand(cpu_cores: f64, memory_bytes: f64) -> Demand {
        Demand {
            cpu_cores,
            memory_bytes,
            disk_read_bytes_per_s: 1.0,
            disk_write_bytes_per_s: 1.0,
            network_receive_bytes_per_s: 1.0,
            network_transmit_bytes_per_s: 1.0,
            requests: Some(Requests { per_s: 100.0, service_ms: 20.0, failing_share: 0.0 }),
        }
    }

    #[test]
    fn with_one_server_it_is_the_exact_formula() {
        // M/M/1: T = S / (1 - rho).
        for utilisation in [0.1, 0.5, 0.9] {
            assert!((latency_ms(20.0, utilisation, 1.0) - 20.0 / (1.0 - utilisation)).abs() < 1e-9);
        }
    }

    #[test]
    fn with_many_servers_it_is_near_erlang_c() {
        // Erlang C for c = 8, rho = 0.9: mean wait of 0.8769 service times
        // (Python: a=7.2; B=1; for n in 1..8: B=a*B/(n+a*B); C=B/(1-0.9*(1-B)); C/(8*(1-0.9))).
        assert!((latency_ms(1.0, 7.2, 8.0) - 1.8769).abs() < 0.02, "{}", latency_ms(1.0, 7.2, 8.0));
    }

    #[test]
    fn what_is_not_served_fails() {
        let served = serve(&demand(8.0, 1e9), &capacity(4.0, 4e9));
        assert_eq!((served.share, served.cpu_cores_used), (0.75, 6.0));
        let requests = served.requests.unwrap();
        assert_eq!((requests.per_s, requests.errors_per_s), (75.0, 25.0));
        assert_eq!(requests.latency_ms, GIVEN_UP_AFTER_MS);
        let short_of_memory = serve(&demand(1.0, 8e9), &capacity(4.0, 4e9));
        assert!(short_of_memory.memory_bytes < 4e9 && short_of_memory.share < 0.5);
        let idle = serve(&demand(0.0, 0.0), &capacity(4.0, 4e9));
        assert_eq!((idle.share, idle.requests.unwrap().latency_ms), (1.0, 20.0));
    }

    proptest! {
        #[test]
        fn capacity_caps_use_and_more_of_it_is_never_worse(
            cpu in 0.0f64..100.0, memory in 0.0f64..1e12, cores in 0.01f64..100.0, bytes in 1.0f64..1e12, more in 1.0f64..10.0,
        ) {
            let less = serve(&demand(cpu, memory), &capacity(cores, bytes));
            let better = serve(&demand(cpu, memory), &capacity(cores * more, bytes * more));
            prop_assert!(less.cpu_cores_used <= CPU_BURST * cores && less.memory_bytes <= bytes);
            prop_assert!((0.0..=1.0).contains(&less.share) && better.share >= less.share);
            let (a, b) = (less.requests.unwrap(), better.requests.unwrap());
            prop_assert!(a.latency_ms.is_finite() && a.errors_per_s >= 0.0);
            prop_assert!(b.latency_ms <= a.latency_ms + 1e-9 && b.errors_per_s <= a.errors_per_s + 1e-9);
        }
    }
}
