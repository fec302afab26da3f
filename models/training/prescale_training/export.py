"""Writes what was trained as a model folder: graph, manifest, golden vectors, model card."""

from pathlib import Path

from .card import write_card
from .goldens import model_golden, session_of, write_json
from .manifest import manifest_text
from .recipe import Recipe
from .trained import Trained, contract_of, facts_of, graph_of


def export(trained: Trained, recipe: Recipe, folder: Path, scores: list[dict], used: dict[str, int] | None = None) -> None:
    """Writes model.onnx, golden.json, manifest.toml and MODEL_CARD.md into `folder`.

    `scores` are figures of `evaluate`; `used` says how many series of each source were trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    model.write_bytes(graph_of(trained).SerializeToString(deterministic=True))
    write_json(folder / "golden.json", model_golden(session_of(model)))
    contract = contract_of(trained, recipe)
    figures = {name: value for one in scores for name, value in one["manifest"].items()}
    (folder / "manifest.toml").write_text(manifest_text(recipe, model, contract, figures))
    write_card(folder, recipe, contract, facts_of(trained), used or {}, scores)
