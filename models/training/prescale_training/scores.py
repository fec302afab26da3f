"""What every table of scores is made of."""

import numpy as np

from .schema import HORIZONS_S, KINDS, QUANTILE_LEVELS
from .series import Series

HEADS = tuple(f"{kind}_{h}s" for kind in KINDS for h in HORIZONS_S)


def crps(q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Twice the mean pinball loss of quantiles [..., level] or of a point [..., 1] for truths [...]."""
    levels = np.array(QUANTILE_LEVELS)
    over = y[..., None] - q
    return 2.0 * np.maximum(levels * over, (levels - 1.0) * over).mean(axis=-1)


def size(one: Series, values: np.ndarray) -> float:
    """The series' mean demand over `values`, never 0: what its errors are measured in."""
    return max(float(np.nanmean(np.abs(values))), 0.001 * (one.capacity or 0.0), 1e-12)


def by_head(figures: np.ndarray) -> dict:
    """[horizon, kind, ...] by the names of `HEADS`, rounded."""
    return {f"{kind}_{h}s": rounded(figures[i, k]) for k, kind in enumerate(KINDS) for i, h in enumerate(HORIZONS_S)}


def rounded(value: float | np.ndarray):
    """To four places, a list of an array; None for NaN."""
    if np.ndim(value):
        return [rounded(one) for one in value]
    return None if np.isnan(value) else round(float(value), 4)
