"""Cross-validation: trains a recipe once for each fold and scores the exported model on what the fold left out."""

import tempfile
from pathlib import Path

import numpy as np

from .evaluate import score, summary
from .export import export
from .fit import fit
from .folds import Scheme, folds
from .recipe import Recipe
from .columns import SourceError

_AGAINST = ("seasonal_naive", "last_value")


def cross_validate(recipe: Recipe, data: Path, scheme: Scheme, series_max: int | None, processes: int, say=print) -> dict:
    """Figures of each fold, over all its series and by source, and their mean and deviation over the folds."""
    done = []
    for fold in folds(recipe, data, scheme):
        scored = fold.scored
        if series_max and len(scored) > series_max:
            scored = [scored[i] for i in np.linspace(0, len(scored) - 1, series_max).astype(int)]
        trained_on = sum(len(series) for _, series in fold.parts.train)
        say(f"{fold.name}: training on {trained_on} series, scoring {len(scored)}")
        if not scored or not fold.parts.train:
            raise SourceError(f"{fold.name} has nothing to train on or to score: take fewer folds or another --by")
        with tempfile.TemporaryDirectory() as folder:
            export(fit(recipe, fold.parts, say), recipe, Path(folder), [])
            rows = score(Path(folder), scored, processes)
        done.append({"fold": fold.name, "trained_on_series": trained_on, **_figures(rows)})
    return {"recipe": recipe.name, "by": scheme.by, "folds": done, "over_folds": _over(done)}


def _figures(rows: list[dict]) -> dict:
    sources = sorted({r["name"].split("/", 1)[0] for r in rows})
    by_source = {s: summary([r for r in rows if r["name"].startswith(f"{s}/")]) for s in sources}
    return {"all": summary(rows), "sources": by_source}


def _over(done: list[dict]) -> dict:
    out = {}
    for against in _AGAINST:
        ratios = [fold["all"]["vs"][against]["scaled"]["all"] for fold in done]
        out[against] = {"mean": round(float(np.mean(ratios)), 4), "deviation": round(float(np.std(ratios)), 4)}
    return out


def table(figures: dict) -> str:
    """The figures as text."""
    lines = [
        f"CRPS of {figures['recipe']} relative to seasonal naive / last value (below 1: better), folds by {figures['by']}",
        f"  {'':24}{'series':>8}{'bins':>10}{'all':>16}" + "".join(f"{f'value {h} s':>16}" for h in (300, 900, 3600)) + f"{'in 90 %':>10}",
    ]
    for fold in figures["folds"]:
        lines.append(_row(fold["fold"], fold["all"]))
        if len(fold["sources"]) > 1:
            lines += [_row(f"  {name}", s) for name, s in fold["sources"].items()]
    told = [f"{against} {o['mean']:.3f} ± {o['deviation']:.3f}" for against, o in figures["over_folds"].items()]
    return "\n".join([*lines, "  mean and deviation over the folds: " + ", ".join(told)])


def _row(name: str, s: dict) -> str:
    def ratios(head):
        return " / ".join(f"{s['vs'][against]['scaled'][head]:.3f}" for against in _AGAINST)

    below = s["coverage"]["value_900s"]
    heads = ("all", "value_300s", "value_900s", "value_3600s")
    return f"  {name:24}{s['series']:>8}{s['bins']:>10}" + "".join(f"{ratios(h):>16}" for h in heads) + f"{below[6] - below[0]:>10.3f}"
