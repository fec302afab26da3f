"""Builds the ONNX graph of a windowed model, `(w [N, W], x [N, 18]) -> q [N, 3, 2, 8]`, in plain operators.

Trees are tensors, walked down a level at a time in all trees at once (the tree traversal of Nakandala et
al. 2020, "A Tensor Compiler for Unified Machine Learning Prediction Serving", OSDI).
"""

import numpy as np
import onnx

from . import codes, layout, window_layout
from .forest import Forest
from .kernel import KernelMachine
from .nodes import Graph
from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, HOUR_BINS, KINDS

_ANCHORS = len(window_layout.ANCHORS)


def build_window_graph(model: Forest | KernelMachine) -> onnx.ModelProto:
    """The model as ONNX."""
    g = Graph()
    seen, anchors, local, value = add_regressors(g, model.window_bins)
    if isinstance(model, Forest):
        lean, spread = _forest(g, seen, model)
    else:
        lean, spread = _kernel_machine(g, seen, model)
    sum_anchors = np.kron(np.eye(layout.HEADS), np.ones((_ANCHORS, 1)))
    middle = g.add("Add", value, g.add("MatMul", g.add("Mul", anchors, lean), sum_anchors))
    q = g.add("Add", g.add("MatMul", middle, layout.median_to_levels()), g.add("Mul", local, spread))
    if isinstance(model, KernelMachine):
        q = _sorted(g, g.add("Reshape", q, g.constant([-1, layout.HEADS, layout.LEVELS], integer=True)))
    shape = [len(HORIZONS_BINS), len(KINDS), layout.LEVELS]
    g.add("Reshape", q, g.constant([-1, *shape], integer=True), output="q")
    name = f"prescale_demand_{model.family.replace('-', '_')}"
    return g.model(name, {"w": model.window_bins, "x": FEATURES}, {"q": shape})


def add_regressors(g: Graph, width: int) -> tuple[str, str, str, str]:
    """(seen [N, Z], anchors [N, heads * A], local [N, 1], value [N, 1]), as `regressors` has them."""
    changes = g.add("Abs", g.add("MatMul", "w", window_layout.difference(width)))
    changes = g.add("MatMul", changes, window_layout.change_weights(width))
    hour_std = _feature(g, "hour_std")
    halves = g.add("Mul", g.add("Add", hour_std, g.columns(changes, 0, 1)), np.full((1, 1), 0.5))
    local = g.add("Add", g.add("Abs", halves), np.full((1, 1), layout.LOCAL_FLOOR))
    value = _feature(g, "value")
    of_features = _gated(g, layout.contrast_matrices())
    of_window = g.add("MatMul", "w", window_layout.window_contrasts(width))
    extremes = g.add("Sub", g.concat(*_extremes(g, width)), value)
    told = g.add("Div", g.concat(of_features, of_window, extremes), local)
    raw = g.concat(told, g.columns("x", 0, window_layout.CALENDAR_FROM))
    weight = g.add("Add", g.add("Mul", g.add("Abs", raw), np.full((1, 1), 1 / layout.SQUASH)), np.ones((1, 1)))
    sizes = g.concat(local, hour_std, g.columns(changes, 1, 3), value)
    logs = g.add("Log", g.add("Add", g.add("Abs", sizes), np.full((1, 1), layout.LOG_FLOOR)))
    seen = g.concat(g.add("Div", raw, weight), g.add("Mul", logs, np.full((1, 1), 0.3)))
    of_window = g.add("MatMul", "w", window_layout.window_anchors(width))
    anchors = g.add("Add", _gated(g, window_layout.feature_anchors()), of_window)
    return seen, anchors, local, value


def _feature(g: Graph, name: str) -> str:
    return g.columns("x", FEATURE_INDEX[name], FEATURE_INDEX[name] + 1)


def _gated(g: Graph, matrices: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
    contrast, gate, offset = matrices
    return g.add("Mul", g.add("MatMul", "x", contrast), g.add("Add", g.add("MatMul", "x", gate), offset[None]))


def _extremes(g: Graph, width: int) -> list[str]:
    ends = [min(n, width) for n in (*window_layout.EXTREMES, width)]
    newest = lambda n: g.columns("w", width - n, width)  # noqa: E731
    most = [g.add("ReduceMax", newest(n), axes=[1], keepdims=1) for n in ends]
    return most + [g.add("ReduceMin", newest(n), axes=[1], keepdims=1) for n in (min(HOUR_BINS, width), ends[-1])]


def _forest(g: Graph, seen: str, forest: Forest) -> tuple[str, str]:
    """(lean [N, heads * A], spread [N, heads * levels]), means over the trees."""
    trees = forest.trees
    root = trees.roots
    picked = g.add("Gather", seen, g.constant(trees.columns[root], integer=True), axis=1)
    goes_right = g.add("Greater", picked, trees.thresholds[root][None])
    at = g.add("Where", goes_right, *(g.constant(side[root][None], integer=True) for side in (trees.right, trees.left)))
    tables = [g.table(table) for table in (trees.columns, trees.right, trees.left)]
    thresholds = g.constant(trees.thresholds)
    for _ in range(trees.depth - 1):
        columns, right, left = (g.index(g.add("Gather", table, at, axis=0)) for table in tables)
        picked = g.add("GatherElements", seen, columns, axis=1)
        goes_right = g.add("Greater", picked, g.add("Gather", thresholds, at, axis=0))
        at = g.add("Where", goes_right, right, left)
    lean = g.add("ReduceMean", _decoded(g, forest.leans, at), axes=[1], keepdims=0)
    lean = g.add("Mul", lean, np.full((1, 1), codes.LEAN_STEP))
    spread = g.add("Mul", _decoded(g, forest.spreads, at), np.full((1, 1, 1), codes.spread_step(forest.reach)))
    spread = g.add("ReduceMean", g.add("Sinh", spread), axes=[1], keepdims=0)
    return lean, g.add("Mul", spread, np.full((1, 1), codes.FINE))


def _decoded(g: Graph, table: np.ndarray, leaves: str) -> str:
    """[N, trees, columns]: the codes of the leaves as float32."""
    picked = g.add("Gather", g.table(table.reshape(len(table), -1)), leaves, axis=0)
    return g.add("Cast", picked, to=onnx.TensorProto.FLOAT)


def _kernel_machine(g: Graph, seen: str, machine: KernelMachine) -> tuple[str, str]:
    """(lean [N, heads * A], spread [N, heads * levels])."""
    z = g.add("Mul", g.add("Sub", seen, machine.shift[None]), machine.stretch[None])
    # As a matrix product: a ReduceSum's order of adding may depend on where the row lies.
    own = g.add("MatMul", g.add("Mul", z, z), np.ones((len(machine.shift), 1)))
    theirs = (machine.vectors**2).sum(axis=1)[None]
    apart = g.add("Sub", g.add("Add", own, theirs), g.add("MatMul", z, 2.0 * machine.vectors.T))
    near = g.add("Exp", g.add("Neg", g.add("Relu", apart)))
    lean = g.linear(near, machine.leans[:-1].T, machine.leans[-1:])
    return lean, g.linear(near, machine.spreads[:-1].T, machine.spreads[-1:])


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
    """`q` [N, heads, levels] ascending along the levels, by a sorting network."""
    for exchanges in merge_exchanges(layout.LEVELS):
        partner, low = np.arange(layout.LEVELS), np.zeros((1, 1, layout.LEVELS), dtype=np.float32)
        for a, b in exchanges:
            partner[[a, b]] = b, a
            low[..., a] = 1.0
        other = g.add("Gather", q, g.constant(partner, integer=True), axis=2)
        least = g.add("Mul", g.add("Min", q, other), low)
        q = g.add("Add", least, g.add("Mul", g.add("Max", q, other), 1.0 - low))
    return q
