"""The two kinds of model, each as what its manifest says of inputs and outputs."""

from dataclasses import dataclass

from .schema import FEATURES, HORIZONS_S, KINDS, QUANTILE_LEVELS

FREE_AXIS = -1
"""Stands in a shape for the axis of any length: the rows of a batch."""

_X = ("x", [FREE_AXIS, FEATURES], "1 (see FEATURES.md)")
_Q = ("q", [FREE_AXIS, len(HORIZONS_S), len(KINDS), len(QUANTILE_LEVELS)], "scale of the bin")


@dataclass(frozen=True)
class Contract:
    """A kind, the numbers that go with it, and tensors as (name, shape, unit)."""

    kind: str
    numbers: dict[str, int]
    inputs: list[tuple[str, list[int], str]]
    outputs: list[tuple[str, list[int], str]]


def stateful(state_size: int) -> Contract:
    """A model that carries `state_size` numbers per series."""
    before = ("h", [FREE_AXIS, state_size], "1 (zeros before the first bin)")
    after = ("h_out", [FREE_AXIS, state_size], "1 (h of the next bin)")
    return Contract("stateful", {"state_size": state_size}, [_X, before], [_Q, after])


def windowed(window_bins: int, bins_needed: int) -> Contract:
    """A model that sees the last `window_bins` bins and carries nothing."""
    window = ("w", [FREE_AXIS, window_bins], "scale of the bin (see FEATURES.md)")
    return Contract("windowed", {"window_bins": window_bins, "bins_needed": bins_needed}, [window, _X], [_Q])
