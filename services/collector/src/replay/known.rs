//! Public traces that are known by their columns, with what their columns mean.

use super::form::TextForm;
use super::mapping::{InstantUnit, Mapping, listed};
use anyhow::{Result, bail};

/// A trace that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownTrace {
    /// What it is.
    pub name: &'static str,
    /// What a reader of its numbers has to know.
    pub remark: &'static str,
    columns: &'static [&'static str],
    workload: &'static str,
    instant: &'static str,
    capacity: Option<(&'static str, &'static str)>,
    kpis: &'static [(&'static str, &'static str)],
}

const KNOWN: [KnownTrace; 6] = [
    KnownTrace {
        name: "Bitbrains GWA-T-12",
        remark: "CPU is the share of the VM's cores; 1 KB is 1000 bytes",
        columns: &["ts", "vm_id", "cpu_cores", "cpu_usage_pct", "mem_capacity_mb", "mem_usage_mb", "disk_read_kbps"],
        workload: "'vm-' || vm_id",
        instant: "ts",
        capacity: Some(("cpu_cores", "mem_capacity_mb * 1048576.0")),
        kpis: &[
            (
                "cpu_cores_used",
                "case when cpu_cores > 0 then cpu_usage_pct / 100.0 * cpu_cores when cpu_usage_pct = 0 then 0.0 end",
            ),
            ("memory_bytes", "mem_usage_mb * 1048576.0"),
            ("disk_read_bytes_per_s", "disk_read_kbps * 1000.0"),
            ("disk_write_bytes_per_s", "disk_write_kbps * 1000.0"),
            ("network_receive_bytes_per_s", "net_rx_kbps * 1000.0"),
            ("network_transmit_bytes_per_s", "net_tx_kbps * 1000.0"),
        ],
    },
    KnownTrace {
        name: "Bitbrains GWA-T-12, as published",
        remark: "a file is a VM, and its name the VM's; instants are seconds though the header says ms; CPU is the share \
                 of the VM's cores; 1 KB of throughput is 1000 bytes",
        columns: &[
            "Timestamp [ms]",
            "CPU cores",
            "CPU usage [%]",
            "Memory capacity provisioned [KB]",
            "Memory usage [KB]",
            "Disk read throughput [KB/s]",
            "file",
        ],
        workload: "'vm-' || file",
        instant: "Timestamp [ms]",
        capacity: Some(("\"CPU cores\"", "\"Memory capacity provisioned [KB]\" * 1024.0")),
        kpis: &[
            ("cpu_cores_used", "\"CPU usage [%]\" / 100.0 * \"CPU cores\""),
            ("memory_bytes", "\"Memory usage [KB]\" * 1024.0"),
            ("disk_read_bytes_per_s", "\"Disk read throughput [KB/s]\" * 1000.0"),
            ("disk_write_bytes_per_s", "\"Disk write throughput [KB/s]\" * 1000.0"),
            ("network_receive_bytes_per_s", "\"Network received throughput [KB/s]\" * 1000.0"),
            ("network_transmit_bytes_per_s", "\"Network transmitted throughput [KB/s]\" * 1000.0"),
        ],
    },
    KnownTrace {
        name: "Azure 2017 (V1)",
        remark: "the VMs' sizes are not in the trace: CPU is as if each had one core, and there is no capacity",
        columns: &["vm", "t", "cpu_avg_pct", "cpu_max_pct"],
        workload: "'vm-' || vm",
        instant: "t",
        capacity: None,
        kpis: &[("cpu_cores_used", "cpu_avg_pct / 100.0")],
    },
    KnownTrace {
        name: "Alibaba 2018 machines",
        remark: "the machines' sizes are not in the trace: CPU is as if each had one core, and there is no capacity",
        columns: &["machine", "t", "cpu_pct", "mem_pct", "net_in", "net_out", "disk_io_pct"],
        workload: "machine",
        instant: "t",
        capacity: None,
        kpis: &[
            ("cpu_cores_used", "cpu_pct / 100.0"),
            ("memory_pct", "mem_pct"),
            ("network_receive_pct", "net_in"),
            ("network_transmit_pct", "net_out"),
            ("disk_io_pct", "case when disk_io_pct <= 100 then disk_io_pct end"),
        ],
    },
    KnownTrace {
        name: "web requests per minute",
        remark: "requests are per minute in the trace and per second here",
        columns: &["trace", "ts", "requests"],
        workload: "trace",
        instant: "ts",
        capacity: None,
        kpis: &[("requests_per_s", "requests / 60.0")],
    },
    KnownTrace {
        name: "Microsoft cloud monitoring",
        remark: "each series has a unit of its own",
        columns: &["domain", "series", "ts", "value"],
        workload: "domain || '.' || series",
        instant: "ts",
        capacity: None,
        kpis: &[("value", "value")],
    },
];

impl KnownTrace {
    /// The trace that has these columns.
    pub fn with_columns(columns: &[&str]) -> Option<Self> {
        KNOWN.into_iter().find(|known| known.columns.iter().all(|column| columns.contains(column)))
    }

    /// What its columns mean.
    pub fn mapping(&self) -> Mapping {
        let (cpu_capacity, memory_capacity) = self.capacity.unwrap_or_default();
        Mapping {
            workload: self.workload.to_owned(),
            instant: self.instant.to_owned(),
            instant_unit: InstantUnit::S,
            cpu_capacity: cpu_capacity.to_owned(),
            memory_capacity: memory_capacity.to_owned(),
            kpis: self.kpis.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            text: TextForm::default(),
        }
    }
}

/// The mapping that was given, or where it is empty that of the trace with these columns.
///
/// # Errors
/// When it is empty and the columns tell no trace that is known.
pub(super) fn mapping_for(given: &Mapping, columns: &[&str]) -> Result<Mapping> {
    if !given.is_empty() {
        return Ok(given.clone());
    }
    let Some(known) = KnownTrace::with_columns(columns) else {
        bail!(
            "[collector.replay.mapping] is empty and the file is no trace that is known; its columns are: {}; say which \
             hold what, such as workload = \"vm\", instant = \"ts\", kpis.cpu_cores_used = \"cpu\"; where each workload \
             has a column of its own, they become rows with --map 'layout=columns,entity=column,time=ts,cpu=value'",
            listed(columns)
        );
    };
    tracing::info!("the trace is read as {}: {}", known.name, known.remark);
    Ok(Mapping { text: given.text.clone(), ..known.mapping() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_own_columns_and_has_a_good_mapping() {
        for known in KNOWN {
            known.mapping().check().unwrap();
            assert_eq!(KnownTrace::with_columns(known.columns), Some(known));
        }
        assert_eq!(KnownTrace::with_columns(&["ts", "value"]), None);
    }
}
