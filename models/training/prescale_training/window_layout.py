"""The fixed numbers of the windowed models: what they compute from window and features before anything learned.

Both the fitting (NumPy, `regressors`) and the graph (ONNX, `window_graph`) are built from these arrays.

Units: everything is in units of the scale, until it is divided by the *local* unit, which says how
restless the series is of late: half the hour's standard deviation and half the mean change in the window.
"""

import numpy as np

from . import layout
from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, HOUR_BINS, KINDS

CHANGE_HALF_LIFE_BINS = 24
LAGS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 18, 23, 24, 36, 48, 60)
MEANS = (3, 6, 24)
EXTREMES = (6, 24)
ANCHORS = (*layout.ANCHORS[:4], "window_mean", "hour_phase")
CALENDAR_FROM = FEATURE_INDEX["time_of_day_sin"]


def change_weights(width: int) -> np.ndarray:
    """[width - 1, 3]: from the changes between the window's bins to their mean with a half-life, over an hour, over all."""
    age = np.arange(width - 2, -1, -1)
    decaying = 0.5 ** (age / CHANGE_HALF_LIFE_BINS)
    hour = (age < HOUR_BINS).astype(float)
    columns = [decaying, hour, np.ones(width - 1)]
    return np.stack([c / c.sum() for c in columns], axis=1).astype(np.float32)


def phase_lags(horizon_bins: int, width: int) -> np.ndarray:
    """How many bins before the newest the bins lie that stand whole hours before the target."""
    lags = np.arange(-horizon_bins % HOUR_BINS, width, HOUR_BINS)
    return lags if len(lags) else np.array([0])


def window_contrasts(width: int) -> np.ndarray:
    """[width, C]: linear in the window, less its newest value: lags, means, phase means per horizon."""
    columns = []
    for lag in LAGS:
        if lag < width:
            columns.append(_mean_of(np.array([lag]), width))
    columns += [_mean_of(np.arange(min(m, width)), width) for m in (*MEANS, width)]
    columns += [_mean_of(phase_lags(h, width), width) for h in HORIZONS_BINS]
    return np.stack(columns, axis=1)


def window_anchors(width: int) -> np.ndarray:
    """[width, heads * anchors]: the window's part of the anchors less the newest value."""
    out = np.zeros((width, layout.HEADS * len(ANCHORS)), dtype=np.float32)
    for head in range(layout.HEADS):
        horizon = HORIZONS_BINS[head // len(KINDS)]
        at = head * len(ANCHORS) + ANCHORS.index("window_mean")
        out[:, at] = _mean_of(np.arange(width), width)
        out[:, at + 1] = _mean_of(phase_lags(horizon, width), width)
    return out


def feature_anchors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, G, g): the features' part of the anchors less the value is `(x @ C) * (x @ G + g)`."""
    width = layout.HEADS * len(ANCHORS)
    contrast = np.zeros((FEATURES, width), dtype=np.float32)
    gate = np.zeros((FEATURES, width), dtype=np.float32)
    offset = np.ones(width, dtype=np.float32)
    for head in range(layout.HEADS):
        for j, name in enumerate(layout.anchor_features(head)):
            column = head * len(ANCHORS) + j
            contrast[FEATURE_INDEX["value"], column] = -1.0
            contrast[FEATURE_INDEX[name], column] = 1.0
            if name.startswith("day_ago"):
                gate[FEATURE_INDEX["has_day"], column], offset[column] = 1.0, 0.0
    return contrast, gate, offset


def _mean_of(lags: np.ndarray, width: int) -> np.ndarray:
    """[width]: the mean of the bins `lags` before the newest, less the newest."""
    out = np.zeros(width, dtype=np.float32)
    out[width - 1 - lags] = 1.0 / len(lags)
    out[width - 1] -= 1.0
    return out
