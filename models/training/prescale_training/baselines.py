"""What a model must beat: seasonal naive (the value a day ago) and last value.

Each comes as a point (every quantile is the point) and with quantiles made of its own past residuals.
(Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., sections 5.2 and 5.5.)
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .features import forward_filled
from .schema import DAY_BINS, HORIZONS_BINS, KINDS, QUANTILE_LEVELS, WEEK_BINS
from .targets import targets

RESIDUALS_MIN = 50
REFRESH_BINS = 72


def last_value(values: np.ndarray) -> np.ndarray:
    """Points [series, time, horizon, kind]: the last value, for value and maximum alike."""
    points = forward_filled(values)[:, :, None, None]
    return np.broadcast_to(points, (*values.shape, len(HORIZONS_BINS), len(KINDS)))


def seasonal_naive(values: np.ndarray) -> np.ndarray:
    """Points [series, time, horizon, kind]: a day before the target; the last value before there was a day."""
    filled = forward_filled(values)
    bins = values.shape[1]
    out = last_value(values).copy()
    first = DAY_BINS - 1
    for i, h in enumerate(HORIZONS_BINS):
        if bins > first:
            out[:, first:, i, 0] = filled[:, h - 1 : bins - DAY_BINS + h]
            out[:, first:, i, 1] = sliding_window_view(filled, h, axis=1).max(axis=-1)[:, : bins - first]
    return out


def with_residual_quantiles(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Quantiles [series, time, horizon, kind, level]: point plus quantiles of the last week's residuals.

    The residuals' quantiles are renewed every 6 h from those known by then; below 50 they are 0.
    """
    residuals = (targets(values) - points).astype(np.float32)
    out = np.repeat(points[..., None], len(QUANTILE_LEVELS), axis=-1).astype(np.float32)
    for i, h in enumerate(HORIZONS_BINS):
        for k in range(len(KINDS)):
            for at in range(REFRESH_BINS, values.shape[1], REFRESH_BINS):
                known = residuals[:, max(0, at - h - WEEK_BINS + 1) : at - h + 1, i, k]
                out[:, at : at + REFRESH_BINS, i, k] += _quantiles(known)[:, None, :]
    return out


def _quantiles(known: np.ndarray) -> np.ndarray:
    """Quantiles [series, level] of each row's numbers that are not NaN, linear between neighbours."""
    ordered = np.sort(known, axis=1)
    count = (~np.isnan(known)).sum(axis=1)
    place = np.asarray(QUANTILE_LEVELS)[None] * np.maximum(0, count - 1)[:, None]
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(0, count - 1)[:, None])
    low, high = np.take_along_axis(ordered, below, 1), np.take_along_axis(ordered, above, 1)
    out = low + (place - below) * (high - low)
    return np.where((count >= RESIDUALS_MIN)[:, None], out, 0.0)
