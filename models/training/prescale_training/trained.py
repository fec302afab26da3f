"""What training leaves in a run folder, whatever the kind: weights.pt of a network, arrays.npz of a windowed model."""

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


def graph_of(trained: Trained) -> onnx.ModelProto:
    """Its ONNX graph."""
    return build_graph(trained.eval()) if isinstance(trained, DemandNetwork) else build_window_graph(trained)


def contract_of(trained: Trained, recipe: Recipe) -> contract.Contract:
    """What its manifest is to say."""
    if isinstance(trained, DemandNetwork):
        return contract.stateful(trained.state_size)
    return contract.windowed(int(trained.window_bins), recipe.windowed.bins_needed)
