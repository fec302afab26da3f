"""A demand series on the 300 s grid, and how samples get onto the grid."""

import hashlib
from dataclasses import dataclass

import numpy as np

from .schema import GRID_STEP_S


@dataclass(frozen=True)
class Series:
    """Demand of one workload and one resource.

    `values[t]` is the mean of bin t (NaN: missing, but never the first), `capacity` in the same unit or
    None, `start_s` the Unix second at which bin 0 begins, a multiple of 300. `workload` says whose it
    is: series of one workload are never split between training and evaluation.
    """

    name: str
    values: np.ndarray
    capacity: float | None
    start_s: int

    @property
    def workload(self) -> str:
        """The name up to its last `#`, behind which the resource stands."""
        return self.name.rsplit("#", 1)[0]


def capacities(series: list[Series]) -> np.ndarray:
    """The capacity of each; NaN where it is not known."""
    return np.array([np.nan if s.capacity is None else s.capacity for s in series])


def on_grid(name: str, at_s: np.ndarray, values: np.ndarray, capacity: float | None) -> Series | None:
    """The mean of the samples in each bin; None where there is no sample. NaN values are no samples."""
    keep = np.isfinite(values)
    if not keep.any():
        return None
    index = np.floor_divide(at_s[keep], GRID_STEP_S).astype(np.int64)
    first = int(index.min())
    count = np.bincount(index - first)
    total = np.bincount(index - first, weights=values[keep])
    with np.errstate(invalid="ignore"):
        means = total / count
    return Series(name, means, capacity, first * GRID_STEP_S)


def bucket_of(workload: str) -> int:
    """A number 0 .. 99 that follows from the workload's name alone: who is held out."""
    return int.from_bytes(hashlib.sha256(workload.encode()).digest()[:8], "big") % 100
