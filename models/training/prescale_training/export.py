"""Writes a trained network as a model folder: graph, manifest, golden vectors."""

from pathlib import Path

from .goldens import features_golden, model_golden, session_of, write_json
from .graph import build_graph
from .manifest import manifest_text
from .network import DemandNetwork
from .recipe import Recipe


def export(network: DemandNetwork, recipe: Recipe, folder: Path, scores: dict[str, float]) -> None:
    """Writes model.onnx, golden.json, features_golden.json and manifest.toml into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    model.write_bytes(build_graph(network.eval()).SerializeToString(deterministic=True))
    write_json(folder / "golden.json", model_golden(session_of(model)))
    write_json(folder / "features_golden.json", features_golden())
    (folder / "manifest.toml").write_text(manifest_text(recipe, model, network.state_size, scores))
