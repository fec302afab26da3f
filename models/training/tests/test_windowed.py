"""Windows, forest and kernel machine: the graph says what NumPy says, and a short training run learns."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from prescale_training import trained, window_layout
from prescale_training.export import export
from prescale_training.features import features
from prescale_training.fit import fit
from prescale_training.codes import spread_codes, spreads_of
from prescale_training.forest import weighted_quantiles
from prescale_training.generated import generated_fleet
from prescale_training.goldens import session_of
from prescale_training.leaning import lean_of
from prescale_training.pool import Split
from prescale_training.recipe import Generated, Recipe, RecipeError, Windowed, load_recipe
from prescale_training.regressors import regressors
from prescale_training.samples import draw_samples
from prescale_training.schema import QUANTILE_LEVELS
from prescale_training.trees import Trees, not_above
from prescale_training.verify import problems_of
from prescale_training.window_graph import build_window_graph, merge_exchanges
from prescale_training.windows import windows_at

PLAIN = {
    *("Abs", "Add", "Cast", "Concat", "Div", "Exp", "Gather", "GatherElements", "Log", "MatMul", "Max", "Min", "Mul"),
    *("ReduceSum", "Relu", "Reshape", "Sign", "Sinh", "Slice", "Sub"),
}
SMALL = Windowed(rows=6000, segment_bins=700, trees=3, depth=4, vectors=40, narrowness=1.0, epochs=40, batch=512, window_bins=48)
RECIPE = Recipe("small", "0.0.1", seed=3, generated=Generated(count=30, bins=1000))


@pytest.fixture(scope="module")
def parts():
    return Split([(1.0, generated_fleet(30, 1000, seed=3))], [], [])


@pytest.fixture(scope="module", params=["random-forest", "svr"])
def model(request, parts):
    return fit(replace(RECIPE, windowed=replace(SMALL, family=request.param)), parts, lambda _: None)


def _places(arrays):
    """(w, x) of every bin of the fleet."""
    values, start_s, capacity = arrays
    x, scale = features(values, start_s, capacity)
    i, t = np.divmod(np.arange(values.size), values.shape[1])
    return windows_at(values, scale, i, t, SMALL.window_bins), x[i, t]


def _pinball(q, y):
    over = y[..., None] - q
    levels = np.array(QUANTILE_LEVELS)
    return np.maximum(levels * over, (levels - 1) * over).mean()


def test_windows_by_hand():
    values = np.array([[2.0, np.nan, 4.0, 100.0]])
    w = windows_at(values, np.array([[2.0, 2.0, 2.0, 4.0]]), np.array([0, 0, 0]), np.array([0, 2, 3]), 3)
    np.testing.assert_array_equal(w, [[1, 1, 1], [1, 1, 2], [0.5, 1, 20]])


def test_the_newest_of_a_window_is_the_value(arrays):
    w, x = _places(arrays)
    np.testing.assert_array_equal(w[:, -1], x[:, 0])


def test_phases_of_the_hour():
    assert window_layout.phase_lags(1, 48).tolist() == [11, 23, 35, 47]
    assert window_layout.phase_lags(12, 48).tolist() == [0, 12, 24, 36]
    assert window_layout.phase_lags(1, 8).tolist() == [0]


def test_the_graph_says_what_numpy_says(model, arrays):
    w, x = _places(arrays)
    want = model.quantiles(regressors(w, x))
    (got,) = session_of(build_window_graph(model).SerializeToString()).run(["q"], {"w": w, "x": x})
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-4)


def test_the_graph_has_plain_operators_only(model):
    graph = build_window_graph(model)
    assert {n.op_type for n in graph.graph.node} <= PLAIN
    assert [o.domain for o in graph.opset_import] == [""]
    assert [i.name for i in graph.graph.input] == ["w", "x"] and [o.name for o in graph.graph.output] == ["q"]
    onnx.checker.check_model(graph, full_check=True)


def test_quantiles_ascend_and_are_finite_whatever_comes_in(model):
    rng = np.random.default_rng(0)
    w, x = rng.uniform(-20, 20, (3000, SMALL.window_bins)), rng.uniform(-20, 20, (3000, 18))
    given = {"w": w.astype(np.float32), "x": x.astype(np.float32)}
    (q,) = session_of(build_window_graph(model).SerializeToString()).run(["q"], given)
    assert np.isfinite(q).all()
    assert (np.diff(q, axis=-1) >= -1e-5 * (1 + np.abs(q[..., 1:]))).all()


def test_it_learns_more_than_the_last_value(model, parts):
    unseen = Split([(1.0, generated_fleet(20, 1000, seed=99))], [], [])
    samples = draw_samples(unseen, SMALL, 4000, 1)
    flat = np.repeat(samples.given.value[:, None, None], 8, axis=2)
    assert _pinball(model.quantiles(samples.given), samples.targets) < 0.7 * _pinball(flat, samples.targets)


def test_training_twice_gives_the_same(model, parts):
    again = fit(replace(RECIPE, windowed=replace(SMALL, family=model.family)), parts, lambda _: None)
    first, second = (build_window_graph(m).SerializeToString(deterministic=True) for m in (model, again))
    assert first == second


def test_saved_exported_and_verified(model, tmp_path):
    recipe = replace(RECIPE, windowed=replace(SMALL, family=model.family))
    trained.save(model, recipe, tmp_path / "run")
    export(trained.load(tmp_path / "run"), recipe, tmp_path / "model", [])
    assert problems_of(tmp_path / "model") == []
    manifest = (tmp_path / "model" / "manifest.toml").read_text()
    assert 'kind = "windowed"' in manifest and "window_bins = 48" in manifest and "bins_needed = 12" in manifest
    golden = (tmp_path / "model" / "golden.json").read_text()
    (tmp_path / "model" / "golden.json").write_text(golden.replace('"q":[[[[', '"q":[[[[9'))
    assert problems_of(tmp_path / "model") != []


def test_trees_as_tables_by_hand():
    # The first tree's root is split 4, its leaves are 0, 1 and 2; the second tree is leaf 3 alone.
    tables = ([0, 0, 0, 0, 0, 1], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 5, 2])
    trees = Trees(4, 2, np.array([4, 3]), *(np.array(table) for table in tables))
    seen = np.array([[-1.0, 9.0], [0.5, 1.0], [0.5, 1.5]])
    assert trees.leaves_of(seen).tolist() == [[0, 3], [1, 3], [2, 3]]
    rounded = not_above(np.array([0.1, 0.5, 1.0 + 2**-30]))
    assert (rounded <= [0.1, 0.5, 1.0 + 2**-30]).all() and rounded.dtype == np.float32 and rounded[1] == 0.5


def test_codes_keep_order_and_size():
    spreads = np.sort(np.concatenate([-np.geomspace(0.01, 300, 99), np.geomspace(0.01, 300, 99)]))
    back = spreads_of(spread_codes(spreads, 300.0), 300.0)
    assert (np.diff(back) >= 0).all()
    np.testing.assert_allclose(back, spreads, rtol=0.06, atol=0.002)


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_the_network_sorts(count):
    numbers = np.random.default_rng(count).normal(size=(500, count))
    out = numbers.copy()
    for exchanges in merge_exchanges(count):
        for low, high in exchanges:
            out[:, [low, high]] = np.sort(out[:, [low, high]], axis=1)
    np.testing.assert_array_equal(out, np.sort(numbers, axis=1))


def test_lean_and_quantiles_by_hand():
    rng = np.random.default_rng(0)
    anchors = rng.normal(size=(500, 2))
    aim = anchors @ [0.7, -0.2] + (rng.random(500) < 0.2) * 50.0
    np.testing.assert_allclose(lean_of(anchors, aim, np.ones(500), np.zeros(2), 1e-3), [0.7, -0.2], atol=0.05)
    values = np.arange(100.0)[:, None].repeat(6, axis=1)
    want = [4, 9, 24, 49, 74, 89, 94, 98]
    np.testing.assert_array_equal(weighted_quantiles(values, np.ones(100))[0], want)
    doubled = np.concatenate([np.full(50, 2.0), np.ones(50)])
    assert weighted_quantiles(values, doubled)[0, 3] == 37


@pytest.mark.parametrize("line", ['family = "gbm"', 'family = "svr"\nwindow_bins = 289', "treees = 3"])
def test_bad_recipes_are_refused(tmp_path, line):
    path = tmp_path / "recipe.toml"
    path.write_text(f'name = "a"\nversion = "1"\n[windowed]\n{line}\n')
    with pytest.raises(RecipeError):
        load_recipe(path)
