"""The windows of windowed models, as FEATURES.md says them."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .features import forward_filled
from .schema import FEATURE_LIMIT


def windows_at(values: np.ndarray, scale: np.ndarray, rows: np.ndarray, bins: np.ndarray, width: int) -> np.ndarray:
    """Windows [K, width] float32, oldest first, of the K places (series `rows`[k], bin `bins`[k]).

    `values` and `scale` [series, time], NaN where missing. Missing bins hold the last value before them,
    bins before the series began its first value; in units of the scale of the window's newest bin.
    """
    filled = forward_filled(np.asarray(values, dtype=np.float64))
    padded = np.concatenate([np.repeat(filled[:, :1], width - 1, axis=1), filled], axis=1)
    picked = sliding_window_view(padded, width, axis=1)[rows, bins] / scale[rows, bins][:, None]
    return np.clip(picked, -FEATURE_LIMIT, FEATURE_LIMIT).astype(np.float32)
