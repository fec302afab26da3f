"""Writes what was trained as a model folder: graph, manifest, golden vectors."""

from pathlib import Path

from .goldens import features_golden, model_golden, session_of, write_json
from .manifest import manifest_text
from .recipe import Recipe
from .trained import Trained, contract_of, graph_of


def export(trained: Trained, recipe: Recipe, folder: Path, scores: dict[str, float]) -> None:
    """Writes model.onnx, golden.json, features_golden.json and manifest.toml into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    model.write_bytes(graph_of(trained).SerializeToString(deterministic=True))
    write_json(folder / "golden.json", model_golden(session_of(model)))
    write_json(folder / "features_golden.json", features_golden())
    (folder / "manifest.toml").write_text(manifest_text(recipe, model, contract_of(trained, recipe), scores))
