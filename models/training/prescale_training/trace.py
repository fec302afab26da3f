"""Reads any trace by a mapping of its columns.

A mapping is written `entity=vm_id,time=ts,cpu=usage,cpu_capacity=cores,memory=mem_mb,memory_capacity=16384`:
`entity` and `time` name columns, every other word a resource and its column, and with `_capacity` behind it
the column or number of its capacity. Where each row tells of one KPI that it names, `kpi`, `value` and
`capacity` name those columns instead. `anomaly` names a column that is true (or not 0) where a row is not
to be learned from.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .anomalies import Stretch, read_stretches, usual
from .columns import SourceError, by_entity, instants_s, numbers, read_table
from .series import GRID_STEP_S, Series, on_grid

ARCHIVE_MAP = "entity=workload,time=at,kpi=kpi,value=last,capacity=capacity,anomaly=anomaly"
"""The archiver's table of fingerprints: `last` is the newest sample of the KPI at `at`."""

_CAPACITY = "_capacity"


@dataclass(frozen=True)
class Mapping:
    """`resources`: by name (column of values, column or number of the capacity, or ""). `kpi`: "" in wide traces."""

    entity: str
    time: str
    resources: dict[str, tuple[str, str]]
    kpi: str = ""
    anomaly: str = ""

    def columns(self) -> list[str]:
        """Every column that is read."""
        named = [self.entity, self.time, self.kpi, self.anomaly]
        for value, capacity in self.resources.values():
            named += [value, "" if _number(capacity) is not None else capacity]
        return list(dict.fromkeys(filter(None, named)))


def parse_mapping(text: str) -> Mapping:
    """The mapping that `text` writes."""
    pairs = {}
    for part in text.split(","):
        word, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not word or not column:
            raise SourceError(f"map: {part.strip()!r} is not of the form word=column")
        if word in pairs:
            raise SourceError(f"map: {word} is named twice")
        pairs[word] = column
    for word in ("entity", "time"):
        if word not in pairs:
            raise SourceError(f"map: {word}=COLUMN is missing")
    entity, time, anomaly = pairs.pop("entity"), pairs.pop("time"), pairs.pop("anomaly", "")
    kpi = pairs.pop("kpi", "")
    if kpi:
        resources = {"": (pairs.pop("value", ""), pairs.pop("capacity", ""))}
        if pairs or not resources[""][0]:
            raise SourceError("map: with kpi=COLUMN goes value=COLUMN, maybe capacity=COLUMN, and no other resource")
    else:
        names = [word for word in pairs if not word.endswith(_CAPACITY)]
        resources = {name: (pairs.pop(name), pairs.pop(name + _CAPACITY, "")) for name in names}
        if pairs or not resources:
            raise SourceError(f"map: {', '.join(pairs) or 'no resource'}: a capacity goes with a resource, as cpu=COLUMN")
    return Mapping(entity, time, resources, kpi, anomaly)


def read_trace(path: Path, mapping: Mapping, prefix: str, time_unit: str = "s", stretches: Path | None = None) -> list[Series]:
    """The series of a trace, named `prefix/entity#resource`, sorted by entity.

    What is marked, by the mapping's column or in the file `stretches`, is missing in them. A row that is marked stands for
    its whole bin: the archive marks the one with which the bin closes.
    """
    table = read_table(path, mapping.columns())
    at_s = instants_s(table.column(mapping.time), time_unit)
    marked = read_stretches(stretches) if stretches else {}
    keep = ~np.isnan(at_s)
    bins = np.floor_divide(at_s, GRID_STEP_S)
    unusual = np.nan_to_num(numbers(table.column(mapping.anomaly))) != 0 if mapping.anomaly else np.zeros(len(bins), bool)
    entities = _texts(table.column(mapping.entity))
    kpis = _texts(table.column(mapping.kpi)) if mapping.kpi else None
    values = {name: numbers(table.column(column)) for name, (column, _) in mapping.resources.items()}
    limits = {name: _limits(table, capacity) for name, (_, capacity) in mapping.resources.items()}
    out = []
    for entity, rows in by_entity(entities):
        keep[rows] &= ~np.isin(bins[rows], bins[rows][unusual[rows]])
        for name, column in values.items():
            for resource, mine in by_entity(kpis[rows]) if kpis is not None else [(name, slice(None))]:
                whole = rows[mine]
                used = whole[keep[whole] & usual(at_s[whole], marked.get(entity, _NONE), resource)]
                capacity = _median(limits[name], whole)
                out.append(on_grid(f"{prefix}/{entity}#{resource}", at_s[used], column[used], capacity))
    return [s for s in out if s is not None]


_NONE: list[Stretch] = []


def _texts(column) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False).astype(str)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _limits(table, capacity: str) -> np.ndarray | float | None:
    fixed = _number(capacity)
    return fixed if fixed is not None or not capacity else numbers(table.column(capacity))


def _median(limits: np.ndarray | float | None, rows: np.ndarray) -> float | None:
    if limits is None or isinstance(limits, float):
        return limits
    known = limits[rows][~np.isnan(limits[rows])]
    return float(np.median(known)) or None if len(known) else None
