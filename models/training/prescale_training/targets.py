"""What a forecast is held to: the value at each horizon and the maximum up to it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .schema import HORIZONS_BINS, KINDS


def targets(values: np.ndarray) -> np.ndarray:
    """Targets [series, time, horizon, kind] of `values` [series, time].

    Kind 0 is the value of bin t+h, kind 1 the maximum over bins t+1 .. t+h. NaN where the bin is
    missing or past the end; a maximum is NaN where any of its bins is.
    """
    n, bins = values.shape
    out = np.full((n, bins, len(HORIZONS_BINS), len(KINDS)), np.nan)
    for i, h in enumerate(HORIZONS_BINS):
        if bins <= h:
            continue
        out[:, : bins - h, i, 0] = values[:, h:]
        out[:, : bins - h, i, 1] = sliding_window_view(values[:, 1:], h, axis=1).max(axis=-1)
    return out
