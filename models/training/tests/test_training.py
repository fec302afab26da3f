"""A short training run learns, resumes nothing hidden, and the command line runs from end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prescale_training import recipe as recipes
from prescale_training.__main__ import main
from prescale_training.baselines import last_value, seasonal_naive, with_residual_quantiles
from prescale_training.evaluate import evaluate
from prescale_training.pool import Segments, split
from prescale_training.recipe import load_recipe
from prescale_training.series import bucket_of, on_grid
from prescale_training.train import pinball


def test_train_export_verify_and_evaluate_from_the_command_line(recipe, tmp_path, capsys):
    run, model = str(tmp_path / "run"), str(tmp_path / "model")
    assert main(["train", str(recipe), "--data", str(tmp_path), "--out", run]) == 0
    assert main(["export", str(recipe), "--run", run, "--out", model]) == 0
    assert main(["verify", model]) == 0
    scores = tmp_path / "scores.json"
    given = ["evaluate", model, "--on", "generated", "--series-max", "3", "--processes", "1", "--json", str(scores)]
    assert main(given) == 0
    assert "seasonal_naive" in capsys.readouterr().out
    assert main(["export", str(recipe), "--run", run, "--out", model, "--scores", str(scores)]) == 0
    assert "generated_3_all_crps_vs_seasonal_naive" in (tmp_path / "model" / "manifest.toml").read_text()
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "| generated-3, all | 3 |" in card and "one GRU cell of 16 units" in card and "| history.parquet |" in card


def test_what_people_wrote_into_a_card_stays(recipe, tmp_path):
    from prescale_training.export import export
    from prescale_training.network import DemandNetwork

    for version in ("0.0.1", "0.0.2"):
        export(DemandNetwork(16), recipes.Recipe("tiny", version, description=f"Told by {version}."), tmp_path, [])
        card = tmp_path / "MODEL_CARD.md"
        card.write_text(card.read_text() + "\nA limit.\n")
    assert "Told by 0.0.2." in card.read_text() and "Told by 0.0.1." not in card.read_text()
    assert card.read_text().count("A limit.") == 2
    card.write_text("All by hand.\n")
    export(DemandNetwork(16), recipes.Recipe("tiny", "0.0.3"), tmp_path, [])
    assert card.read_text() == "All by hand.\n"


def test_training_twice_gives_the_same_weights(recipe, tmp_path):
    for name in ("a", "b"):
        assert main(["train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / name)]) == 0
    a, b = (torch.load(tmp_path / n / "weights.pt")["weights"] for n in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_usage_and_missing_files_have_their_exit_codes(recipe, tmp_path, capsys):
    assert main(["train"]) == 64
    assert main(["--help"]) == 0
    assert main(["train", str(tmp_path / "none.toml"), "--out", str(tmp_path)]) == 1
    assert main(["verify", str(tmp_path)]) == 1
    assert "none.toml is not there" in capsys.readouterr().err


def test_an_unknown_key_is_refused(recipe, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.read_text() + "\nlearning_rte = 1\n")
    with pytest.raises(recipes.RecipeError, match="learning_rte"):
        load_recipe(path)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_every_recipe_of_the_kit_loads_and_has_its_licences(path):
    loaded = load_recipe(path)
    assert loaded.description and all(s.licence and s.attribution for s in loaded.sources)
    if path.stem.endswith("-shipped"):
        assert {s.licence for s in loaded.sources} == {"CC-BY-4.0", "MIT"}


def test_workloads_are_split_whole_and_by_name(recipe, tmp_path):
    parts = split(load_recipe(recipe), tmp_path)
    trained = {s.workload for _, series in parts.train for s in series}
    tested, validated = {s.workload for s in parts.test}, {s.workload for s in parts.validation}
    assert tested and validated and not (trained & tested or trained & validated or tested & validated)
    assert all(bucket_of(w) < 30 for w in tested)


def test_segments_hide_gaps_from_the_model_but_not_from_the_targets(recipe, tmp_path):
    x, y, weight = Segments(split(load_recipe(recipe), tmp_path), 576, 1).draw(40)
    assert np.isfinite(x).all() and np.isfinite(weight).all() and weight.min() > 0
    missing = x[:, 1:-12, 1] == 1
    assert missing.any() and (~np.isnan(y[:, 1:-12, 0, 0][missing])).any()


def test_pinball_by_hand():
    q = torch.zeros(1, 8)
    assert float(pinball(q, torch.tensor([2.0]))) == pytest.approx(2 * np.mean([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]))
    assert float(pinball(q, torch.tensor([float("nan")]))) == 0.0


def test_samples_fall_into_their_bins():
    one = on_grid("a#b", np.array([600, 650, 1200, 1499, 1500]), np.array([1.0, 3.0, 5.0, 7.0, np.nan]), None)
    np.testing.assert_array_equal(one.values, [2.0, np.nan, 6.0])
    assert one.start_s == 600
    assert on_grid("a#b", np.array([0]), np.array([np.nan]), None) is None


def test_seasonal_naive_repeats_a_day_and_its_quantiles_follow_its_errors():
    values = np.tile(np.arange(288.0), 5)[None]
    points = seasonal_naive(values)
    assert points[0, 287, 0, 0] == 0.0 and points[0, 300, 1, 1] == 15.0 and points[0, 10, 0, 0] == 10.0
    quantiles = with_residual_quantiles(points, values)
    np.testing.assert_allclose(quantiles[0, -1, 0, 0, 3], points[0, -1, 0, 0])
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(1, 2400))
    spread = with_residual_quantiles(last_value(noise), noise) - last_value(noise)[..., None]
    known = (noise[:, 1:] - noise[:, :-1])[:, :2016]
    want = np.quantile(known[0], [0.05, 0.5, 0.99])
    at = 2016 + 72
    got = spread[0, at, 0, 0, [0, 3, 7]]
    np.testing.assert_allclose(got, np.quantile((noise[0, 1:] - noise[0, :-1])[at - 2016 : at], [0.05, 0.5, 0.99]), atol=1e-5)
    assert np.abs(got - want).max() < 0.5


def test_the_shipped_model_beats_the_baselines_on_a_generated_fleet_it_never_saw():
    from prescale_training.generated import generated_fleet

    series = generated_fleet(16, 5 * 288, seed=4321)
    figures = evaluate(Path(__file__).parents[2] / "gru", series, "generated", (2.0, 1e6), 1)
    assert figures["resources"]["all"]["vs"]["seasonal_naive"]["scaled"]["all"] < 0.9
    assert figures["resources"]["all"]["vs"]["seasonal_naive_point"]["scaled"]["all"] < 0.6
