"""What windowed models regress on, computed with NumPy from windows and features.

`window_graph.add_regressors` writes the same as ONNX; a test compares the two.
"""

from dataclasses import dataclass

import numpy as np

from . import layout, window_layout
from .schema import FEATURE_INDEX, HOUR_BINS


@dataclass(frozen=True)
class Regressors:
    """Of N bins.

    `seen` [N, Z]: what decides. `anchors` [N, heads, A]: what the median may lean on, less the last
    value, in units of the scale. `local` [N]: how restless the series is, in units of the scale.
    `value` [N]: the last value in units of the scale.
    """

    seen: np.ndarray
    anchors: np.ndarray
    local: np.ndarray
    value: np.ndarray


def regressors(w: np.ndarray, x: np.ndarray) -> Regressors:
    """Of windows `w` [N, W] and features `x` [N, 18], both float32."""
    width = w.shape[1]
    changes = np.abs(np.diff(w, axis=1)) @ window_layout.change_weights(width)
    hour_std = x[:, FEATURE_INDEX["hour_std"]]
    local = np.abs(0.5 * (hour_std + changes[:, 0])) + np.float32(layout.LOCAL_FLOOR)
    value = x[:, FEATURE_INDEX["value"]]
    contrast, gate, offset = layout.contrast_matrices()
    of_features = (x @ contrast) * (x @ gate + offset)
    of_window = w @ window_layout.window_contrasts(width)
    extremes = np.stack(_extremes(w), axis=1) - value[:, None]
    told = np.concatenate([of_features, of_window, extremes], axis=1) / local[:, None]
    raw = np.concatenate([told, x[:, : window_layout.CALENDAR_FROM]], axis=1)
    sizes = np.concatenate([local[:, None], hour_std[:, None], changes[:, 1:], value[:, None]], axis=1)
    logs = 0.3 * np.log(np.abs(sizes) + np.float32(layout.LOG_FLOOR))
    seen = np.concatenate([raw / (1.0 + np.abs(raw) / layout.SQUASH), logs], axis=1)
    contrast, gate, offset = window_layout.feature_anchors()
    anchors = (x @ contrast) * (x @ gate + offset) + w @ window_layout.window_anchors(width)
    return Regressors(seen.astype(np.float32), anchors.reshape(len(x), layout.HEADS, -1), local, value)


def _extremes(w: np.ndarray) -> list[np.ndarray]:
    """Maxima and minima of the newest bins of the window, of the whole window at last."""
    ends = [min(n, w.shape[1]) for n in (*window_layout.EXTREMES, w.shape[1])]
    return [w[:, -n:].max(axis=1) for n in ends] + [w[:, -n:].min(axis=1) for n in (min(HOUR_BINS, w.shape[1]), ends[-1])]
