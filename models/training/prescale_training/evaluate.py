"""Scores a model folder against the baselines, every forecaster on the same bins.

CRPS (Gneiting and Raftery 2007) is approximated by twice the mean pinball loss over the 8 levels.
Demand is not negative, so every forecaster's quantiles are clamped at 0 first. Scored are bins that
have a value themselves and whose targets are all known. Coverage counts a truth that equals the
quantile by half, since idle workloads sit at exactly 0 for long.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from . import baselines
from .generated import generated_fleet
from .pool import split
from .recipe import load_recipe
from .runner import model_quantiles
from .schema import DAY_BINS, QUANTILE_LEVELS
from .scores import HEADS, by_head, crps, rounded, size
from .series import Series, capacities
from .sources import bitbrains
from .targets import targets

FORECASTERS = ("model", "seasonal_naive", "seasonal_naive_point", "last_value", "last_value_point")
_BATCH = 24
_ENDLESS_DAYS = 1e6


def series_for(on: str, recipe: Path, data: Path, series_max: int | None) -> list[Series]:
    """The series of one evaluation set."""
    if on == "held-out":
        series = [s for s in split(load_recipe(recipe), data).test if not s.name.endswith("#cpu_max")]
    elif on == "bitbrains":
        series = bitbrains(data)
    else:
        series = generated_fleet(80, 14 * DAY_BINS, seed=987_654)
    if series_max and series_max < len(series):
        series = [series[i] for i in np.linspace(0, len(series) - 1, series_max).astype(int)]
    return series


def _batch_figures(model: Path, work: list[tuple[Series, slice]]) -> list[dict]:
    """Per series: CRPS [forecaster, horizon, kind], coverage of the model [horizon, kind, level], mean demand."""
    series = [s for s, _ in work]
    values = np.full((len(series), max(len(s.values) for s in series)), np.nan)
    for i, s in enumerate(series):
        values[i, : len(s.values)] = s.values
    y = targets(values)
    scored = ~np.isnan(values) & ~np.isnan(y).any(axis=(2, 3))
    inside = np.zeros(values.shape, dtype=bool)
    for i, (_, bins) in enumerate(work):
        inside[i, bins] = True
    scored &= inside
    naive, last = baselines.seasonal_naive(values), baselines.last_value(values)
    made = {
        "model": lambda: model_quantiles(model, values, np.array([s.start_s for s in series]), capacities(series)),
        "seasonal_naive": lambda: baselines.with_residual_quantiles(naive, values),
        "seasonal_naive_point": lambda: naive[..., None],
        "last_value": lambda: baselines.with_residual_quantiles(last, values),
        "last_value_point": lambda: last[..., None],
    }
    errors = np.zeros((len(series), len(FORECASTERS), *y.shape[2:]))
    coverage = np.zeros((len(series), *y.shape[2:], len(QUANTILE_LEVELS)))
    for j, name in enumerate(FORECASTERS):
        q = np.maximum(made[name](), 0.0)
        for i in range(len(series)):
            if not scored[i].any():
                continue
            truth, quantiles = y[i, scored[i]], q[i, scored[i]]
            errors[i, j] = crps(quantiles, truth).mean(axis=0)
            if name == "model":
                over = truth[..., None] - quantiles
                coverage[i] = 0.5 * ((over <= 0).mean(axis=0) + (over < 0).mean(axis=0))
    out = []
    for i, s in enumerate(series):
        if scored[i].any():
            mean = size(s, values[i, scored[i]])
            out.append({"name": s.name, "mean": mean, "crps": errors[i], "coverage": coverage[i], "bins": int(scored[i].sum())})
    return out


def score(model: Path, work: list[tuple[Series, slice]], processes: int) -> list[dict]:
    """Per series with scored bins its errors and coverage; the slice says which bins of the series are scored."""
    work = sorted(work, key=lambda one: -len(one[0].values))
    batches = [work[i : i + _BATCH] for i in range(0, len(work), _BATCH)]
    of_batch = partial(_batch_figures, model)
    if processes > 1 and len(batches) > 1:
        with ProcessPoolExecutor(processes) as pool:
            done = list(pool.map(of_batch, batches))
    else:
        done = [of_batch(b) for b in batches]
    return [row for batch in done for row in batch]


def evaluate(model: Path, series: list[Series], on: str, days: tuple[float, float], processes: int) -> dict:
    """Figures of `model` on `series`: per resource relative CRPS by horizon and kind, and coverage.

    Only bins from `days[0]` to before `days[1]` of each series are scored.
    """
    scored = slice(*(round(d * DAY_BINS) for d in days))
    rows = score(model, [(s, scored) for s in series], processes)
    resources = sorted({r["name"].rsplit("#", 1)[-1] for r in rows if "#" in r["name"]}) or [""]
    figures = {"on": on, "days": list(days), "resources": {}}
    for resource in resources:
        figures["resources"][resource or "all"] = summary([r for r in rows if r["name"].endswith(f"#{resource}") or not resource])
    if len(resources) > 1:
        figures["resources"]["all"] = summary(rows)
    figures["manifest"] = {
        f"{on.replace('-', '_')}_{resource}_crps_vs_{against}": figures["resources"][resource]["vs"][against]["scaled"]["all"]
        for resource in figures["resources"]
        for against in ("seasonal_naive", "last_value")
    }
    return figures


def summary(rows: list[dict]) -> dict:
    """The figures of all `rows` together; each series counts alike."""
    errors = np.stack([r["crps"] for r in rows])
    mean = np.array([r["mean"] for r in rows])[:, None, None]
    coverage = np.stack([r["coverage"] for r in rows]).mean(axis=0)
    out = {"series": len(rows), "bins": int(sum(r["bins"] for r in rows)), "vs": {}}
    for j, name in enumerate(FORECASTERS[1:], start=1):
        ours, theirs = errors[:, 0], errors[:, j]
        tiny = 1e-9 * mean
        ratio = (ours + tiny) / (theirs + tiny)
        per_series = (ours.mean(axis=(1, 2)) + tiny[:, 0, 0]) / (theirs.mean(axis=(1, 2)) + tiny[:, 0, 0])
        out["vs"][name] = {
            "scaled": _ratios((ours / mean).mean(axis=0), (theirs / mean).mean(axis=0)),
            "in_units": _ratios(ours.mean(axis=0), theirs.mean(axis=0)),
            "geometric_mean": {"all": rounded(np.exp(np.log(np.clip(ratio, 0.01, 100)).mean()))},
            "share_of_series_better": rounded((per_series < 1).mean()),
        }
    out["model_crps_scaled"] = rounded((errors[:, 0] / mean).mean())
    out["coverage"] = by_head(coverage)
    return out


def _ratios(ours: np.ndarray, theirs: np.ndarray) -> dict:
    return {"all": rounded(ours.mean() / theirs.mean()), **by_head(ours / theirs)}


def table(figures: dict) -> str:
    """The figures as text."""
    begin, end = figures["days"]
    days = f"from day {begin:g}" + (f" to {end:g}" if end < _ENDLESS_DAYS else " on")
    lines = [f"CRPS of the model relative to each baseline on {figures['on']} (below 1: better), scored {days}"]
    for resource, s in figures["resources"].items():
        lines += ["", f"{resource}: {s['series']} series, {s['bins']} bins, CRPS / mean demand {s['model_crps_scaled']}"]
        lines.append(f"  {'':22}{'all':>8}" + "".join(f"{h:>15}" for h in HEADS) + f"{'in units':>10}{'geo. mean':>11}{'better':>8}")
        for name, vs in s["vs"].items():
            scaled = vs["scaled"]
            lines.append(
                f"  {name:22}{scaled['all']:8.3f}"
                + "".join(f"{scaled[h]:15.3f}" for h in HEADS)
                + f"{vs['in_units']['all']:10.3f}{vs['geometric_mean']['all']:11.3f}{vs['share_of_series_better']:8.2f}"
            )
        lines.append("  share of truths below each quantile (nominal " + " ".join(f"{q:g}" for q in QUANTILE_LEVELS) + ")")
        lines += [f"    {h:16}" + " ".join(f"{c:.3f}" for c in s["coverage"][h]) for h in HEADS]
    return "\n".join(lines)
