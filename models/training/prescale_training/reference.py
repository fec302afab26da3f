"""The features, computed bin by bin as FEATURES.md says them and with nothing clever.

This is the yardstick: the vectorised `features` module and the implementations in other languages
are tested against what this one gives. It shares no code with either.
"""

import math

import numpy as np


def reference_features(values, start_s: int, capacity: float | None):
    """The features and the scale of every bin of one series.

    `values[t]` is the mean demand of bin t (NaN: missing), `start_s` the Unix second at which bin 0
    begins, `capacity` in the unit of the values or None. Returns (features [T, 18] float64, scale
    [T] float64). The first bin must not be missing.
    """
    values = [float(v) for v in values]
    if not values or math.isnan(values[0]):
        raise ValueError("a series starts at its first bin that is not missing")
    floor = 0.001 * capacity if capacity is not None else 1e-9 * max(1.0, abs(values[0]))
    decay = 0.5 ** (1.0 / 288.0)

    filled = []
    average, observed = 0.0, 0
    rows, scales = [], []
    for t, v in enumerate(values):
        missing = math.isnan(v)
        if missing:
            filled.append(filled[-1])
        else:
            filled.append(v)
            average = decay * average + (1.0 - decay) * abs(v)
            observed += 1
        scale = max(floor, average / (1.0 - decay**observed))

        hour = filled[max(0, t - 11) : t + 1]
        day = filled[max(0, t - 287) : t + 1]
        hour_mean = sum(hour) / len(hour)
        hour_std = math.sqrt(sum((f - hour_mean) ** 2 for f in hour) / len(hour))
        has_day = t + 1 >= 288

        row = [0.0] * 18
        row[0] = filled[t] / scale
        row[1] = 1.0 if missing else 0.0
        row[2] = (filled[t] - filled[t - 1]) / scale if t > 0 else 0.0
        row[3] = hour_mean / scale
        row[4] = hour_std / scale
        row[5] = max(hour) / scale
        if has_day:
            row[6] = filled[t + 1 - 288] / scale
            row[7] = filled[t + 3 - 288] / scale
            row[8] = filled[t + 12 - 288] / scale
            row[9] = max(filled[t - 287 : t + 3 - 288 + 1]) / scale
            row[10] = max(filled[t - 287 : t + 12 - 288 + 1]) / scale
        row[11] = sum(day) / len(day) / scale
        row[12] = 1.0 if has_day else 0.0
        row[13] = min(1.0, math.log(1 + (t + 1)) / math.log(2017))
        at_s = start_s + 300 * t
        of_day = 2.0 * math.pi * (at_s % 86_400) / 86_400
        of_week = 2.0 * math.pi * ((at_s + 3 * 86_400) % 604_800) / 604_800
        row[14], row[15] = math.sin(of_day), math.cos(of_day)
        row[16], row[17] = math.sin(of_week), math.cos(of_week)
        rows.append([min(20.0, max(-20.0, x)) for x in row])
        scales.append(scale)
    return np.array(rows), np.array(scales)
