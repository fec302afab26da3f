"""Stretches that were marked as unusual: what lies in them is neither learned from nor scored.

What the archive has of anomalies (`anomalies/`) is told while it goes on: the newest record of an `anomaly_id` counts. One
that lasted for longer than a day, or goes on for as long, is no incident but what is normal since, and is learned from. One
of which no end is told is taken to last for that day at most.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .columns import SourceError, instants_s, parquet_below, read_table

LASTING_S = 86_400.0
"""What the archive has of anomalies is left out where it is no longer than this."""

_BEGINS, _ENDS = ("from", "started_at"), ("to", "ended_at")


@dataclass(frozen=True)
class Stretch:
    """From `begin_s` to before `end_s`; of every KPI where `kpi` is None."""

    begin_s: float
    end_s: float
    kpi: str | None


def read_stretches(path: Path) -> dict[str, list[Stretch]]:
    """By workload the stretches in a Parquet or CSV file.

    Columns: `workload`, `from` or `started_at`, `to` or `ended_at` (timestamps or Unix seconds; null: it
    lasts), and `kpi` where a stretch is not of all (null: it is). With `anomaly_id` and `at` it is the archive's table,
    which has no folder before its first day is over, but journals.
    """
    is_archived = (path.parent / ".open" / path.name).is_dir()
    if is_archived and not parquet_below(path):
        return {}
    table = read_table(path)
    is_archive = "anomaly_id" in table.column_names
    newest = _newest_of_each(table) if is_archive else np.ones(table.num_rows, dtype=bool)
    told_s = instants_s(table.column("at")) if is_archive else None

    def one_of(names):
        for name in names:
            if name in table.column_names:
                return table.column(name)
        raise SourceError(f"{path} has none of the columns {', '.join(names)}; it has {', '.join(table.column_names)}")

    begins, ends = instants_s(one_of(_BEGINS)), instants_s(one_of(_ENDS))
    kpis = table.column("kpi").to_pylist() if "kpi" in table.column_names else [None] * len(begins)
    out: dict[str, list[Stretch]] = {}
    for row, (workload, begin, end, kpi) in enumerate(zip(one_of(("workload",)).to_pylist(), begins, ends, kpis)):
        if not newest[row]:
            continue
        if is_archive and (told_s[row] if np.isnan(end) else end) - begin > LASTING_S:
            continue
        last = begin + LASTING_S if is_archive else np.inf
        out.setdefault(str(workload), []).append(Stretch(begin, last if np.isnan(end) else end, kpi))
    return out


def _newest_of_each(table) -> np.ndarray:
    """Which rows are of the newest record of their anomaly."""
    ids, at_s = table.column("anomaly_id").to_pylist(), instants_s(table.column("at"))
    newest: dict[str, float] = {}
    for anomaly, at in zip(ids, at_s):
        newest[anomaly] = max(at, newest.get(anomaly, -np.inf))
    return np.array([newest[anomaly] == at for anomaly, at in zip(ids, at_s)], dtype=bool)


def usual(at_s: np.ndarray, stretches: list[Stretch], kpi: str) -> np.ndarray:
    """Which instants lie in no stretch of this KPI."""
    out = np.ones(len(at_s), dtype=bool)
    for stretch in stretches:
        if stretch.kpi in (None, kpi):
            out &= (at_s < stretch.begin_s) | (at_s >= stretch.end_s)
    return out
