"""Prophet's fit and forecast on generated series, for the tests of `prophet`.

    pip install numpy pandas prophet && python goldens/prophet_map.py > goldens/prophet.json

The series follow from integer arithmetic and sines, so that the tests generate the same. A bin is 300 s;
bin 0 is the epoch.
"""

import json
import logging

import numpy as np
import pandas as pd
from prophet import Prophet

DAY, WEEK, AHEAD, FIRST = 288, 2016, 72, 5_000_000


def noise(t):
    """Uniform in [-0.5, 0.5), by one round of a linear congruential generator."""
    mixed = t.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 31)
    return ((mixed * np.uint64(1103515245) + np.uint64(12345)) % np.uint64(1 << 31)) / float(1 << 31) - 0.5


def day_only(t):
    """A daily wave whose level bends upwards in the middle."""
    return 3 + np.sin(2 * np.pi * t / DAY) + 0.5 * noise(t) + 0.002 * np.maximum(0, t - 400)


def day_and_week(t):
    day, week = 2 * np.pi * t / DAY, 2 * np.pi * t / WEEK
    return 10 + 2 * np.sin(day) + np.cos(3 * day) + 3 * np.cos(week) + noise(t) - 0.001 * np.maximum(0, t - 2500)


def case(of, count, weekly):
    t = np.arange(count)
    ds = pd.to_datetime((FIRST + np.arange(count + AHEAD)) * 300, unit="s")
    model = Prophet(daily_seasonality=10, weekly_seasonality=3 if weekly else False, yearly_seasonality=False)
    model.fit(pd.DataFrame({"ds": ds[:count], "y": of(t)}), tol_rel_obj=1e-3, iter=20000)
    yhat = model.predict(pd.DataFrame({"ds": ds}))["yhat"].to_numpy()
    return {
        "count": count, "weekly": weekly, "sigma": float(model.params["sigma_obs"].ravel()[0] * model.y_scale),
        "fitted": yhat[:count:97].tolist(), "ahead": yhat[count:].tolist(),
    }


logging.disable(logging.WARNING)
print(json.dumps({"day": case(day_only, 1000, False), "week": case(day_and_week, 2 * WEEK, True)}))
