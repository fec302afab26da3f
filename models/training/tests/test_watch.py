"""Requests for retraining lead to candidates: once each, trained on what was asked for, and whole or not there."""

import dataclasses
import json
import sys
import tomllib
from pathlib import Path

import pytest

from prescale_training.__main__ import main
from prescale_training.pool import read_sources
from prescale_training.recipe import RecipeError, load_recipe
from prescale_training.schema import GRID_STEP_S
from prescale_training.watch import (
    ENTERED,
    Terms,
    WatchError,
    answer,
    candidate_of,
    enter_by,
    read_requests,
    recipe_for,
    version_of,
)

START_S = 1_704_067_200
REQUEST = {
    "family": "gru",
    "model_version": "0.1.0",
    "from_ms": 1000 * (START_S + 600 * GRID_STEP_S),
    "to_ms": 1000 * (START_S + 900 * GRID_STEP_S),
    "workloads": ["vm1", "vm2", "vm3"],
    "more_workloads": 0,
    "resources": ["cpu"],
    "loss_before": 0.1,
    "loss_now": 0.3,
}
TERMS = Terms(workloads_min=3, before_days=1.0)


def prescale(tmp_path: Path, requests: list, code: int = 0) -> str:
    """A command line that has these requests."""
    script = tmp_path / "prescale.py"
    script.write_text(
        "import sys\n"
        "if sys.argv[1:3] == ['model', 'try']:\n"
        "    print(' '.join(sys.argv[3:]), 'is on trial')\n"
        f"    sys.exit({code})\n"
        "assert sys.argv[1:] == ['retraining', '--format', 'json'], sys.argv\n"
        f"print({json.dumps(json.dumps(requests))})\n"
        f"sys.exit({code})\n"
    )
    return f"{sys.executable} {script}"


def trained(recipe, folder: Path) -> list[str]:
    """In place of training: a folder that says what of."""
    (folder / "manifest.toml").write_text(f'version = "{recipe.version}"\n')
    return []


def entered(family: str, version: str) -> str:
    """In place of the command line."""
    return f"{family}: {version} is on trial\n"


def test_what_is_asked_for_is_one_source_more(recipe):
    plain = load_recipe(recipe)
    made = recipe_for(plain, REQUEST, TERMS)
    assert made.version == "0.1.0+20240104T0300" == version_of({**REQUEST, "model_version": "0.1.0+20230101T0000"})
    (whole, all_series), (asked, series) = read_sources(made, recipe.parent)
    assert (len(all_series), asked.weight, whole) == (20, TERMS.weight, plain.sources[0])
    assert [s.workload for s in series] == ["history/vm1", "history/vm2", "history/vm3"]
    assert {(s.start_s, len(s.values)) for s in series} == {(START_S + (600 - 288) * GRID_STEP_S, 300 + 288)}
    with pytest.raises(RecipeError, match="no source with a path"):
        recipe_for(dataclasses.replace(plain, sources=()), REQUEST, TERMS)


def test_a_request_is_answered_once_and_one_of_few_is_not(recipe, tmp_path):
    recipes, said = [load_recipe(recipe)], []
    requests = [
        {**REQUEST, "workloads": ["vm1"], "model_version": "0.0.9"},
        {**REQUEST, "family": "svr"},
        REQUEST,
    ]
    (folder,) = answer(requests, recipes, tmp_path, TERMS, trained, entered, said.append)
    assert folder == tmp_path / "gru" / "0.1.0+20240104T0300" == candidate_of(tmp_path, REQUEST)
    assert [line.rsplit(": ", 1)[1] for line in said] == [
        "1 workloads ask for it, 3 have to",
        "name one",
        "0.1.0+20240104T0300 is on trial",
    ]
    later = {**REQUEST, "to_ms": REQUEST["to_ms"] + 86_400_000, "more_workloads": 7}
    assert answer([later], recipes, tmp_path, TERMS, trained, entered, said.append) == []
    assert said[-1].endswith("is the candidate")
    again = {**later, "model_version": folder.name}
    assert len(answer([again], recipes, tmp_path, TERMS, trained, entered, said.append)) == 1
    assert sorted(p.name for p in (tmp_path / "gru").iterdir()) == ["0.1.0+20240104T0300", "0.1.0+20240105T0300"]


def test_after_a_candidate_that_was_refused_there_is_another(recipe, tmp_path):
    recipes = [load_recipe(recipe)]
    (first,) = answer([REQUEST], recipes, tmp_path, TERMS, trained, entered)
    for days, folders in ((21, []), (22, [tmp_path / "gru" / "0.1.0+20240126T0300"])):
        later = {**REQUEST, "to_ms": REQUEST["to_ms"] + days * 86_400_000}
        assert answer([later], recipes, tmp_path, TERMS, trained, entered) == folders
    assert first == tmp_path / "gru" / "0.1.0+20240104T0300"


def test_what_is_no_model_gets_no_name(recipe, tmp_path):
    with pytest.raises(WatchError, match="is no model: it is broken"):
        answer([REQUEST], [load_recipe(recipe)], tmp_path, TERMS, lambda _recipe, _folder: ["it is broken"], entered)
    assert candidate_of(tmp_path, REQUEST) is None
    assert [p.name for p in (tmp_path / "gru").iterdir()] == [".partial-0.1.0+20240104T0300"]


def test_what_could_not_enter_does_so_the_next_time(recipe, tmp_path):
    recipes, said = [load_recipe(recipe)], []
    failing = enter_by(prescale(tmp_path, [], code=1).split())
    with pytest.raises(WatchError, match="model try gru 0.1.0.20240104T0300 failed"):
        answer([REQUEST], recipes, tmp_path, TERMS, trained, failing, said.append)
    folder = candidate_of(tmp_path, REQUEST)
    assert not (folder / ENTERED).exists()
    enter = enter_by(prescale(tmp_path, []).split())
    for _ in range(2):
        assert answer([REQUEST], recipes, tmp_path, TERMS, trained, enter, said.append) == []
    assert (folder / ENTERED).read_text() == "gru 0.1.0+20240104T0300 is on trial\n"
    assert sum(line.endswith("is on trial") for line in said) == 1


def test_requests_are_read_from_the_command_line(tmp_path):
    assert read_requests(prescale(tmp_path, [REQUEST]).split()) == [REQUEST]
    with pytest.raises(WatchError, match="retraining failed"):
        read_requests(prescale(tmp_path, [], code=1).split())


def test_a_candidate_is_trained_and_exported(recipe, tmp_path):
    store = tmp_path / "store"
    given = ["watch", str(recipe), "--store", str(store), "--once", "--before-days", "1", "--data", str(tmp_path)]
    assert main([*given, "--prescale", prescale(tmp_path, [REQUEST])]) == 0
    folder = candidate_of(store, REQUEST)
    assert tomllib.loads((folder / "manifest.toml").read_text())["version"] == folder.name
    assert (folder / ENTERED).read_text() == f"gru {folder.name} is on trial\n"
    assert main(["verify", str(folder)]) == 0
