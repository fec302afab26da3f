"""Reads the columns of a trace: one Parquet or CSV file, or a folder of Parquet files such as the archiver writes."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

_UNITS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class SourceError(Exception):
    """A source that cannot be read; says which, why, and what to do."""


def read_table(path: Path, names: list[str] | None = None) -> pyarrow.Table:
    """The columns `names` (all, where None) of a .parquet, .csv or .csv.zst file, or of a folder's .parquet files.

    A folder is read with what is below it, such as `day=2026-01-31/part-0-17.parquet`, in the order of the
    names; hidden folders, where the archiver keeps what is not yet finished, are passed over.
    """
    if path.is_dir():
        files = parquet_below(path)
        if not files:
            raise SourceError(f"{path} holds no .parquet files")
        return pyarrow.concat_tables([_of_file(file, names) for file in files])
    if not path.is_file():
        raise SourceError(f"{path} is not there: pass the folder of the traces with --data")
    return _of_file(path, names)


def parquet_below(folder: Path) -> list[Path]:
    """The .parquet files of a folder and below it, as :func:`read_table` reads them."""
    below = (p.relative_to(folder) for p in folder.rglob("*.parquet"))
    return [folder / p for p in sorted(below) if not any(part.startswith(".") for part in p.parts)]


def _of_file(path: Path, names: list[str] | None) -> pyarrow.Table:
    if path.suffix == ".parquet":
        file = pyarrow.parquet.ParquetFile(path)
        _check(path, file.schema_arrow.names, names)
        return file.read(columns=names)
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
            table = pyarrow.csv.read_csv(plain)
    else:
        table = pyarrow.csv.read_csv(path)
    _check(path, table.column_names, names)
    return table.select(names) if names else table


def _check(path: Path, has: list[str], wanted: list[str] | None) -> None:
    for name in wanted or []:
        if name not in has:
            raise SourceError(f"{path} has no column {name!r}; it has {', '.join(has)}")


def numbers(column: pyarrow.ChunkedArray) -> np.ndarray:
    """The column as float64, null as NaN."""
    return column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)


def instants_s(column: pyarrow.ChunkedArray, unit: str = "s") -> np.ndarray:
    """Unix seconds as float64, null as NaN: of timestamps as they say themselves, of numbers in `unit`."""
    if pyarrow.types.is_timestamp(column.type):
        if column.type.unit == "ns":  # of this century, more than a double holds
            column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        unit, column = column.type.unit, column.cast(pyarrow.int64())
    if unit not in _UNITS_PER_S:
        raise SourceError(f"time unit {unit!r} is none of {', '.join(_UNITS_PER_S)}")
    return numbers(column) / _UNITS_PER_S[unit]


def by_entity(ids: np.ndarray):
    """(id, row indices) of each entity, sorted by id."""
    order = np.argsort(ids, kind="stable")
    names, begins = np.unique(ids[order], return_index=True)
    for name, rows in zip(names, np.split(order, begins[1:])):
        yield name, np.sort(rows)
