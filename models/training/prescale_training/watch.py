"""Answers requests for retraining: a candidate version in the models folder for each version that forecasts worse.

`prescale retraining --format json` says what is asked for. A candidate is trained as the family's recipe says, with the
workloads and the range that are named as one source more, of the archive that the recipe reads. What the recipe holds out
stays held out, and what is marked as unusual is left out as ever. A candidate enters in shadow (`prescale model try`): it
forecasts beside the version in use, and what both lose decides whether it takes its place.
"""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .recipe import Recipe, RecipeError

ANSWERED = "request.json"
"""In a candidate's folder: the request that it answers."""

ENTERED = "entered.txt"
"""In a candidate's folder: what `prescale model try` said when it entered."""

_DAY_S = 86_400

CURRENT_DAYS = 21.0
"""A candidate answers what is asked for until so long behind the range that it was trained on: its trial is over by then, so
where the same version still forecasts, it was refused."""


class WatchError(Exception):
    """Requests cannot be read, or a candidate is no model; says why."""


@dataclass(frozen=True)
class Terms:
    """When a request is answered, and on what.

    `weight` is that of the source with what was asked for, beside the recipe's own. The range is made longer by
    `before_days`, so that what was before is in it.
    """

    workloads_min: int = 3
    before_days: float = 14.0
    weight: float = 3.0


def family_of(recipe: Recipe) -> str:
    """The family whose models a recipe trains."""
    return recipe.windowed.family or recipe.training.cell


def read_requests(prescale: list[str]) -> list[dict]:
    """What is open, as the command says; `prescale` is how it is called."""
    asked = subprocess.run([*prescale, "retraining", "--format", "json"], capture_output=True, text=True)
    if asked.returncode != 0:
        raise WatchError(f"{' '.join(prescale)} retraining failed: {asked.stderr.strip() or asked.returncode}")
    try:
        return json.loads(asked.stdout)
    except json.JSONDecodeError as error:
        raise WatchError(f"{' '.join(prescale)} retraining wrote no JSON: {error}") from error


def enter_by(prescale: list[str]) -> "Enter":
    """How candidates enter; `prescale` is how the command line is called."""

    def enter(family: str, version: str) -> str:
        tried = subprocess.run([*prescale, "model", "try", family, version], capture_output=True, text=True)
        if tried.returncode != 0:
            raise WatchError(f"{' '.join(prescale)} model try {family} {version} failed: {tried.stderr.strip() or tried.returncode}")
        return tried.stdout

    return enter


def version_of(request: dict) -> str:
    """The candidate's: that of the version which forecasts worse, with the end of the range."""
    end = datetime.fromtimestamp(request["to_ms"] / 1000, UTC)
    return f"{request['model_version'].partition('+')[0]}+{end:%Y%m%dT%H%M}"


def recipe_for(recipe: Recipe, request: dict, terms: Terms) -> Recipe:
    """The recipe of the candidate."""
    archive = next((source for source in recipe.sources if source.path), None)
    if archive is None:
        raise RecipeError(f"recipe {recipe.name}: it has no source with a path: add one of the archive of fingerprints")
    asked = dataclasses.replace(
        archive,
        workloads=tuple(request["workloads"]),
        from_s=request["from_ms"] / 1000 - terms.before_days * _DAY_S,
        to_s=request["to_ms"] / 1000,
        weight=terms.weight,
    )
    return dataclasses.replace(recipe, version=version_of(request), sources=(*recipe.sources, asked))


def candidate_of(store: Path, request: dict) -> Path | None:
    """The folder of the newest candidate that answers a request for the same version; None where there is none."""
    for path in sorted((store / request["family"]).glob(f"*/{ANSWERED}"), reverse=True):
        answered = json.loads(path.read_text())
        is_current = request["to_ms"] - answered["to_ms"] <= CURRENT_DAYS * _DAY_S * 1000
        if answered["model_version"] == request["model_version"] and is_current:
            return path.parent
    return None


Train = Callable[[Recipe, Path], list[str]]
"""Trains as a recipe says and writes the model folder; says what is wrong with it."""


Enter = Callable[[str, str], str]
"""Lets a version of a family run beside the one in use; gives what is to be said of that."""


def answer(
    requests: list[dict], recipes: list[Recipe], store: Path, terms: Terms, train: Train, enter: Enter, say=print
) -> list[Path]:
    """Trains a candidate for each request that has none, and lets it enter. Gives their folders.

    A folder gets its name once it is whole, so nobody finds half of one. A candidate that could not enter does so the next
    time.
    """
    made = []
    for request in requests:
        name = f"{request['family']} {request['model_version']}"
        recipe = next((recipe for recipe in recipes if family_of(recipe) == request["family"]), None)
        workloads = len(request["workloads"]) + request["more_workloads"]
        if recipe is None:
            say(f"{name}: no recipe trains this family: name one")
        elif workloads < terms.workloads_min:
            say(f"{name}: {workloads} workloads ask for it, {terms.workloads_min} have to")
        elif (known := candidate_of(store, request)) is not None:
            say(f"{name}: {known} is the candidate")
            _enter(known, request, enter, say)
        else:
            made.append(_candidate(recipe_for(recipe, request, terms), request, store, train))
            _enter(made[-1], request, enter, say)
    return made


def _enter(folder: Path, request: dict, enter: Enter, say) -> None:
    if (folder / ENTERED).exists():
        return
    said = enter(request["family"], folder.name)
    (folder / ENTERED).write_text(said)
    say(said.strip())


def _candidate(recipe: Recipe, request: dict, store: Path, train: Train) -> Path:
    folder = store / request["family"] / recipe.version
    partial = folder.with_name(f".partial-{recipe.version}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    problems = train(recipe, partial)
    if problems:
        raise WatchError(f"the candidate {partial} is no model: {'; '.join(problems)}")
    (partial / ANSWERED).write_text(json.dumps(request, indent=1) + "\n")
    partial.rename(folder)
    return folder


def train_and_export(data: Path, say) -> Train:
    """How candidates are trained."""

    def train(recipe: Recipe, folder: Path) -> list[str]:
        import tempfile

        from .export import export
        from .fit import fit_and_save
        from .trained import used_in
        from .verify import problems_of

        with tempfile.TemporaryDirectory() as run:
            trained = fit_and_save(recipe, data, Path(run), say)
            export(trained, recipe, folder, [], used_in(Path(run)))
        return problems_of(folder)

    return train
