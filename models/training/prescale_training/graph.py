"""Builds the ONNX graph of one step from a trained network's arrays, in plain operators.

No GRU, LSTM, Loop, Scan or CumSum: running sums are products with triangular constants, picking columns is
Slice or a product with a 0/1 matrix. So that any runtime computes the same.
"""

import numpy as np
import onnx

from . import layout
from .network import DemandNetwork
from .nodes import Graph
from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, KINDS


def build_graph(network: DemandNetwork) -> onnx.ModelProto:
    """The step `(x [N, 18], h [N, S]) -> (q [N, 3, 2, 8], h_out [N, S])` as an ONNX model."""
    w = {k: v.detach().numpy() for k, v in {**network.state_dict(), **dict(network.named_buffers())}.items()}
    hidden, carried, size = network.hidden, network.carried, network.state_size
    cell = _CELLS[network.cell]
    g = Graph()
    memory = _memory(g, g.columns("h", carried, size), w)
    seen, local, slow_mean = _seen(g, memory, w)
    u = g.silu(g.linear(seen, w["input.weight"], w["input.bias"]))
    h, state = cell(g, u, g.columns("h", 0, carried), w, hidden)
    z = g.silu(g.linear(g.concat(h, u), w["mix.weight"], w["mix.bias"]))
    q = _quantiles(g, z, local, slow_mean, w)
    g.add("Reshape", q, g.constant([-1, len(HORIZONS_BINS), len(KINDS), layout.LEVELS], integer=True), output="q")
    g.concat(state, memory, output="h_out")
    q_shape = [len(HORIZONS_BINS), len(KINDS), layout.LEVELS]
    return g.model(f"prescale_demand_{network.cell}", {"x": FEATURES, "h": size}, {"q": q_shape, "h_out": [size]})


def _memory(g: Graph, memory: str, w: dict) -> str:
    averages, maxima = len(layout.AVERAGES), len(layout.MAXIMA)
    value, change = FEATURE_INDEX["value"], FEATURE_INDEX["change"]
    names = ("value", "change", "seasonal_error", "one")
    x_value = g.columns("x", value, value + 1)
    x_change = g.add("Abs", g.columns("x", change, change + 1))
    error = g.add("Abs", g.add("Sub", x_value, g.columns(memory, 0, 1)))
    had_day = g.columns(memory, 1, 2)
    named = g.concat(x_value, x_change, error)

    def picked(slots):
        pick = np.zeros((3, len(slots)), dtype=np.float32)
        ones = np.zeros(len(slots), dtype=np.float32)
        for column, (what, _) in enumerate(slots):
            what = "one" if what == "seasonal_one" else what
            if what == "one":
                ones[column] = 1.0
            else:
                pick[names.index(what), column] = 1.0
        product = g.add("MatMul", named, pick)
        return g.add("Add", product, ones) if ones.any() else product

    present = g.add("Sub", np.ones((1, 1)), g.columns("x", FEATURE_INDEX["missing"], FEATURE_INDEX["missing"] + 1))
    no_day = g.add("Sub", np.ones((1, 1)), had_day)
    gate = g.add("Sub", np.ones((1, 1)), g.add("Mul", no_day, w["average_is_seasonal"][None]))
    rate = g.add("Mul", g.add("Mul", present, gate), w["average_rates"][None])
    old = g.columns(memory, 2, 2 + averages)
    average = g.add("Add", old, g.add("Mul", rate, g.add("Sub", picked(layout.AVERAGES), old)))
    kept = g.add("Mul", g.columns(memory, 2 + averages, 2 + averages + maxima), w["maximum_keeps"][None])
    peaks = g.add("Max", picked(layout.MAXIMA), kept)
    day_ago = g.columns("x", FEATURE_INDEX["day_ago_value_300s"], FEATURE_INDEX["day_ago_value_300s"] + 1)
    has_day = g.columns("x", FEATURE_INDEX["has_day"], FEATURE_INDEX["has_day"] + 1)
    return g.concat(day_ago, has_day, average, peaks)


def _seen(g: Graph, memory: str, w: dict) -> tuple[str, str, str]:
    averages = g.columns(memory, 2, 2 + len(layout.AVERAGES))
    maxima = g.columns(memory, 2 + len(layout.AVERAGES), layout.MEMORY)
    counts = g.add("Max", g.add("MatMul", averages, w["count_pick"]), np.full((1, 1), 1e-6))
    corrected = g.add("Div", g.add("MatMul", averages, w["corrected_pick"]), counts)
    spread = g.add("Add", g.add("MatMul", "x", w["std_pick"]), g.add("MatMul", corrected, w["change_pick"]))
    local = g.add("Add", g.add("Abs", spread), np.full((1, 1), layout.LOCAL_FLOOR))
    difference = g.add("MatMul", "x", w["contrast"])
    gate = g.add("Add", g.add("MatMul", "x", w["contrast_gate"]), w["contrast_offset"][None])
    contrasts = g.add("Div", g.add("Mul", difference, gate), local)
    means = g.add("MatMul", corrected, w["means_pick"])
    spreads = g.concat(local, g.add("MatMul", corrected, w["spreads_pick"]))
    logs = g.add("Log", g.add("Add", g.add("Abs", spreads), np.full((1, 1), layout.LOG_FLOOR)))
    logs = g.add("Mul", logs, np.full((1, 1), 0.3))
    raw = g.concat("x", contrasts, means, maxima)
    weight = g.add("Add", g.add("Div", g.add("Abs", raw), np.full((1, 1), layout.SQUASH)), np.ones((1, 1)))
    return g.concat(g.add("Div", raw, weight), logs), local, g.columns(means, 1, 2)


def _gru(g: Graph, u: str, h: str, w: dict, hidden: int) -> tuple[str, str]:
    """PyTorch's gates: reset, update, new; the reset gate acts on the product with the hidden state.

    Gives the hidden vector and what is carried, which are the same.
    """
    a = g.linear(u, w["gru.weight_ih_l0"], w["gru.bias_ih_l0"])
    b = g.linear(h, w["gru.weight_hh_l0"], w["gru.bias_hh_l0"])
    part = lambda name, i: g.columns(name, i * hidden, (i + 1) * hidden)  # noqa: E731
    reset = g.add("Sigmoid", g.add("Add", part(a, 0), part(b, 0)))
    update = g.add("Sigmoid", g.add("Add", part(a, 1), part(b, 1)))
    new = g.add("Tanh", g.add("Add", part(a, 2), g.add("Mul", reset, part(b, 2))))
    h = g.add("Add", new, g.add("Mul", update, g.add("Sub", h, new)))
    return h, h


def _lstm(g: Graph, u: str, carried: str, w: dict, hidden: int) -> tuple[str, str]:
    """PyTorch's gates: input, forget, cell, output. Gives the hidden vector, and hidden and cell vector."""
    h, c = g.columns(carried, 0, hidden), g.columns(carried, hidden, 2 * hidden)
    a = g.linear(u, w["lstm.weight_ih_l0"], w["lstm.bias_ih_l0"])
    b = g.linear(h, w["lstm.weight_hh_l0"], w["lstm.bias_hh_l0"])
    gates = g.add("Add", a, b)
    part = lambda i: g.columns(gates, i * hidden, (i + 1) * hidden)  # noqa: E731
    kept = g.add("Mul", g.add("Sigmoid", part(1)), c)
    new = g.add("Mul", g.add("Sigmoid", part(0)), g.add("Tanh", part(2)))
    c = g.add("Add", kept, new)
    h = g.add("Mul", g.add("Sigmoid", part(3)), g.add("Tanh", c))
    return h, g.concat(h, c)


_CELLS = {"gru": _gru, "lstm": _lstm}


def _quantiles(g: Graph, z: str, local: str, slow_mean: str, w: dict) -> str:
    value = g.columns("x", FEATURE_INDEX["value"], FEATURE_INDEX["value"] + 1)
    leaning = g.add("Add", g.add("MatMul", "x", w["anchor_contrast"]), g.add("MatMul", slow_mean, w["slow_mean_row"]))
    gate = g.add("Add", g.add("MatMul", "x", w["anchor_gate"]), w["anchor_offset"][None])
    lean = g.add("Sigmoid", g.linear(z, w["lean.weight"], w["lean.bias"]))
    leant = g.add("MatMul", g.add("Mul", lean, g.add("Mul", leaning, gate)), w["anchor_sum"])
    shift = g.add("Mul", local, g.linear(z, w["shift.weight"], w["shift.bias"]))
    median = g.add("Add", g.add("Add", value, leant), shift)
    near = g.add("Mul", local, g.add("Softplus", g.linear(z, w["local_steps.weight"], w["local_steps.bias"])))
    far = g.add("Softplus", g.linear(z, w["global_steps.weight"], w["global_steps.bias"]))
    around = g.add("MatMul", g.add("Add", near, far), w["increments_to_levels"])
    return g.add("Add", g.add("MatMul", median, w["median_to_levels"]), around)
