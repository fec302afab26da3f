"""Folds for cross-validation: what is trained on and what is scored, cut by time, by workload, or by both.

Workloads that the recipe holds out for good (`test_buckets`) are in no fold: they stay unseen.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .pool import Split, between, fleet_of, read_sources
from .recipe import Recipe
from .schema import DAY_BINS, GRID_STEP_S
from .series import Series, bucket_of

BY = ("time", "workload", "time-and-workload")
_WARM_UP_BINS = 2 * DAY_BINS


@dataclass(frozen=True)
class Fold:
    """`scored`: series, each with the slice of its bins that counts."""

    name: str
    parts: Split
    scored: list[tuple[Series, slice]]


@dataclass(frozen=True)
class Scheme:
    """How to cut. The first `first_share` of a source's time is always trained on; the rest makes the `folds`.

    With `sliding_days` only so many days before the cut are trained on, else all of them.
    """

    by: str
    folds: int
    first_share: float = 0.5
    sliding_days: float | None = None


def fold_of(workload: str, folds: int) -> int:
    """Which fold a workload is scored in; from its name alone, and not the number that `bucket_of` gives."""
    return int.from_bytes(hashlib.sha256(f"fold/{workload}".encode()).digest()[:8], "big") % folds


def folds(recipe: Recipe, data: Path, scheme: Scheme) -> list[Fold]:
    """The folds of a recipe. Generated fleets are trained on, and scored only where there is nothing else."""
    pools = [
        (source.weight, [s for s in series if bucket_of(s.workload) >= source.test_buckets])
        for source, series in read_sources(recipe, data)
    ]
    always = []
    if recipe.generated.count:
        (always if pools else pools).append((recipe.generated.weight, fleet_of(recipe)))
    return [_fold(pools, always, scheme, number) for number in range(scheme.folds)]


def _fold(pools, always, scheme: Scheme, number: int) -> Fold:
    train, scored = [], []
    for weight, series in pools:
        cut = _time_cut(series, scheme, number) if scheme.by != "workload" else None
        trained = []
        for one in series:
            inside = scheme.by == "time" or fold_of(one.workload, scheme.folds) == number
            if inside:
                scored += _scored(one, cut)
            if scheme.by == "time" or not inside:
                trained.append(one if cut is None else _before(one, cut[0], scheme.sliding_days))
        trained = [s for s in trained if s is not None]
        if trained:
            train.append((weight, trained))
    return Fold(f"{scheme.by} {number + 1}/{scheme.folds}", Split(train + always, [], []), scored)


def _time_cut(series: list[Series], scheme: Scheme, number: int) -> tuple[int, int]:
    """(first, last) instant in Unix seconds of what is scored; one for all series of a source."""
    begin = min(s.start_s for s in series)
    end = max(s.start_s + GRID_STEP_S * len(s.values) for s in series)
    first = begin + (end - begin) * scheme.first_share
    step = (end - first) / scheme.folds
    return int(first + number * step), int(first + (number + 1) * step)


def _bin_at(series: Series, instant_s: int) -> int:
    return -((series.start_s - instant_s) // GRID_STEP_S)


def _scored(one: Series, cut: tuple[int, int] | None) -> list[tuple[Series, slice]]:
    if cut is None:
        return [(one, slice(_WARM_UP_BINS, None))]
    begin, end = _bin_at(one, cut[0]), min(_bin_at(one, cut[1]), len(one.values))
    if end <= max(begin, _WARM_UP_BINS):
        return []
    seen = Series(one.name, one.values[:end], one.capacity, one.start_s)
    return [(seen, slice(max(begin, _WARM_UP_BINS), end))]


def _before(one: Series, instant_s: int, sliding_days: float | None) -> Series | None:
    end = _bin_at(one, instant_s)
    begin = 0 if sliding_days is None else end - round(sliding_days * DAY_BINS)
    return between(one, begin, end) if end > 0 else None
