"""Generated fleets: demand series of made-up workloads, for training and for tests.

Each series mixes what real ones show: daily and weekly seasons of random shape, weekends, trends,
autocorrelated noise, bursts, launches (level shifts), jobs at fixed hours, idling, stair-like memory
with leaks and releases, and missing bins.
"""

import numpy as np

from .schema import DAY_BINS, WEEK_BINS
from .series import Series

_ARCHETYPES = ("web", "batch", "idle", "random_walk", "memory_stairs", "memory_leak", "launching", "bursty", "scheduled", "memory_active")


def generated_fleet(count: int, bins: int, seed: int, missing: bool = True) -> list[Series]:
    """`count` series of `bins` bins; equal arguments give equal series."""
    fleet = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        archetype = _ARCHETYPES[i % len(_ARCHETYPES)]
        shape = globals()[f"_{archetype}"](bins, rng)
        capacity = float(rng.choice([1.0, 2.0, 4.0, 8.0, 16.0, 100.0]))
        if archetype.startswith("memory"):
            values = np.clip(shape, 0.0, 1.0) * capacity
        else:
            values = np.clip(shape * rng.uniform(0.05, 0.9), 0.0, 1.3) * capacity
        values = _rounded(values, capacity, rng)
        if missing and rng.random() < 0.5:
            values = _with_missing(values, rng)
        known = capacity if rng.random() < 0.8 else None
        fleet.append(Series(f"generated/{seed}/{i}", values, known, int(rng.integers(0, WEEK_BINS)) * 300))
    return fleet


def with_gaps(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of `values` with bins taken out: single ones and runs of up to a day and a half."""
    return _with_missing(values, rng)


def _with_missing(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = values.copy()
    out[rng.random(len(out)) < rng.choice([0.001, 0.01, 0.05])] = np.nan
    for _ in range(rng.poisson(len(out) / (5 * DAY_BINS))):
        begin = int(rng.integers(1, len(out)))
        out[begin : begin + int(np.exp(rng.uniform(0, np.log(1.5 * DAY_BINS))))] = np.nan
    out[0] = values[0]
    return out


def _rounded(values: np.ndarray, capacity: float, rng: np.random.Generator) -> np.ndarray:
    step = rng.choice([0.0, 0.0, 0.0001, 0.001, 0.01]) * capacity
    return np.round(values / step) * step if step > 0 else values


def _ar1(bins: int, keep: float, rng: np.random.Generator) -> np.ndarray:
    """Autoregressive noise of unit variance (Box and Jenkins 1970)."""
    noise = rng.standard_normal(bins) * np.sqrt(1 - keep * keep)
    out = np.empty(bins)
    last = rng.standard_normal()
    for t in range(bins):
        last = keep * last + noise[t]
        out[t] = last
    return out


def _daily(bins: int, rng: np.random.Generator) -> np.ndarray:
    """A daily profile around 0 of random harmonics, or of office hours."""
    phase = 2 * np.pi * (np.arange(bins) % DAY_BINS) / DAY_BINS
    if rng.random() < 0.3:
        hour = (np.arange(bins) % DAY_BINS) / 12
        begin, length = rng.uniform(5, 11), rng.uniform(4, 12)
        soft = rng.uniform(0.1, 1.5)
        return 1 / (1 + np.exp(-(hour - begin) / soft)) - 1 / (1 + np.exp(-(hour - begin - length) / soft)) - 0.3
    out = np.zeros(bins)
    for k in range(1, int(rng.integers(2, 6))):
        out += rng.normal() / k * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return out / 2


def _weekly(bins: int, rng: np.random.Generator) -> np.ndarray:
    """A factor per bin, lower on two days of the week for some."""
    day = (np.arange(bins) // DAY_BINS + int(rng.integers(0, 7))) % 7
    weekend = rng.uniform(0.2, 1.0) if rng.random() < 0.5 else 1.0
    return np.where(day >= 5, weekend, 1.0)


def _bursts(bins: int, rng: np.random.Generator, per_day: float) -> np.ndarray:
    out = np.zeros(bins)
    for begin in np.flatnonzero(rng.random(bins) < per_day / DAY_BINS):
        length = int(np.exp(rng.uniform(0, np.log(48)))) + 1
        height = np.exp(rng.normal(0, 0.8))
        burst = height * (np.exp(-np.arange(length) / rng.uniform(2, 20)) if rng.random() < 0.5 else np.ones(length))
        end = min(bins, begin + length)
        out[begin:end] += burst[: end - begin]
    return out


def _web(bins, rng):
    season = np.exp(rng.uniform(0.2, 1.2) * _daily(bins, rng)) * _weekly(bins, rng)
    trend = 1 + rng.normal(0, 0.2) * np.arange(bins) / WEEK_BINS
    noise = np.exp(rng.uniform(0.01, 0.25) * _ar1(bins, rng.choice([0.0, 0.5, 0.9, 0.97]), rng))
    return 0.4 * season * np.clip(trend, 0.2, 3) * noise + rng.choice([0.0, 0.1]) * _bursts(bins, rng, 1.0)


def _batch(bins, rng):
    period = int(rng.choice([12, 36, 72, 96, 144, 288, 288, 288]))
    length = max(1, int(period * rng.uniform(0.02, 0.5)))
    jitter = int(rng.choice([0, 1, 3]))
    out = np.full(bins, rng.uniform(0.01, 0.1))
    for begin in range(int(rng.integers(0, period)), bins, period):
        begin = max(0, begin + int(rng.integers(-jitter, jitter + 1)))
        out[begin : begin + max(1, int(length * rng.uniform(0.8, 1.2)))] += rng.uniform(0.7, 1.0)
    return out * np.exp(rng.uniform(0.01, 0.15) * rng.standard_normal(bins))


def _idle(bins, rng):
    base = rng.uniform(0.002, 0.05)
    return base * np.exp(rng.uniform(0.02, 0.4) * _ar1(bins, 0.3, rng)) + base * 8 * _bursts(bins, rng, rng.uniform(0.1, 4))


def _random_walk(bins, rng):
    level = _ar1(bins, rng.choice([0.98, 0.995, 0.999]), rng) * rng.uniform(0.1, 0.8)
    return 0.4 * np.exp(level + rng.uniform(0, 0.2) * rng.standard_normal(bins))


def _memory_stairs(bins, rng):
    steps = np.where(rng.random(bins) < rng.uniform(0.5, 6) / DAY_BINS, rng.normal(0, 0.1, bins), 0.0)
    level = rng.uniform(0.2, 0.7) + np.cumsum(steps)
    level = 0.05 + 0.9 * np.abs((level / 1.0) % 2 - 1)
    wave = rng.choice([0.0, 0.05]) * _daily(bins, rng)
    return level + wave + rng.uniform(0, 0.02) * _ar1(bins, 0.8, rng)


def _memory_leak(bins, rng):
    base, rate = rng.uniform(0.1, 0.4), rng.uniform(0.05, 0.5) / rng.uniform(0.2, 7) / DAY_BINS
    limit = base + rng.uniform(0.1, 0.5)
    out = np.empty(bins)
    level = base
    for t in range(bins):
        level += rate * (1 + 0.3 * rng.standard_normal())
        if level > limit:
            level = base
        out[t] = level
    return out + rng.uniform(0, 0.02) * rng.standard_normal(bins)


def _launching(bins, rng):
    level = np.zeros(bins)
    for begin in np.sort(rng.integers(0, bins, size=int(rng.integers(1, 8)))):
        level[begin:] = rng.uniform(0.0, 1.0)
    ramp = int(rng.choice([1, 1, 6, 36]))
    level = np.convolve(level, np.ones(ramp) / ramp)[:bins]
    return (level + 0.02) * np.exp(rng.uniform(0.1, 0.7) * _daily(bins, rng)) * np.exp(
        rng.uniform(0.01, 0.1) * _ar1(bins, 0.7, rng)
    )


def _bursty(bins, rng):
    noise = np.exp(rng.uniform(0.1, 0.6) * _ar1(bins, rng.uniform(0, 0.9), rng))
    return 0.15 * noise + rng.uniform(0.1, 0.5) * _bursts(bins, rng, rng.uniform(1, 20))


def _scheduled(bins, rng):
    """Near idle, with jobs at several fixed periods: backups, scans, reports."""
    out = rng.uniform(0.01, 0.1) * np.exp(rng.uniform(0.02, 0.3) * _ar1(bins, rng.uniform(0, 0.9), rng))
    for _ in range(int(rng.integers(1, 4))):
        period = int(rng.choice([3, 6, 12, 12, 48, 72, 144, 288, 288, 2016]))
        height, length = np.exp(rng.normal(-1.5, 1.0)), int(np.exp(rng.uniform(0, np.log(1 + period / 4))))
        for begin in range(int(rng.integers(0, period)), bins, period):
            out[begin : begin + max(1, length)] += height * np.exp(0.2 * rng.standard_normal())
    return out


def _memory_active(bins, rng):
    """Memory touched of late: it jumps when work comes and decays behind it."""
    work = (rng.random(bins) < rng.uniform(1, 40) / DAY_BINS) * np.exp(rng.normal(-1.5, 0.8, bins))
    season = np.exp(rng.choice([0.0, 0.3, 1.0]) * _daily(bins, rng))
    keep = 0.5 ** (1 / rng.uniform(1, 24))
    level, out = 0.0, np.empty(bins)
    for t in range(bins):
        level = keep * level + work[t] * season[t]
        out[t] = level
    return 0.05 + 0.15 * season + out + rng.uniform(0.002, 0.05) * _ar1(bins, rng.uniform(0, 0.9), rng)
