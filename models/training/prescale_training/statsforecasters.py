"""AutoETS and AutoARIMA of Nixtla's statsforecast, fitted anew at each point, as forecasters to compare with.

AutoETS takes no season above 24 steps, and AutoARIMA with one of 288 takes minutes a point. So each is run
without a season, and once more behind MSTL, which takes the day out first (Bandara et al. 2021).
"""

import warnings

import numpy as np

from .schema import DAY_BINS, HORIZONS_BINS, KINDS, MEDIAN, QUANTILE_LEVELS
from .textbook import NORMAL

NAMES = ("autoets", "autoarima", "mstl_autoets", "mstl_autoarima")
_PATHS = 400
_LEVELS = (50, 80, 90, 98)
_SIDES = ("lo-90", "lo-80", "lo-50", "mean", "hi-50", "hi-80", "hi-90", "hi-98")


def make(name: str):
    """The statsforecast model of that name."""
    from statsforecast.models import MSTL, AutoARIMA, AutoETS

    unseasonal = {"autoets": lambda: AutoETS(season_length=1, model="ZZN"), "autoarima": lambda: AutoARIMA(season_length=1)}
    inner = unseasonal[name.removeprefix("mstl_")]()
    return MSTL(season_length=DAY_BINS, trend_forecaster=inner) if name.startswith("mstl_") else inner


def quantiles(name: str, history: np.ndarray, seed: int) -> tuple[np.ndarray, bool]:
    """([horizon, kind, level], whether the model could be fitted) from the values so far (no NaN).

    The value's come from the model's own intervals; the maximum's from simulated paths, where the model
    can simulate, else they are NaN. Where the fit fails, as AutoARIMA's does on some idle series, the last
    value with a normal interval stands in for it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = _fitted(name, history.astype(np.float64), seed)
        if np.isfinite(out[:, 0]).all():
            return np.sort(out, axis=-1), True
    except Exception:  # noqa: BLE001 - whatever a library raises on odd data, the other points count
        pass
    return _last_value(name, history), False


def _fitted(name: str, history: np.ndarray, seed: int) -> np.ndarray:
    assert len(_SIDES) == len(QUANTILE_LEVELS) and _SIDES[MEDIAN] == "mean"
    steps = max(HORIZONS_BINS)
    out = np.full((len(HORIZONS_BINS), len(KINDS), len(QUANTILE_LEVELS)), np.nan)
    fitted = make(name).fit(history)
    told = fitted.predict(h=steps, level=list(_LEVELS))
    out[:, 0] = np.stack([told[side] for side in _SIDES], axis=1)[[h - 1 for h in HORIZONS_BINS]]
    if not name.startswith("mstl_"):
        paths = np.asarray(fitted.simulate(h=steps, n_paths=_PATHS, seed=seed))
        for i, h in enumerate(HORIZONS_BINS):
            out[i, 1] = np.quantile(paths[:, :h].max(axis=1), QUANTILE_LEVELS)
    return out


def _last_value(name: str, history: np.ndarray) -> np.ndarray:
    deviation = np.sqrt(np.mean(np.diff(history) ** 2)) * np.sqrt(HORIZONS_BINS)
    value = history[-1] + deviation[:, None] * NORMAL
    return np.stack([value, np.full_like(value, np.nan) if name.startswith("mstl_") else value], axis=1)
