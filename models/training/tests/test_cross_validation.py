"""Folds keep apart what is trained on and what is scored; cross-validation runs from the command line."""

import json

import numpy as np
import pytest

from prescale_training.__main__ import main
from prescale_training.folds import Scheme, folds
from prescale_training.recipe import load_recipe
from prescale_training.schema import GRID_STEP_S
from prescale_training.series import bucket_of

RECIPE = """
name = "small"
version = "0.0.1"
[[sources]]
path = "{path}"
value_column = "cpu"
test_buckets = 30
[generated]
count = 8
bins = 700
[windowed]
family = "random-forest"
rows = 1500
segment_bins = 700
trees = 2
depth = 3
window_bins = 24
"""


def _ends(series):
    return max(s.start_s + GRID_STEP_S * len(s.values) for s in series)


def test_by_time_nothing_trained_on_is_later_than_what_is_scored(recipe, tmp_path):
    made = folds(load_recipe(recipe), tmp_path, Scheme("time", 2))
    origins = []
    for fold in made:
        trained = fold.parts.train[0][1]
        begins = {s.start_s + GRID_STEP_S * bins.start for s, bins in fold.scored}
        assert _ends(trained) <= min(begins)
        origins.append((min(begins), _ends([s for s, _ in fold.scored])))
    assert origins[0][1] <= origins[1][0] and origins[0][0] < origins[1][0]


def test_by_time_a_sliding_window_forgets(recipe, tmp_path):
    fold = folds(load_recipe(recipe), tmp_path, Scheme("time", 2, sliding_days=2.0))[1]
    assert all(len(s.values) <= 576 for s in fold.parts.train[0][1])


def test_by_workload_each_is_scored_once_and_never_trained_on_then(recipe, tmp_path):
    made = folds(load_recipe(recipe), tmp_path, Scheme("workload", 3))
    scored = [s.workload for fold in made for s, _ in fold.scored]
    assert len(scored) == len(set(scored)) > 5
    assert all(bucket_of(w) >= 30 for w in scored)
    for fold in made:
        assert not {s.workload for s in fold.parts.train[0][1]} & {s.workload for s, _ in fold.scored}


def test_by_both_neither_workload_nor_time_was_seen(recipe, tmp_path):
    for fold in folds(load_recipe(recipe), tmp_path, Scheme("time-and-workload", 2)):
        trained, scored = fold.parts.train[0][1], [s for s, _ in fold.scored]
        assert not {s.workload for s in trained} & {s.workload for s in scored}
        assert _ends(trained) <= min(s.start_s + GRID_STEP_S * bins.start for s, bins in fold.scored)


def test_the_generated_fleet_is_trained_on_but_not_scored(recipe, tmp_path):
    fold = folds(load_recipe(recipe), tmp_path, Scheme("workload", 3))[0]
    assert len(fold.parts.train) == 2 and all(s.name.startswith("history/") for s, _ in fold.scored)


@pytest.mark.parametrize("by", ["time", "workload"])
def test_from_the_command_line(recipe, tmp_path, capsys, by):
    given = ["cross-validate", str(recipe), "--by", by, "--folds", "2", "--processes", "1", "--json", str(tmp_path / "f.json")]
    assert main(given) == 0
    assert "mean and deviation over the folds" in capsys.readouterr().out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert len(figures["folds"]) == 2 and np.isfinite(figures["over_folds"]["seasonal_naive"]["mean"])


def test_too_many_folds_is_a_failure_that_says_so(recipe, tmp_path, capsys):
    assert main(["cross-validate", str(recipe), "--by", "workload", "--folds", "400", "--rows", "300"]) == 1
    assert "fewer folds" in capsys.readouterr().err
