"""What training leaves in a run folder, whatever the kind: weights.pt of a network, arrays.npz of a windowed model."""

import json
from pathlib import Path

import numpy as np
import onnx
import torch

from . import contract
from .forest import Forest
from .graph import build_graph
from .kernel import KernelMachine
from .network import DemandNetwork
from .recipe import Recipe
from .window_graph import build_window_graph

Trained = DemandNetwork | Forest | KernelMachine

_WINDOWED = {c.family: c for c in (Forest, KernelMachine)}


def save(trained: Trained, recipe: Recipe, folder: Path) -> None:
    """Writes `trained` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(trained, DemandNetwork):
        saved = {"hidden": trained.hidden, "cell": trained.cell, "weights": trained.state_dict(), "recipe": recipe.name}
        torch.save(saved, folder / "weights.pt")
    else:
        np.savez(folder / "arrays.npz", family=trained.family, **trained.arrays())


def load(folder: Path) -> Trained:
    """What `save` wrote into `folder`."""
    if (folder / "arrays.npz").is_file():
        with np.load(folder / "arrays.npz") as arrays:
            given = {name: a.item() if a.ndim == 0 else a for name, a in arrays.items()}
        return _WINDOWED[given.pop("family")].from_arrays(given)
    saved = torch.load(folder / "weights.pt", map_location="cpu")
    network = DemandNetwork(saved["hidden"], saved.get("cell", "gru"))
    network.load_state_dict(saved["weights"])
    return network


def used_in(folder: Path) -> dict[str, int]:
    """How many series of each source were trained on; empty where `fit_and_save` has not said it."""
    path = folder / "used.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def graph_of(trained: Trained) -> onnx.ModelProto:
    """Its ONNX graph."""
    return build_graph(trained.eval()) if isinstance(trained, DemandNetwork) else build_window_graph(trained)


def contract_of(trained: Trained, recipe: Recipe) -> contract.Contract:
    """What its manifest is to say."""
    if isinstance(trained, DemandNetwork):
        return contract.stateful(trained.state_size)
    return contract.windowed(int(trained.window_bins), recipe.windowed.bins_needed)


def facts_of(trained: Trained) -> list[str]:
    """Lines for the model card."""
    if isinstance(trained, DemandNetwork):
        learned = sum(p.numel() for p in trained.parameters())
        cell = trained.cell.upper()
        return [
            f"Network: input layer, one {cell} cell of {trained.hidden} units, head; {learned:,} learned numbers.",
            f"{trained.state_size - trained.carried} of the {trained.state_size} numbers of the state are running statistics that are not learned.",
        ]
    if isinstance(trained, Forest):
        return [
            f"Quantile regression forest: {len(trained.trees.roots)} trees with {trained.trees.leaves} leaves, at most {trained.trees.depth} splits deep.",
            "A leaf says how far its bins lean towards anchors such as the value a day ago, and the quantiles of what is left; means over the trees.",
        ]
    return [
        f"Support vector regression of quantiles (pinball loss, RBF kernel): {len(trained.vectors)} support vectors.",
        "Each has a say in how far the median leans towards anchors such as the value a day ago, and in how wide the quantiles lie.",
    ]
