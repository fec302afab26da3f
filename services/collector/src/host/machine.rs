//! Readings of this machine through sysinfo.

use super::rates::{Bytes, Counts, Rates, rates_between};
use anyhow::{Context as _, Result};
use prescale_domain::kpi::{self, Kpi, KpiKind, KpiName};
use prescale_domain::sample::Capacity;
use std::time::Instant;
use sysinfo::{DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Networks, System};

/// What Linux and the BSDs call the network that does not leave the machine.
const LOOPBACKS: [&str; 2] = ["lo", "lo0"];

/// This machine, with the reading that the next one is compared with.
pub(crate) struct Machine {
    system: System,
    disks: Disks,
    networks: Networks,
    last: Reading,
}

struct Reading {
    at: Instant,
    disks: Counts,
    networks: Counts,
}

/// KPIs and capacity at one instant.
pub(crate) struct Snapshot {
    /// The KPIs; what cannot be measured has no value.
    pub kpis: Vec<Kpi>,
    /// What the machine has.
    pub capacity: Option<Capacity>,
}

impl Machine {
    /// This machine; takes the first reading.
    ///
    /// # Errors
    /// When the platform cannot be read.
    pub(crate) fn open() -> Result<Self> {
        let mut system = System::new().context("cannot read this machine's CPU and memory")?;
        system.refresh_cpu_usage();
        let disks = Disks::new().context("cannot read this machine's disks")?;
        let networks = Networks::new().context("cannot read this machine's network interfaces")?;
        let nothing = Reading { at: Instant::now(), disks: Counts::new(), networks: Counts::new() };
        let mut machine = Self { system, disks, networks, last: nothing };
        machine.last = machine.reading();
        Ok(machine)
    }

    /// The KPIs since the last snapshot, or since it was opened.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let now = self.reading();
        let apart = now.at.duration_since(self.last.at);
        let disk = rates_between(&self.last.disks, &now.disks, apart).filter(|_| !now.disks.is_empty());
        let network = rates_between(&self.last.networks, &now.networks, apart).filter(|_| !now.networks.is_empty());
        self.last = now;
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let cores = self.system.cpus().len() as f64;
        let used = f64::from(self.system.global_cpu_usage()) / 100.0 * cores;
        let is_measured = apart >= MINIMUM_CPU_UPDATE_INTERVAL && used.is_finite() && cores > 0.0;
        let (memory, used_memory) = (self.system.total_memory() as f64, self.system.used_memory() as f64);
        let kpis = vec![
            gauge(kpi::CPU_CORES_USED, "cores", is_measured.then_some(used)),
            gauge(kpi::MEMORY_BYTES, "By", (memory > 0.0).then_some(used_memory)),
            rate(kpi::DISK_READ_BYTES_PER_S, disk, |r| r.inward),
            rate(kpi::DISK_WRITE_BYTES_PER_S, disk, |r| r.outward),
            rate(kpi::NETWORK_RECEIVE_BYTES_PER_S, network, |r| r.inward),
            rate(kpi::NETWORK_TRANSMIT_BYTES_PER_S, network, |r| r.outward),
        ];
        let capacity = (cores > 0.0 && memory > 0.0).then_some(Capacity {
            replicas: 1,
            cpu_cores_per_replica: cores,
            memory_bytes_per_replica: memory,
            instance_type: None,
        });
        Snapshot { kpis, capacity }
    }

    fn reading(&mut self) -> Reading {
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_io_usage());
        self.networks.refresh(true);
        // A device that is mounted twice is listed twice, with the same counts.
        let disks = self.disks.iter().map(|disk| {
            let usage = disk.usage();
            let bytes = Bytes { inward: usage.total_read_bytes, outward: usage.total_written_bytes };
            (disk.name().to_string_lossy().into_owned(), bytes)
        });
        let networks = self.networks.iter().map(|(name, data)| {
            let bytes = Bytes { inward: data.total_received(), outward: data.total_transmitted() };
            (name.to_string_lossy().into_owned(), bytes)
        });
        let networks = networks.filter(|(name, _)| !LOOPBACKS.contains(&name.as_str()));
        Reading { at: Instant::now(), disks: disks.collect(), networks: networks.collect() }
    }
}

fn gauge(name: &str, unit: &str, value: Option<f64>) -> Kpi {
    Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: unit.into(), value }
}

fn rate(name: &str, rates: Option<Rates>, of: impl Fn(Rates) -> f64) -> Kpi {
    Kpi { name: KpiName::new(name), kind: KpiKind::Rate, unit: "By/s".into(), value: rates.map(of) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory_and_uses_no_more_than_that() {
        let mut machine = Machine::open().unwrap();
        let snapshot = machine.snapshot();
        let capacity = snapshot.capacity.unwrap();
        assert!(capacity.cpu_cores() >= 1.0 && capacity.memory_bytes() > 1e6);
        let names: Vec<&str> = snapshot.kpis.iter().map(|k| k.name.as_str()).collect();
        assert_eq!(names.len(), 6);
        let memory = snapshot.kpis.iter().find(|k| k.name.as_str() == kpi::MEMORY_BYTES).unwrap().value.unwrap();
        assert!(memory > 0.0 && memory <= capacity.memory_bytes());
        for kpi in &snapshot.kpis {
            assert!(kpi.value.is_none_or(|v| v >= 0.0 && v.is_finite()), "{kpi:?}");
        }
    }

    #[test]
    fn loopback_is_left_out() {
        let mut machine = Machine::open().unwrap();
        assert!(machine.reading().networks.keys().all(|name| !name.starts_with("lo")));
    }
}
