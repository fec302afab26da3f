"""Builds the ONNX graph of a windowed model, `(w [N, W], x [N, 18]) -> q [N, 3, 2, 8]`, in plain operators.

Trees are tensors, walked down a level at a time in all trees at once (the tree traversal of Nakandala et
al. 2020, "A Tensor Compiler for Unified Machine Learning Prediction Serving", OSDI).
"""

from dataclasses import dataclass

import numpy as np
import onnx

from . import codes, layout, window_layout
from .forest import Forest
from .kernel import KernelMachine
from .nodes import Graph
from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, HOUR_BINS, KINDS
from .trees import Trees

_ANCHORS = len(window_layout.ANCHORS)


def build_window_graph(model: Forest | KernelMachine) -> onnx.ModelProto:
    """The model as ONNX."""
    g = Graph()
    seen, anchors, local, value = add_regressors(g, model.window_bins)
    if isinstance(model, Forest):
        lean, spread = _forest(g, seen, model)
    else:
        lean, spread = _kernel_machine(g, seen, model)
    to_levels = np.kron(np.eye(layout.HEADS), np.ones((_ANCHORS, layout.LEVELS)))
    middle = g.add("Add", g.add("MatMul", g.add("Mul", anchors, lean), to_levels), value)
    q = g.add("Add", middle, g.add("Mul", spread, local))
    if isinstance(model, KernelMachine):
        q = _sorted(g, q)
    shape = [len(HORIZONS_BINS), len(KINDS), layout.LEVELS]
    g.add("Reshape", q, g.constant([-1, *shape], integer=True), output="q")
    name = f"prescale_demand_{model.family.replace('-', '_')}"
    return g.model(name, {"w": model.window_bins, "x": FEATURES}, {"q": shape})


def add_regressors(g: Graph, width: int) -> tuple[str, str, str, str]:
    """(seen [N, Z], anchors [N, heads * A], local [N, 1], value [N, 1]), as `regressors` has them."""
    changes = g.add("Abs", g.add("Sub", g.columns("w", 1, width), g.columns("w", 0, width - 1)))
    changes = g.add("MatMul", changes, window_layout.change_weights(width))
    hour_std = _feature(g, "hour_std")
    halves = g.add("Mul", g.add("Add", hour_std, g.columns(changes, 0, 1)), np.full((1, 1), 0.5))
    local = g.add("Add", g.add("Abs", halves), np.full((1, 1), layout.LOCAL_FLOOR))
    value = _feature(g, "value")
    of_features, anchors_of_features = _gated(g, layout.contrast_matrices(), window_layout.feature_anchors())
    of_window, anchors_of_window = _products(
        g, "w", window_layout.window_contrasts(width), window_layout.window_anchors(width)
    )
    extremes = g.add("Sub", g.concat(*_extremes(g, width)), value)
    told = g.add("Div", g.concat(of_features, of_window, extremes), local)
    raw = g.concat(told, g.columns("x", 0, window_layout.CALENDAR_FROM))
    weight = g.add("Add", g.add("Mul", g.add("Abs", raw), np.full((1, 1), 1 / layout.SQUASH)), np.ones((1, 1)))
    sizes = g.concat(local, hour_std, g.columns(changes, 1, 3), value)
    logs = g.add("Log", g.add("Add", g.add("Abs", sizes), np.full((1, 1), layout.LOG_FLOOR)))
    seen = g.concat(g.add("Div", raw, weight), g.add("Mul", logs, np.full((1, 1), 0.3)))
    return seen, g.add("Add", anchors_of_features, anchors_of_window), local, value


def _feature(g: Graph, name: str) -> str:
    return g.columns("x", FEATURE_INDEX[name], FEATURE_INDEX[name] + 1)


def _split(g: Graph, name: str, widths: list[int]) -> list[str]:
    """The columns of `name` in parts. They are gathered, for tract computes a product anew for each slice of it."""
    parts = np.split(np.arange(sum(widths)), np.cumsum(widths)[:-1])
    return [_picked(g, name, columns) for columns in parts]


def _picked(g: Graph, name: str, columns: np.ndarray) -> str:
    return g.add("Gather", name, g.constant(columns, integer=True), axis=1)


def _products(g: Graph, name: str, *matrices: np.ndarray) -> list[str]:
    """`name` times each of the matrices, as one product."""
    product = g.add("MatMul", name, np.concatenate(matrices, axis=1))
    return _split(g, product, [m.shape[1] for m in matrices])


def _gated(g: Graph, *parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[str]:
    """`(x @ contrast) * (x @ gate + offset)` of each part, as one product."""
    contrasts, gates, offsets = (np.concatenate(arrays, axis=-1) for arrays in zip(*parts))
    contrasts, gates = _products(g, "x", contrasts, gates)
    gated = g.add("Mul", contrasts, g.add("Add", gates, offsets[None]))
    return _split(g, gated, [part[0].shape[1] for part in parts])


def _extremes(g: Graph, width: int) -> list[str]:
    ends = [min(n, width) for n in (*window_layout.EXTREMES, width)]
    most = _over_newest(g, "Max", ends, width)
    return most + _over_newest(g, "Min", [min(HOUR_BINS, width), ends[-1]], width)


def _over_newest(g: Graph, op: str, ends: list[int], width: int) -> list[str]:
    """The extreme [N, 1] over the newest bins, for each of these ascending counts of bins, in halves: column by column
    beside each other, which runtimes do faster than over a row."""
    found, before = [], 0
    for end in ends:
        parts = found[-1:]
        if end > before:
            parts.append(_over_columns(g, op, g.columns("w", width - end, width - before), end - before))
        found.append(g.add(op, *parts) if len(parts) == 2 else parts[0])
        before = end
    return found


def _over_columns(g: Graph, op: str, name: str, count: int) -> str:
    while count > 1:
        half = (count + 1) // 2
        # Where the count is odd the middle one is in both halves.
        name, count = g.add(op, g.columns(name, 0, half), g.columns(name, count - half, count)), half
    return name


@dataclass(frozen=True)
class _Nodes:
    """All nodes of a forest, the roots first and siblings side by side: node n sends a bin to `left[n]`, or to the one
    after it where `seen[columns[n]] > thresholds[n]`. A leaf sends it to itself; `leaves` says which leaf it is."""

    columns: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    leaves: np.ndarray


def _siblings_adjacent(trees: Trees) -> _Nodes:
    order = list(trees.roots)
    left = []
    for node in order:
        if trees.left[node] == node:
            left.append(len(left))
        else:
            left.append(len(order))
            order += [trees.left[node], trees.right[node]]
    order = np.array(order)
    is_leaf = trees.left[order] == order
    thresholds = np.where(is_leaf, np.float32(np.inf), trees.thresholds[order])
    return _Nodes(trees.columns[order], thresholds, np.array(left), np.where(is_leaf, order, 0))


def _forest(g: Graph, seen: str, forest: Forest) -> tuple[str, str]:
    """(lean [N, heads * A], spread [N, heads * levels]), means over the trees."""
    trees = forest.trees
    nodes = _siblings_adjacent(trees)
    count = len(trees.roots)
    picked = g.add("Gather", seen, g.constant(nodes.columns[:count], integer=True), axis=1)
    at = g.index(g.add("Add", _is_above(g, picked, nodes.thresholds[:count][None]), nodes.left[:count][None]))
    columns, leaves = g.table(nodes.columns), g.table(nodes.leaves)
    thresholds, left = g.constant(nodes.thresholds), g.constant(nodes.left)
    for _ in range(trees.depth - 1):
        picked = g.add("GatherElements", seen, g.add("Gather", columns, at, axis=0), axis=1)
        above = _is_above(g, picked, g.add("Gather", thresholds, at, axis=0))
        at = g.index(g.add("Add", above, g.add("Gather", left, at, axis=0)))
    at = g.add("Gather", leaves, at, axis=0)
    # What the codes stand for follows from constants alone, so a runtime computes it once, when it loads the graph.
    leans = g.add("Mul", _codes(g, forest.leans), np.full((1, 1), codes.LEAN_STEP / count))
    spreads = g.add("Sinh", g.add("Mul", _codes(g, forest.spreads), np.full((1, 1), codes.spread_step(forest.reach))))
    spreads = g.add("Mul", spreads, np.full((1, 1), codes.FINE / count))
    return tuple(_sum_over_trees(g, g.add("Gather", table, at, axis=0)) for table in (leans, spreads))


def _is_above(g: Graph, picked: str, threshold: str | np.ndarray) -> str:
    """1 where `picked` is above the threshold, else 0. As float32, in which runtimes are fast, as numbers of nodes are."""
    return g.add("Relu", g.add("Sign", g.add("Sub", picked, threshold)))


def _sum_over_trees(g: Graph, picked: str) -> str:
    return g.add("ReduceSum", picked, g.constant([1], integer=True), keepdims=0)


def _codes(g: Graph, table: np.ndarray) -> str:
    """[leaves, columns]: the codes as float32."""
    return g.add("Cast", g.table(table.reshape(len(table), -1)), to=onnx.TensorProto.FLOAT)


def _kernel_machine(g: Graph, seen: str, machine: KernelMachine) -> tuple[str, str]:
    """(lean [N, heads * A], spread [N, heads * levels])."""
    z = g.add("Mul", g.add("Sub", seen, machine.shift[None]), machine.stretch[None])
    # As a matrix product: a ReduceSum's order of adding may depend on where the row lies.
    own = g.add("MatMul", g.add("Mul", z, z), np.ones((len(machine.shift), 1)))
    theirs = (machine.vectors**2).sum(axis=1)[None]
    nearness = g.add("Sub", g.linear(z, 2.0 * machine.vectors, -theirs), own)
    near = g.add("Exp", g.add("Min", nearness, np.zeros((1, 1))))
    coefficients = np.concatenate([machine.leans, machine.spreads], axis=1)
    told = g.linear(near, coefficients[:-1].T, coefficients[-1:])
    return tuple(_split(g, told, [machine.leans.shape[1], machine.spreads.shape[1]]))


def merge_exchanges(count: int) -> list[list[tuple[int, int]]]:
    """Rounds of (low, high) exchanges that sort `count` numbers, a power of two (Batcher 1968, odd-even merge)."""
    rounds = []
    p = 1
    while p < count:
        k = p
        while k >= 1:
            one = []
            for j in range(k % p, count - k, 2 * k):
                for i in range(min(k, count - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        one.append((i + j, i + j + k))
            rounds.append(one)
            k //= 2
        p *= 2
    return rounds


def _sorted(g: Graph, q: str) -> str:
    """`q` [N, heads * levels] ascending along the levels, by a sorting network over the levels' columns."""
    levels_first = np.arange(layout.HEADS * layout.LEVELS).reshape(layout.HEADS, layout.LEVELS).T.ravel()
    q = _picked(g, q, levels_first)
    columns = [g.columns(q, level * layout.HEADS, (level + 1) * layout.HEADS) for level in range(layout.LEVELS)]
    for low, high in (pair for exchanges in merge_exchanges(layout.LEVELS) for pair in exchanges):
        pair = columns[low], columns[high]
        columns[low], columns[high] = g.add("Min", *pair), g.add("Max", *pair)
    return _picked(g, g.concat(*columns), np.argsort(levels_first))
