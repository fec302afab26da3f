"""Rows for the windowed models: single bins with their window, features, targets and weight."""

from dataclasses import dataclass

import numpy as np

from . import layout
from .pool import Segments, Split
from .recipe import Windowed
from .regressors import Regressors, regressors
from .windows import windows_at

_SEGMENTS_AT_ONCE = 64
_COLD_BINS = 12


@dataclass(frozen=True)
class Samples:
    """N bins: what is regressed on, the targets [N, heads] in units of the scale, how much each counts [N]."""

    given: Regressors
    targets: np.ndarray
    weights: np.ndarray


def draw_samples(split: Split, windowed: Windowed, rows: int, seed: int) -> Samples:
    """`rows` bins, drawn from segments that begin with an empty past. Bins without all targets are passed over."""
    segments = Segments(split, windowed.segment_bins, seed)
    rng = np.random.default_rng([seed, 1])
    parts, found = [], 0
    while found < rows:
        x, y, weight, values, scale = segments.draw_whole(_SEGMENTS_AT_ONCE)
        y = y.reshape(*y.shape[:2], layout.HEADS)
        usable = ~np.isnan(y).any(axis=2)
        usable[:, :_COLD_BINS] = False
        at = np.argwhere(usable & (rng.random(usable.shape) < windowed.rows_per_segment / windowed.segment_bins))
        i, t = at[:, 0], at[:, 1]
        parts.append((windows_at(values, scale, i, t, windowed.window_bins), x[i, t], y[i, t], weight[i]))
        found += len(at)
    w, x, y, weight = (np.concatenate(part)[:rows] for part in zip(*parts))
    return Samples(regressors(w, x), y, weight)
