"""ARIMA with given parameters, by statsmodels, for the tests of `arima`.

    pip install numpy statsmodels && python goldens/arima.py > goldens/arima.json

The series follow from integer arithmetic, so that the tests generate the same.
"""

import json
import warnings

import numpy as np
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.stattools import kpss

COUNT, AHEAD = 400, 24


def noise(t):
    """Uniform in [-0.5, 0.5), by one round of a linear congruential generator."""
    mixed = t.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 31)
    return ((mixed * np.uint64(1103515245) + np.uint64(12345)) % np.uint64(1 << 31)) / float(1 << 31) - 0.5


def series(ar, ma, integrated):
    """From noise by the recursion of the model, started at nothing."""
    e = noise(np.arange(COUNT))
    y = np.zeros(COUNT)
    for t in range(COUNT):
        y[t] = e[t]
        y[t] += sum(c * y[t - i - 1] for i, c in enumerate(ar) if t > i)
        y[t] += sum(c * e[t - i - 1] for i, c in enumerate(ma) if t > i)
    return np.cumsum(y) if integrated else y


def case(ar, ma, integrated, gap):
    y = series(ar, ma, integrated)
    if gap:
        y[gap[0] : gap[1]] = np.nan
    order = (len(ar), int(integrated), len(ma))
    model = ARIMA(y, order=order, trend="n", concentrate_scale=True)
    given = model.smooth(np.array([*ar, *ma]))
    ahead = given.get_forecast(AHEAD)
    best = model.fit(method_kwargs={"maxiter": 500})
    return {
        "ar": ar, "ma": ma, "integrated": integrated, "gap": gap,
        "log": float(given.llf), "variance": float(given.scale),
        "points": ahead.predicted_mean.tolist(),
        # The variances for innovations of variance 1.
        "variances": (ahead.var_pred_mean / given.scale).tolist(),
        "best_log": float(best.llf), "best": best.params.tolist(),
    }


t = np.arange(COUNT)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    golden = {
        "cases": [
            case([0.7], [], False, None),
            case([], [0.5], False, None),
            case([0.5, 0.3], [-0.4], False, [100, 130]),
            case([0.6, -0.3, 0.2], [0.4, 0.2, -0.1], False, None),
            case([0.4], [-0.6], True, None),
            case([], [-0.5], True, None),
        ],
        "kpss": {
            name: {str(lags): float(kpss(y, regression="c", nlags=lags)[0]) for lags in (0, 4, 12)}
            for name, y in {"noise": noise(t), "walk": np.cumsum(noise(t))}.items()
        },
    }
print(json.dumps(golden))
