"""Which series a recipe trains on, and the segments drawn from them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import sources
from .columns import SourceError
from .features import features
from .generated import generated_fleet, with_gaps
from .recipe import Recipe, Source
from .schema import DAY_BINS, FEATURE_LIMIT, GRID_STEP_S, WEEK_BINS
from .series import Series, bucket_of
from .targets import targets
from .trace import ARCHIVE_MAP, Mapping, parse_mapping, read_trace

_SHORTEST_BINS = 2 * DAY_BINS


@dataclass
class Split:
    """Series of all sources by what they are for; `train` keeps each source's weight."""

    train: list[tuple[float, list[Series]]]
    validation: list[Series]
    test: list[Series]


def _read(source: Source, data: Path) -> list[Series]:
    if source.path:
        mapping = parse_mapping(source.map) if source.map else _named_columns(source)
        marked = Path(source.anomalies) if source.anomalies else None
        series = read_trace(Path(source.path), mapping, "history", source.time_unit, marked)
        wanted = [s for s in series if not source.kpis or s.name.rsplit("#", 1)[1] in source.kpis]
        wanted = [s for s in wanted if not source.workloads or s.workload.split("/", 1)[1] in source.workloads]
        wanted = [s for s in (_within(s, source.from_s, source.to_s) for s in wanted) if s is not None]
        if not wanted:
            raise SourceError(f"{source.path} has no series" + f" of {', '.join(source.kpis)}" * bool(source.kpis))
        return wanted
    if source.reader not in sources.READERS:
        raise SourceError(f"no reader {source.reader!r}; there are {', '.join(sources.READERS)}")
    return sources.READERS[source.reader](data)


def _within(series: Series, from_s: float, to_s: float) -> Series | None:
    """What a series has from an instant to before another; None where that is too short to train on."""
    if from_s == -math.inf and to_s == math.inf:
        return series
    bins = len(series.values)
    begin, end = (min(max((at_s - series.start_s) / GRID_STEP_S, 0), bins) for at_s in (from_s, to_s))
    return between(series, math.ceil(begin), math.ceil(end))


def _named_columns(source: Source) -> Mapping:
    if source.reader == "archive":
        return parse_mapping(ARCHIVE_MAP)
    resources = {source.value_column: (source.value_column, source.capacity_column)}
    return Mapping(source.workload_column, source.instant_column, resources)


def _cut(series: Series, from_day: float, to_day: float) -> Series | None:
    return between(series, int(from_day * DAY_BINS), int(min(to_day * DAY_BINS, len(series.values))))


def between(series: Series, begin: int, end: int) -> Series | None:
    """Bins `begin` to before `end` of a series, from the first that is not missing; None if too short to train on."""
    begin, end = max(0, begin), min(end, len(series.values))
    seen = np.flatnonzero(~np.isnan(series.values[begin:end]))
    if len(seen) == 0 or end - begin - seen[0] < _SHORTEST_BINS:
        return None
    first = begin + int(seen[0])
    return Series(series.name, series.values[first:end], series.capacity, series.start_s + first * GRID_STEP_S)


def read_sources(recipe: Recipe, data: Path) -> list[tuple[Source, list[Series]]]:
    """Each source of the recipe with all its series."""
    return [(source, _read(source, data)) for source in recipe.sources]


def fleet_of(recipe: Recipe) -> list[Series]:
    """The recipe's generated fleet."""
    return generated_fleet(recipe.generated.count, recipe.generated.bins, recipe.seed)


def split(recipe: Recipe, data: Path) -> Split:
    """Reads the recipe's sources and splits them by workload (and days, where the recipe says so)."""
    out = Split([], [], [])
    for source, all_series in read_sources(recipe, data):
        train = []
        for series in all_series:
            bucket = bucket_of(series.workload)
            if bucket < source.test_buckets:
                out.test.append(series)
            elif bucket < source.test_buckets + source.validation_buckets:
                out.validation.append(series)
            else:
                train.append(_cut(series, source.from_day, source.to_day))
        train = [s for s in train if s is not None]
        if train:
            out.train.append((source.weight, train))
    if recipe.generated.count:
        out.train.append((recipe.generated.weight, fleet_of(recipe)))
    if not out.train:
        raise SourceError("the recipe has nothing to train on: give it sources or a generated fleet")
    return out


class Segments:
    """Draws segments: a source by weight, a series, a place in it, and a variation of it."""

    def __init__(self, split: Split, bins: int, seed: int):
        weights = np.array([w for w, _ in split.train])
        self._chance = weights / weights.sum()
        self._lists = [s for _, s in split.train]
        self._bins = bins
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int):
        """Features [count, bins, 18], targets in units of scale [count, bins, 3, 2] (NaN: unknown), weight [count]."""
        x, y, weight, _, _ = self.draw_whole(count)
        return x, y, weight

    def draw_whole(self, count: int):
        """As `draw`, and behind it the values [count, bins] and scales [count, bins] that they were made of."""
        values = np.full((count, self._bins), np.nan)
        truth = np.full((count, self._bins), np.nan)
        start_s = np.zeros(count, dtype=np.int64)
        capacity = np.full(count, np.nan)
        for i in range(count):
            series = self._lists[self._rng.choice(len(self._lists), p=self._chance)]
            one = series[self._rng.integers(len(series))]
            seen, real, limit = self._varied(one)
            values[i, : len(seen)], truth[i, : len(real)] = seen, real
            capacity[i] = np.nan if limit is None else limit
            start_s[i] = GRID_STEP_S * self._rng.integers(WEEK_BINS)
        x, scale = features(values, start_s, capacity)
        y = np.clip(targets(truth) / scale[..., None, None], -FEATURE_LIMIT, FEATURE_LIMIT)
        return x, y.astype(np.float32), _weights(values, scale), values, scale

    def _varied(self, one: Series):
        """(values with bins taken out, the same values whole, capacity or None)."""
        rng = self._rng
        spare = len(one.values) - self._bins
        begin = int(rng.integers(spare + 1)) if spare > 0 else 0
        real = one.values[begin : begin + self._bins]
        real = real[int(np.flatnonzero(~np.isnan(real))[0]) :] if not np.isnan(real).all() else np.zeros(1)
        capacity = one.capacity if rng.random() < 0.7 else None
        if rng.random() < 0.15:
            lift = float(np.nanmean(np.abs(real))) * rng.uniform(0, 2)
            real, capacity = real + lift, None
        seen = with_gaps(real, rng) if rng.random() < 0.25 else real
        return seen, real, capacity


def _weights(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Smaller for series that change much: so that a few restless ones do not decide what is learned."""
    moved = np.abs(values[:, 12:] - values[:, :-12]) / scale[:, 12:]
    change = np.nansum(moved, axis=1) / np.maximum(1, (~np.isnan(moved)).sum(axis=1))
    return np.clip(np.sqrt(0.15 / (0.02 + change)), 0.2, 2.5).astype(np.float32)
