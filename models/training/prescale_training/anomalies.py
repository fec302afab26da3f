"""Stretches that were marked as unusual: what lies in them is neither learned from nor scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .columns import SourceError, instants_s, read_table

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
    lasts), and `kpi` where a stretch is not of all (null: it is).
    """
    table = read_table(path)

    def one_of(names):
        for name in names:
            if name in table.column_names:
                return table.column(name)
        raise SourceError(f"{path} has none of the columns {', '.join(names)}; it has {', '.join(table.column_names)}")

    begins, ends = instants_s(one_of(_BEGINS)), instants_s(one_of(_ENDS))
    kpis = table.column("kpi").to_pylist() if "kpi" in table.column_names else [None] * len(begins)
    out: dict[str, list[Stretch]] = {}
    for workload, begin, end, kpi in zip(one_of(("workload",)).to_pylist(), begins, ends, kpis):
        out.setdefault(str(workload), []).append(Stretch(begin, np.inf if np.isnan(end) else end, kpi))
    return out


def usual(at_s: np.ndarray, stretches: list[Stretch], kpi: str) -> np.ndarray:
    """Which instants lie in no stretch of this KPI."""
    out = np.ones(len(at_s), dtype=bool)
    for stretch in stretches:
        if stretch.kpi in (None, kpi):
            out &= (at_s < stretch.begin_s) | (at_s >= stretch.end_s)
    return out
