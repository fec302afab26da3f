"""Compares exported models with statsforecast's and with the textbook's baselines, all on the same points.

A point is a bin of a series. Models run over the whole series up to it, as in use; statsforecast's models are
fitted at each point on the `history_bins` before it. CRPS as in `evaluate`; every series counts alike, in
units of its mean demand. Every forecaster's quantiles are clamped at 0 and at twice the capacity, where it
is known: an exponential trend of AutoETS can pass it a thousandfold, which nobody would act upon.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import baselines, statsforecasters, textbook
from .columns import SourceError
from .features import forward_filled
from .runner import model_quantiles
from .schema import HORIZONS_BINS
from .scores import HEADS, by_head, crps, rounded, size
from .series import Series, capacities
from .targets import targets

REFERENCES = ("textbook_seasonal_naive", "textbook_last_value")
_DRAWS = 500
_CAPACITIES_MOST = 2.0


@dataclass(frozen=True)
class Sample:
    """How many workloads, how many points of each of their series, from what seed, on how much history."""

    workloads: int
    points: int
    seed: int
    history_bins: int


def compare(models: list[Path], series: list[Series], sample: Sample, with_statsforecast: list[str], say=print) -> dict:
    """Figures per KPI, reference, forecaster, horizon and kind."""
    rng = np.random.default_rng(sample.seed)
    names = sorted({s.workload for s in series})
    chosen = set(rng.choice(names, size=min(sample.workloads, len(names)), replace=False))
    rows, begun = [], time.monotonic()
    for number, one in enumerate(s for s in series if s.workload in chosen):
        points = _points(one, sample, rng)
        if len(points):
            rows.append(_row(models, one, points, sample, with_statsforecast))
        if number % 10 == 9:
            say(f"{number + 1} series, {(time.monotonic() - begun) / 60:.1f} min")
    if not rows:
        raise SourceError(f"no series is longer than the {sample.history_bins} bins of history and an hour")
    return _figures(rows, sample)


def _points(one: Series, sample: Sample, rng: np.random.Generator) -> np.ndarray:
    """Bins with a value, all targets, and `history_bins` up to them, ascending."""
    good = ~np.isnan(one.values) & ~np.isnan(targets(one.values[None])[0]).any(axis=(1, 2))
    good[: sample.history_bins] = False
    found = np.flatnonzero(good)
    return np.sort(rng.choice(found, size=min(sample.points, len(found)), replace=False))


def _row(models: list[Path], one: Series, points: np.ndarray, sample: Sample, with_statsforecast: list[str]) -> dict:
    """CRPS [horizon, kind] of each forecaster on one series, in units of its mean demand, and seconds a point."""
    values = one.values[None, : points[-1] + max(HORIZONS_BINS) + 1]
    y = targets(values)[0, points]
    naive, last = baselines.seasonal_naive(values), baselines.last_value(values)
    made = {
        "textbook_seasonal_naive": textbook.seasonal_naive(values)[0, points],
        "textbook_last_value": textbook.last_value(values)[0, points],
        "seasonal_naive": baselines.with_residual_quantiles(naive, values)[0, points],
        "last_value": baselines.with_residual_quantiles(last, values)[0, points],
    }
    for model in models:
        made[model.name] = model_quantiles(model, values, np.array([one.start_s]), capacities([one]))[0, points]
    filled, seconds, failed = forward_filled(values)[0], {}, {}
    for name in with_statsforecast:
        begun = time.monotonic()
        histories = [filled[t + 1 - sample.history_bins : t + 1] for t in points]
        told = [statsforecasters.quantiles(name, history, sample.seed) for history in histories]
        made[name] = np.stack([q for q, _ in told])
        failed[name] = sum(not fitted for _, fitted in told)
        seconds[name] = (time.monotonic() - begun) / len(points)
    most = np.inf if one.capacity is None else _CAPACITIES_MOST * one.capacity
    errors = {name: crps(np.clip(q, 0.0, most), y).mean(axis=0) / size(one, values) for name, q in made.items()}
    return {"name": one.name, "points": len(points), "crps": errors, "seconds": seconds, "failed": failed}


def _figures(rows: list[dict], sample: Sample) -> dict:
    resources = sorted({_resource(r["name"]) for r in rows})
    out = {
        "workloads": len({r["name"].rsplit("#", 1)[0] for r in rows}),
        "points": sum(r["points"] for r in rows),
        "sample": dict(sample.__dict__),
        "kpis": {},
        "fits_failed": {name: sum(r["failed"][name] for r in rows) for name in rows[0]["failed"]},
        "seconds_a_point": {
            name: round(float(np.mean([r["seconds"][name] for r in rows])), 3) for name in rows[0]["seconds"]
        },
    }
    for resource in resources:
        out["kpis"][resource] = _ratios([r for r in rows if _resource(r["name"]) == resource], sample.seed)
    if len(resources) > 1:
        out["kpis"]["all"] = _ratios(rows, sample.seed)
    return out


def _resource(name: str) -> str:
    return name.rsplit("#", 1)[1] if "#" in name else "demand"


def _ratios(rows: list[dict], seed: int) -> dict:
    """Of each forecaster the CRPS relative to each reference, by head; for the values together with its standard error."""
    names = list(rows[0]["crps"])
    errors = {name: np.stack([r["crps"][name] for r in rows]) for name in names}
    draws = np.random.default_rng(seed).integers(len(rows), size=(_DRAWS, len(rows)))
    out = {"series": len(rows)}
    for reference in REFERENCES:
        theirs = errors[reference]
        out[reference] = {}
        for name in names:
            ratio = errors[name].mean(axis=0) / theirs.mean(axis=0)
            ours, against = errors[name][:, :, 0].mean(axis=1), theirs[:, :, 0].mean(axis=1)
            again = ours[draws].mean(axis=1) / against[draws].mean(axis=1)
            values = {"values": rounded(ours.mean() / against.mean()), "standard_error": rounded(again.std())}
            out[reference][name] = {**values, **by_head(ratio)}
    return out


def table(figures: dict) -> str:
    """The figures as text."""
    s = figures["sample"]
    lines = [
        f"CRPS relative to each reference (below 1: better) on {figures['points']} points of {figures['workloads']} workloads, "
        f"seed {s['seed']}, {s['history_bins']} bins of history"
    ]
    for kpi, by_reference in figures["kpis"].items():
        for reference in REFERENCES:
            lines += ["", f"{kpi}, {by_reference['series']} series, relative to {reference}"]
            lines.append(f"  {'':24}{'values ± error':>16}" + "".join(f"{h:>15}" for h in HEADS))
            for name, row in by_reference[reference].items():
                told = f"{row['values']:.3f} ± {row['standard_error']:.3f}"
                lines.append(f"  {name:24}{told:>16}" + "".join(f"{'-' if row[h] is None else format(row[h], '.3f'):>15}" for h in HEADS))
    for name, took in figures["seconds_a_point"].items():
        lines += ["", f"{name}: {took} s a point; {figures['fits_failed'][name]} fits failed, the last value stood in"]
    return "\n".join(lines)
