"""Reads the shared traces into series. Every reader gives a list of `Series`, in a fixed order."""

from pathlib import Path

import numpy as np

from .columns import by_entity, read_table
from .series import Series, on_grid


def _columns(path: Path) -> dict[str, np.ndarray]:
    table = read_table(path)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def azure(data: Path) -> list[Series]:
    """CPU (mean and maximum, % of capacity) of 177 Azure VMs. CC-BY-4.0, Microsoft Azure."""
    c = _columns(data / "azure_v1_vm_cpu" / "azure_v1_vm_cpu_5min.parquet")
    out = []
    for vm, rows in by_entity(c["vm"].astype(str)):
        for column, resource in (("cpu_avg_pct", "cpu"), ("cpu_max_pct", "cpu_max")):
            out.append(on_grid(f"azure/{vm}#{resource}", c["t"][rows], c[column][rows].astype(float), 100.0))
    return out


def _metrics(columns, ids, prefix: str, skip: set[str], capacity: float | None) -> list[Series]:
    out = []
    names = [n for n in columns if n not in skip]
    for entity, rows in by_entity(ids):
        for name in names:
            values = columns[name][rows].astype(float)
            if np.nanmax(values) > np.nanmin(values) and np.nanmin(values) >= 0:
                out.append(on_grid(f"{prefix}/{entity}#{name}", columns["t"][rows], values, capacity))
    return out


def jumpstarter(data: Path) -> list[Series]:
    """19 unnamed KPIs of 12 services. MIT, NetManAIOps/JumpStarter."""
    out = []
    for file in ("dataset2_8services", "dataset3_4services"):
        c = _columns(data / "jumpstarter_services" / f"{file}.parquet")
        out += _metrics(c, c["service"].astype(str), f"jumpstarter/{file}", {"service", "t", "split", "label"}, None)
    return out


def asd(data: Path) -> list[Series]:
    """19 unnamed KPIs of 12 servers, scaled to 0..1. MIT, zhhlee/InterFusion."""
    c = _columns(data / "asd_servers" / "asd_servers.parquet")
    return _metrics(c, c["entity"].astype(str), "asd", {"entity", "t", "split", "label"}, 1.0)


def smd(data: Path) -> list[Series]:
    """38 KPIs of 3 machines, scaled to 0..1, put from 60 s onto the grid. MIT, NetManAIOps/OmniAnomaly."""
    c = _columns(data / "smd_servers" / "smd_3machines.parquet")
    return _metrics(c, c["entity"].astype(str), "smd", {"entity", "t", "split", "label"}, 1.0)


def ms_cloud(data: Path) -> list[Series]:
    """The 1-minute series of Microsoft's monitoring set (request and ingress rates). MIT."""
    c = _columns(data / "ms_cloud_monitoring" / "ms_cloud_monitoring.csv.zst")
    out = []
    for name, rows in by_entity(c["series"].astype(str)):
        at_s = c["ts"][rows]
        if np.median(np.diff(at_s)) > 60:
            continue
        out.append(on_grid(f"ms_cloud/{name}#value", at_s, c["value"][rows].astype(float), None))
    return [s for s in out if s is not None]


def bitbrains(data: Path) -> list[Series]:
    """CPU (cores) and active memory (GiB) of 400 VMs. Licence unclear: evaluation and local training only."""
    c = _columns(data / "bitbrains_rnd" / "vms400_2013-07_08.parquet")
    out = []
    for vm, rows in by_entity(c["vm_id"]):
        rows = rows[c["cpu_cores"][rows] > 0]
        if len(rows) == 0:
            continue
        cores = c["cpu_cores"][rows].astype(float)
        cpu = c["cpu_usage_pct"][rows].astype(float) / 100.0 * cores
        memory = c["mem_usage_mb"][rows].astype(float) / 1024.0
        memory_capacity = float(np.median(c["mem_capacity_mb"][rows].astype(float))) / 1024.0
        out.append(on_grid(f"bitbrains/{vm}#cpu", c["ts"][rows], cpu, float(np.median(cores))))
        out.append(on_grid(f"bitbrains/{vm}#memory", c["ts"][rows], memory, memory_capacity or None))
    return out


READERS = {
    "azure": azure,
    "jumpstarter": jumpstarter,
    "asd": asd,
    "smd": smd,
    "ms_cloud": ms_cloud,
    "bitbrains": bitbrains,
}
