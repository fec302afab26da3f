"""Seasonal naive and last value as textbooks have them: a point, and a normal interval from the errors so far.

(Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., sections 5.2 and 5.5.) The
baselines of `baselines`, with quantiles of their own errors, are harder to beat.
"""

from statistics import NormalDist

import numpy as np

from . import baselines
from .schema import HORIZONS_BINS, QUANTILE_LEVELS
from .targets import targets

NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])


def seasonal_naive(values: np.ndarray) -> np.ndarray:
    """Quantiles [series, time, horizon, kind, level] around the value a day before."""
    return _around(baselines.seasonal_naive(values), values)


def last_value(values: np.ndarray) -> np.ndarray:
    """Quantiles [series, time, horizon, kind, level] around the last value."""
    return _around(baselines.last_value(values), values)


def _around(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The points with the root mean square of their errors known by then as deviation, per horizon and kind."""
    square = (targets(values) - points) ** 2
    known = ~np.isnan(square)
    deviation = np.zeros_like(points, dtype=np.float64)
    for i, h in enumerate(HORIZONS_BINS):
        total = np.cumsum(np.where(known, square, 0.0)[:, :, i], axis=1)
        count = np.cumsum(known[:, :, i], axis=1)
        mean = np.sqrt(total / np.maximum(1, count))
        deviation[:, h:, i] = mean[:, : values.shape[1] - h]
    return points[..., None] + deviation[..., None] * NORMAL
