"""Features of generated series, by numpy and scipy, for the test `golden`.

    pip install numpy scipy && python goldens/windows.py > goldens/windows.json

The series follow from integer arithmetic and sines, so that the test generates the same.
"""

import json

import numpy as np
from scipy import stats

STEP, START, COUNT = 60, 1_700_000_100, 15 * 1440 + 1
HOUR, DAY, WEEK = 3600, 86_400, 604_800
BINS = START // STEP + np.arange(COUNT, dtype=np.int64)


def noise(salt):
    """Uniform in [0, 1), by one round of a linear congruential generator."""
    mixed = (BINS.astype(np.uint64) * np.uint64(salt)) % np.uint64(1 << 31)
    return ((mixed * np.uint64(1103515245) + np.uint64(12345)) % np.uint64(1 << 31)) / float(1 << 31)


def series():
    t = BINS * STEP
    wave = lambda period, phase: np.cos(2 * np.pi * (t % period) / period + phase)
    cpu = 3 + 1.5 * wave(DAY, 0.4) + 0.5 * wave(HOUR, 2.0) + 0.3 * wave(WEEK, -1.0) + 0.4 * noise(2654435761)
    memory = 8e9 + 2e4 * np.arange(COUNT) + 3e8 * wave(DAY // 2, 1.0) + 1e8 * noise(40503)
    disk = 1e4 * np.floor(noise(69069) * 1000) ** 2 * (noise(65539) > 0.3)
    return {"cpu": cpu, "memory": memory, "disk": disk}


def season(period, t, y, mean_of):
    d = y - mean_of
    n, w = len(y), 2 * np.pi / period
    a, b = 2 / n * np.sum(d * np.cos(w * (t % period))), 2 / n * np.sum(d * np.sin(w * (t % period)))
    power = n * (a * a + b * b) / 2
    return [float(period), np.hypot(a, b), np.arctan2(-b, a), min(power / np.sum((y - y.mean()) ** 2), 1)]


def top(t, y, grid, offset):
    there = ~np.isnan(y)
    d = np.where(there, y - np.nanmean(y), 0)
    x, n = np.fft.rfft(d), len(y)
    order = sorted(range(1, (n - 1) // 2 + 1), key=lambda k: -abs(x[k]))[:3]
    found = []
    for k in order:
        period = n * grid / k
        phase = np.angle(x[k]) - 2 * np.pi * ((t[0] + offset) % period) / period
        strength = 2 * abs(x[k]) ** 2 / (there.sum() * np.sum(d**2))
        found.append([period, 2 * abs(x[k]) / there.sum(), float(np.angle(np.exp(1j * phase))), strength])
    return found


def acf(now, then, lag):
    pair = ~np.isnan(now) & ~np.isnan(then)
    return float(np.corrcoef(now[pair], then[pair])[0, 1]) if pair.sum() >= max(8, lag / 2) else None


def means(t, y, width, first, count):
    cells = t // width - first
    with np.errstate(invalid="ignore"):
        total = np.bincount(cells[(cells >= 0) & (cells < count)], y[(cells >= 0) & (cells < count)], count)
        number = np.bincount(cells[(cells >= 0) & (cells < count)], minlength=count)
        return (total / number).astype(np.float32).astype(float)


def window(t, y, places, pane):
    line = stats.linregress(t / 3600, y)
    pane_means = np.array([y[pane == p].mean() for p in pane])
    mean, std = y.mean(), y.std(ddof=1)
    quantiles = np.quantile(y, [0.5, 0.9, 0.95, 0.99], method="lower")
    return {
        "count": len(y), "missing_share": 1 - len(y) / places, "mean": mean, "std_dev": std,
        "min": y.min(), "max": y.max(),
        "p50": quantiles[0], "p90": quantiles[1], "p95": quantiles[2], "p99": quantiles[3],
        "trend_per_h": line.slope, "trend_std_err": line.stderr, "trend_r2": line.rvalue**2,
        "burstiness": (std - mean) / (std + mean), "season_1h": season(HOUR, t, y, pane_means),
    }


def features(y, there):
    y = y.astype(np.float32).astype(float)
    t_all = BINS * STEP
    end = t_all[-1]
    t, v = t_all[there], y[there]
    recent = t > end - HOUR
    short = window(t[recent], v[recent], 60, np.zeros(recent.sum()))
    grid = np.where(there, y, np.nan)[-60:]
    short["top_seasons"] = top(t_all[-60:], grid, STEP, 0)
    block = end // 300
    blocks = means(t, v, 300, block - 24, 24)
    short["acf_1h"] = acf(blocks[12:], blocks[:12], 12)
    first_s = (end // DAY - 7) * DAY
    inside = t >= first_s
    long = window(t[inside], v[inside], (end - first_s) // STEP + 1, t[inside] // DAY)
    hour = end // HOUR
    hours = means(t, v, HOUR, hour - 168, 168)
    hour_t = (hour - 168 + np.arange(168)) * HOUR + (HOUR - STEP) / 2
    long["top_seasons"] = top(hour_t, hours, HOUR, 0)
    known = ~np.isnan(hours)
    long["season_24h"] = season(DAY, hour_t[known], hours[known], hours[known].mean())
    long["season_7d"] = season(WEEK, hour_t[known], hours[known], hours[known].mean())
    long["acf_1h"] = acf(hours[1:], hours[:-1], 1)
    long["acf_24h"] = acf(hours[24:], hours[:-24], 24)
    last = hour // 3 - 1
    before = means(t, v, HOUR, (last - 111) * 3, 336)
    coarse = np.array([np.nanmean(before[3 * i : 3 * i + 3]) for i in range(112)])
    partly = int(hour % 3 > 0)
    long["acf_7d"] = acf(coarse[56 + partly :], coarse[partly:56], 56)
    return {"short": short, "long": long}


sent = (np.floor(noise(48271) * 1e6).astype(int) % 97 != 0) | (np.arange(COUNT) > COUNT - 3)
golden = {}
for salt, (name, y) in zip((16807, 69621, 39373), series().items()):
    golden[name] = features(y, sent & ((np.floor(noise(salt) * 1e6).astype(int) % 23 != 0) | (np.arange(COUNT) > COUNT - 3)))
print(json.dumps(golden, indent=1))
