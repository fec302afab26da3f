"""Network, graph and model folder agree; a folder that was touched is refused."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from prescale_training.export import export
from prescale_training.features import features
from prescale_training.goldens import FEATURES_GOLDEN, session_of
from prescale_training.graph import build_graph
from prescale_training.network import DemandNetwork
from prescale_training.recipe import Generated, Recipe
from prescale_training.verify import problems_of

SHIPPED = sorted(path.parent for path in Path(__file__).parents[2].glob("*/manifest.toml"))
SCORES = [{"on": "here", "resources": {}, "manifest": {"score": 0.5}}]
PLAIN = {"Abs", "Add", "Concat", "Div", "Log", "MatMul", "Max", "Mul", "Reshape", "Sigmoid", "Slice", "Softplus", "Sub", "Tanh"}

PLAIN_WINDOWED = {"Cast", "Exp", "Gather", "GatherElements", "Min", "ReduceSum", "Relu", "Sign", "Sinh"}


@pytest.fixture(scope="module", params=["gru", "lstm"])
def network(request):
    torch.manual_seed(3)
    network = DemandNetwork(hidden=24, cell=request.param)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def _stepped(session, x):
    h = np.zeros((len(x), session.get_inputs()[1].shape[1]), dtype=np.float32)
    out = []
    for t in range(x.shape[1]):
        q, h = session.run(["q", "h_out"], {"x": np.ascontiguousarray(x[:, t]), "h": h})
        out.append(q)
    return np.stack(out, axis=1), h


def test_the_graph_steps_as_the_network_runs(network, arrays):
    x, _ = features(*arrays)
    with torch.no_grad():
        q, state = network(torch.from_numpy(x), network.initial_state(len(x)))
    stepped, h = _stepped(session_of(build_graph(network).SerializeToString()), x)
    np.testing.assert_allclose(stepped, q.numpy(), atol=1e-4)
    np.testing.assert_allclose(h, state.numpy(), atol=1e-4)


def test_carrying_the_state_over_chunks_changes_nothing(network, arrays):
    x = torch.from_numpy(features(*arrays)[0])
    with torch.no_grad():
        whole, _ = network(x, network.initial_state(len(x)))
        first, state = network(x[:, :333], network.initial_state(len(x)))
        second, _ = network(x[:, 333:], state)
    torch.testing.assert_close(whole, torch.cat([first, second], dim=1), atol=1e-5, rtol=1e-5)


def test_quantiles_ascend_and_are_finite_whatever_comes_in(network):
    rng = np.random.default_rng(0)
    x = rng.uniform(-20, 20, (50, 40, 18)).astype(np.float32)
    q, h = _stepped(session_of(build_graph(network).SerializeToString()), x)
    assert np.isfinite(q).all() and np.isfinite(h).all()
    assert (np.diff(q, axis=-1) >= -1e-5 * (1 + np.abs(q[..., 1:]))).all()


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_model_verifies_is_small_and_has_plain_operators_only(shipped):
    assert problems_of(shipped) == []
    path = shipped / "model.onnx"
    assert path.stat().st_size < 1 << 20
    model = onnx.load(str(path))
    assert {n.op_type for n in model.graph.node} <= PLAIN | PLAIN_WINDOWED
    assert [o.domain for o in model.opset_import] == [""]
    assert all(i.type.tensor_type.shape.dim[0].dim_param == "N" for i in model.graph.input)


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_card_tells_of_data_and_limits(shipped):
    card = (shipped / "MODEL_CARD.md").read_text()
    assert "CC-BY-4.0" in card and "## Limits" in card and "## Scores" in card


def test_export_is_repeatable_and_verifies(network, tmp_path):
    recipe = Recipe("tiny", "0.0.1", generated=Generated(count=1))
    export(network, recipe, tmp_path / "a", SCORES)
    export(network, recipe, tmp_path / "b", SCORES)
    for name in ("model.onnx", "manifest.toml", "golden.json", "MODEL_CARD.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert problems_of(tmp_path / "a") == []
    assert not (tmp_path / "a" / FEATURES_GOLDEN.name).exists()


def test_features_that_an_older_folder_repeats_are_left_alone(network, tmp_path):
    export(network, Recipe("tiny", "0.0.1"), tmp_path, [])
    (tmp_path / FEATURES_GOLDEN.name).write_text("{")
    assert problems_of(tmp_path) == []


@pytest.mark.parametrize("harm", ["truncate", "golden", "remove", "hash", "cut manifest", "cut golden", "no sha"])
def test_a_harmed_folder_is_refused(network, tmp_path, harm):
    folder = tmp_path / "model"
    export(network, Recipe("tiny", "0.0.1"), folder, [])
    model, golden, manifest = folder / "model.onnx", folder / "golden.json", folder / "manifest.toml"
    if harm == "truncate":
        model.write_bytes(model.read_bytes()[:1000])
    elif harm == "golden":
        content = json.loads(golden.read_text())
        content["steps"][2]["q"][0][0][0][0] += 0.01
        golden.write_text(json.dumps(content))
    elif harm == "remove":
        golden.unlink()
    elif harm == "cut manifest":
        manifest.write_text(manifest.read_text()[:50])
    elif harm == "cut golden":
        golden.write_text(golden.read_text()[:50])
    elif harm == "no sha":
        manifest.write_text(manifest.read_text().replace("sha256", "sha255"))
    else:
        manifest.write_text(manifest.read_text().replace("feature_schema_hash = \"", "feature_schema_hash = \"0"))
    assert problems_of(folder) != []
