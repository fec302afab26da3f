"""Exponential smoothing with fixed parameters, by statsmodels, for the tests of `exponential_smoothing`.

    pip install numpy pandas statsmodels && python goldens/ets.py > goldens/ets.json

The series follow from integer arithmetic and sines, so that the tests generate the same.
"""

import json

import numpy as np
import pandas as pd
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

DAY, AHEAD = 288, 24


def noise(t):
    """Uniform in [-0.5, 0.5), by one round of a linear congruential generator."""
    mixed = t.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 31)
    return ((mixed * np.uint64(1103515245) + np.uint64(12345)) % np.uint64(1 << 31)) / float(1 << 31) - 0.5


def forecast(model, smoothing):
    fit = model.smooth(np.array(smoothing))
    ahead = fit.get_prediction(start=len(fit.resid), end=len(fit.resid) + AHEAD - 1)
    return {
        "points": ahead.predicted_mean.tolist(),
        # The variance for innovations of variance 1.
        "variances": (ahead.forecast_variance / fit.scale).tolist(),
        "squares": float(np.sum(np.asarray(fit.resid) ** 2)),
    }


def damped_trend(level, trend, damping):
    t = np.arange(200)
    y = 5 + 0.02 * t + noise(t)
    options = {"trend": "add", "damped_trend": True} if damping else {}
    known = {"initial_level": 5.0, **({"initial_trend": 0.02} if damping else {})}
    model = ETSModel(pd.Series(y), error="add", initialization_method="known", **options, **known)
    smoothing = [level, trend, damping] if damping else [level]
    return {"level": level, "trend": trend, "damping": damping, **forecast(model, smoothing)}


def level_season(level, season):
    t = np.arange(DAY + 500)
    y = 3 + np.sin(2 * np.pi * (t % DAY) / DAY) + noise(t)
    first = y[:DAY]
    season_known = (first - first.mean()).astype(np.float32).astype(float)
    model = ETSModel(
        pd.Series(y[DAY:]), error="add", seasonal="add", seasonal_periods=DAY, initialization_method="known",
        initial_level=first.mean(), initial_seasonal=season_known,
    )
    return {"level": level, "season": season, **forecast(model, [level, season])}


golden = {
    "damped": [damped_trend(0.3, 0.0, 0.0), damped_trend(0.3, 0.03, 0.9), damped_trend(0.9, 0.09, 0.9)],
    "seasonal": [level_season(0.1, 0.1), level_season(0.6, 0.1)],
}
print(json.dumps(golden))
