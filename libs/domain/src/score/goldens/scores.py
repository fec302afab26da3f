"""Writes scores.json: figures of a few generated forecasts, computed by GluonTS.

pip install "gluonts==0.16.*" && python scores.py
"""

import json
from pathlib import Path

import numpy as np
from gluonts.ev import metrics
from gluonts.ev.aggregations import Mean

LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
DECILES = [k / 10 for k in range(1, 10)]

rng = np.random.default_rng(7)
truth = np.round(rng.gamma(2.0, 3.0, 60) * (rng.random(60) > 0.1), 3)
quantiles = np.sort(np.round(rng.gamma(2.0, 3.0, (60, len(LEVELS))), 3), axis=1)


def column(level: float) -> np.ndarray:
    """The quantile at a level, linear between the levels that a forecast has."""
    return np.array([np.interp(level, LEVELS, row) for row in quantiles])


data = {"label": truth[None], "mean": column(0.5)[None], "seasonal_error": np.ones((1, 1))}
data |= {str(q): column(q)[None] for q in sorted(set(LEVELS) | set(DECILES))}


def of(definition) -> float:
    evaluator = definition(axis=None)
    evaluator.update(data)
    return float(evaluator.get())


golden = {
    "truth": truth.tolist(),
    "quantiles": quantiles.tolist(),
    "mean_weighted_sum_quantile_loss": of(metrics.MeanWeightedSumQuantileLoss(DECILES)),
    "mean_absolute_error": of(metrics.MAE("0.5")),
    "coverage_90": float(np.mean((truth >= quantiles[:, 0]) & (truth <= quantiles[:, 6]))),
    "quantile_loss_sums": [of(metrics.SumQuantileLoss(q=q)) for q in LEVELS],
}
Path(__file__).with_name("scores.json").write_text(json.dumps(golden) + "\n")
