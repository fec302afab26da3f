"""The features of many series at once: arrays over [series, time] instead of loops.

Says the same as `reference`, which the tests hold it to.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .schema import (
    DAY_BINS,
    FEATURE_LIMIT,
    FEATURES,
    GRID_STEP_S,
    HORIZONS_BINS,
    HOUR_BINS,
    SCALE_HALF_LIFE_BINS,
    WEEK_BINS,
)

_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S


def forward_filled(values: np.ndarray) -> np.ndarray:
    """`values` [series, time] with each NaN replaced by the last value before it.

    Raises ValueError where a series begins with NaN.
    """
    if np.isnan(values[:, 0]).any():
        raise ValueError("a series starts at its first bin that is not missing")
    at = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum.accumulate(at, axis=1), axis=1)


def scales(values: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """The scale of each bin [series, time]; `capacity` [series], NaN where it is unknown."""
    decay = 0.5 ** (1.0 / SCALE_HALF_LIFE_BINS)
    magnitude = np.abs(values)
    missing = np.isnan(values)
    floor = np.where(np.isnan(capacity), 1e-9 * np.maximum(1.0, magnitude[:, 0]), 0.001 * capacity)
    average = np.zeros(len(values))
    weight = np.zeros(len(values))
    out = np.empty(values.shape)
    for t in range(values.shape[1]):
        seen = ~missing[:, t]
        average = np.where(seen, decay * average + (1 - decay) * magnitude[:, t], average)
        weight = np.where(seen, decay * weight + (1 - decay), weight)
        out[:, t] = np.maximum(floor, average / weight)
    return out


def features(values: np.ndarray, start_s: np.ndarray, capacity: np.ndarray):
    """Features [series, time, 18] float32 and scales [series, time] float64.

    `values` [series, time] with NaN where missing, `start_s` [series] the Unix second at which bin 0
    begins, `capacity` [series] with NaN where unknown.
    """
    values = np.asarray(values, dtype=np.float64)
    n, bins = values.shape
    filled = forward_filled(values)
    scale = scales(values, np.asarray(capacity, dtype=np.float64))
    out = np.zeros((n, bins, FEATURES), dtype=np.float64)
    out[..., 0] = filled
    out[:, 1:, 2] = filled[:, 1:] - filled[:, :-1]
    out[..., 3], out[..., 4], out[..., 5] = _hour(filled)
    if bins >= DAY_BINS:
        first = DAY_BINS - 1
        for column, h in zip((6, 7, 8), HORIZONS_BINS):
            out[:, first:, column] = filled[:, h - 1 : bins - DAY_BINS + h]
        for column, h in zip((9, 10), HORIZONS_BINS[1:]):
            maxima = sliding_window_view(filled, h, axis=1).max(axis=-1)
            out[:, first:, column] = maxima[:, : bins - first]
        out[:, first:, 12] = 1.0
    out[..., 11] = _trailing_mean(filled, DAY_BINS)
    for column in (0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        out[..., column] /= scale
    out[..., 1] = np.isnan(values)
    out[..., 13] = np.minimum(1.0, np.log(2.0 + np.arange(bins)) / np.log(1.0 + WEEK_BINS))
    out[..., 14:18] = calendar(np.asarray(start_s), bins)
    return np.clip(out, -FEATURE_LIMIT, FEATURE_LIMIT).astype(np.float32), scale


def calendar(start_s: np.ndarray, bins: int) -> np.ndarray:
    """Sine and cosine of the time of day and of the week (Monday 00:00 UTC = 0) [series, bins, 4]."""
    at_s = np.asarray(start_s, dtype=np.int64)[:, None] + GRID_STEP_S * np.arange(bins, dtype=np.int64)
    of_day = 2 * np.pi * (at_s % _DAY_S) / _DAY_S
    of_week = 2 * np.pi * ((at_s + 3 * _DAY_S) % _WEEK_S) / _WEEK_S
    return np.stack([np.sin(of_day), np.cos(of_day), np.sin(of_week), np.cos(of_week)], axis=-1)


def _hour(filled: np.ndarray):
    """Mean, population standard deviation and maximum of the last 12 bins, or of those there are."""
    padding = np.full((len(filled), HOUR_BINS - 1), np.nan)
    windows = sliding_window_view(np.concatenate([padding, filled], axis=1), HOUR_BINS, axis=1)
    full = windows[:, HOUR_BINS - 1 :]
    mean, std, peak = np.empty(filled.shape), np.empty(filled.shape), np.empty(filled.shape)
    mean[:, HOUR_BINS - 1 :] = full.mean(axis=-1)
    std[:, HOUR_BINS - 1 :] = full.std(axis=-1)
    peak[:, HOUR_BINS - 1 :] = full.max(axis=-1)
    for t in range(min(HOUR_BINS - 1, filled.shape[1])):
        head = filled[:, : t + 1]
        mean[:, t], std[:, t], peak[:, t] = head.mean(axis=1), head.std(axis=1), head.max(axis=1)
    return mean, std, peak


def _trailing_mean(filled: np.ndarray, width: int) -> np.ndarray:
    total = np.concatenate([np.zeros((len(filled), 1)), np.cumsum(filled, axis=1)], axis=1)
    end = np.arange(1, filled.shape[1] + 1)
    begin = np.maximum(0, end - width)
    return (total[:, end] - total[:, begin]) / (end - begin)
