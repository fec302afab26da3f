"""Recipes: what to train on and how, as TOML. Unknown keys are refused."""

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import layout
from .schema import DAY_BINS


class RecipeError(Exception):
    """A recipe that cannot be used; says the file, the key and the remedy."""


@dataclass(frozen=True)
class Source:
    """One source of series: a `reader` of shared traces, or a `path` of one's own.

    A `path` is a Parquet or CSV file or a folder of Parquet files. Its columns are told by `map` (see
    `trace`), or one by one; with the reader "archive" it is the folder of fingerprints that the archiver
    writes. Instants are timestamps, or numbers in `time_unit`. `kpis` says which resources are wanted
    (all, if none), `workloads` which workloads, `from_s` and `to_s` which time, in Unix seconds. `anomalies` is a file
    of stretches to leave out (see `anomalies`).

    Per batch, sources are drawn in proportion to `weight`. Workloads whose bucket (0..99, by hash of
    their name) is below `test_buckets` are left for evaluation, the next `validation_buckets` choose
    between settings; neither is trained on.
    """

    reader: str = ""
    path: str = ""
    map: str = ""
    time_unit: str = "s"
    kpis: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    from_s: float = -math.inf
    to_s: float = math.inf
    anomalies: str = ""
    workload_column: str = "workload"
    instant_column: str = "at_s"
    value_column: str = ""
    capacity_column: str = ""
    weight: float = 1.0
    test_buckets: int = 0
    validation_buckets: int = 0
    from_day: float = 0.0
    to_day: float = 1e9
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class Generated:
    """The generated fleet's part; a count of 0 leaves it out."""

    count: int = 400
    bins: int = 6048
    weight: float = 1.0


@dataclass(frozen=True)
class Training:
    """Optimisation of a recurrent network. A step is one chunk of `chunk_bins` bins of `batch` series."""

    cell: str = "gru"
    steps: int = 4000
    batch: int = 64
    chunk_bins: int = 288
    segment_chunks: int = 12
    groups: int = 4
    hidden: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    gradient_limit: float = 1.0
    average_keep: float = 0.998
    threads: int = 1
    validate_every: int = 500


@dataclass(frozen=True)
class Windowed:
    """A windowed model in place of a recurrent network: its `family`, the sample of bins, the fit.

    The first group of numbers is of both families, the second of the forest, the third of the SVR.
    """

    family: str = ""
    window_bins: int = 72
    bins_needed: int = 12
    rows: int = 500_000
    rows_per_segment: int = 96
    segment_bins: int = 1728

    trees: int = 12
    leaves: int = 600
    depth: int = 12
    leaf_rows_min: int = 40
    features_share: float = 0.6
    rows_share: float = 0.7
    lean_ridge: float = 20.0

    vectors: int = 512
    narrowness: float = 6.0
    norm_penalty: float = 1e-6
    batch: int = 2048
    epochs: int = 12
    learning_rate: float = 1e-2


FAMILIES = ("random-forest", "svr")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. With `windowed.family` it is one for a windowed model, and `training` is not used."""

    name: str
    version: str
    seed: int = 1
    description: str = ""
    sources: tuple[Source, ...] = ()
    generated: Generated = field(default_factory=Generated)
    training: Training = field(default_factory=Training)
    windowed: Windowed = field(default_factory=Windowed)


def _filled(cls, table: dict, where: str):
    known = {f.name for f in dataclasses.fields(cls)}
    for key in table:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(known))}")
    try:
        return cls(**table)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error


def load_recipe(path: Path) -> Recipe:
    """The recipe in `path`."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise RecipeError(f"{path} is not there; the kit's own are in recipes/") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: {error}") from error
    sources = tuple(_filled(Source, s, f"{path}, sources") for s in table.pop("sources", []))
    generated = _filled(Generated, table.pop("generated", {}), f"{path}, generated")
    training = _filled(Training, table.pop("training", {}), f"{path}, training")
    windowed = _filled(Windowed, table.pop("windowed", {}), f"{path}, windowed")
    parts = {"sources": sources, "generated": generated, "training": training, "windowed": windowed}
    recipe = _filled(Recipe, {**table, **parts}, str(path))
    if windowed.family and windowed.family not in FAMILIES:
        raise RecipeError(f"{path}, windowed.family: {windowed.family!r} is none of {', '.join(FAMILIES)}")
    if not 1 < windowed.window_bins <= DAY_BINS:
        raise RecipeError(f"{path}, windowed.window_bins: from 2 to {DAY_BINS}, the day that is kept of a series")
    _check_state(recipe.training, path)
    if recipe.training.segment_chunks % recipe.training.groups:
        raise RecipeError(f"{path}, training.groups: must divide segment_chunks")
    return recipe


def _check_state(training: Training, path: Path) -> None:
    if training.cell not in layout.CARRIED_PER_HIDDEN:
        raise RecipeError(f"{path}, training.cell: {training.cell!r} is none of {', '.join(layout.CARRIED_PER_HIDDEN)}")
    most = (layout.STATE_LIMIT - layout.MEMORY) // layout.CARRIED_PER_HIDDEN[training.cell]
    if training.hidden > most:
        raise RecipeError(f"{path}, training.hidden: at most {most}, so that the state stays within {layout.STATE_LIMIT} numbers")
