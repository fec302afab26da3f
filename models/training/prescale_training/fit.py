"""Trains what a recipe asks for."""

import json
from collections import Counter
from pathlib import Path

from .pool import Split, split
from .recipe import Recipe
from .trained import Trained, save


def fit(recipe: Recipe, parts: Split, say=print) -> Trained:
    """The model of the recipe's family, trained on the parts that are for it."""
    if not recipe.windowed.family:
        from .train import train

        return train(recipe, parts, say)
    from .forest import fit_forest
    from .kernel import fit_kernel_machine
    from .samples import draw_samples

    samples = draw_samples(parts, recipe.windowed, recipe.windowed.rows, recipe.seed)
    say(f"drew {len(samples.weights)} bins of {sum(len(s) for _, s in parts.train)} series")
    family = {"random-forest": fit_forest, "svr": fit_kernel_machine}[recipe.windowed.family]
    return family(samples, recipe.windowed, recipe.seed, say)


def fit_and_save(recipe: Recipe, data: Path, out: Path, say=print) -> Trained:
    """Reads the recipe's sources, trains, and writes the run folder `out`."""
    parts = split(recipe, data)
    trained = fit(recipe, parts, say)
    save(trained, recipe, out)
    used = Counter(s.name.split("/", 1)[0] for _, series in parts.train for s in series)
    (out / "used.json").write_text(json.dumps(used) + "\n")
    return trained
