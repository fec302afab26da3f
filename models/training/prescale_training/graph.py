"""Builds the ONNX graph of one step from a trained network's arrays, in plain operators.

No GRU, Loop, Scan or CumSum: running sums are products with triangular constants, picking columns is
Slice or a product with a 0/1 matrix. So that any runtime computes the same.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import layout
from .network import DemandGru
from .schema import FEATURE_INDEX, FEATURES, HORIZONS_BINS, KINDS

OPSET = 17
IR_VERSION = 8


class _Graph:
    """Collects nodes and constants; each method adds one operator and gives its output's name."""

    def __init__(self):
        self.nodes, self.constants, self._known = [], [], {}

    def constant(self, array, integer: bool = False) -> str:
        array = np.ascontiguousarray(array, dtype=np.int64 if integer else np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def add(self, op: str, *inputs, output: str | None = None, **attributes) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        output = output or f"n{len(self.nodes)}_{op.lower()}"
        self.nodes.append(helper.make_node(op, names, [output], **attributes))
        return output

    def columns(self, name: str, begin: int, end: int) -> str:
        bounds = [self.constant([b], integer=True) for b in (begin, end, 1)]
        return self.add("Slice", name, *bounds)

    def concat(self, *names: str, output: str | None = None) -> str:
        return self.add("Concat", *names, output=output, axis=1)

    def linear(self, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        return self.add("Add", self.add("MatMul", name, weight.T), bias)

    def silu(self, name: str) -> str:
        return self.add("Mul", name, self.add("Sigmoid", name))


def build_graph(network: DemandGru) -> onnx.ModelProto:
    """The step `(x [N, 18], h [N, S]) -> (q [N, 3, 2, 8], h_out [N, S])` as an ONNX model."""
    w = {k: v.detach().numpy() for k, v in {**network.state_dict(), **dict(network.named_buffers())}.items()}
    hidden, size = network.hidden, network.state_size
    g = _Graph()
    memory = _memory(g, g.columns("h", hidden, size), w)
    seen, local, slow_mean = _seen(g, memory, w)
    u = g.silu(g.linear(seen, w["input.weight"], w["input.bias"]))
    h = _gru(g, u, g.columns("h", 0, hidden), w, hidden)
    z = g.silu(g.linear(g.concat(h, u), w["mix.weight"], w["mix.bias"]))
    q = _quantiles(g, z, local, slow_mean, w)
    g.add("Reshape", q, g.constant([-1, len(HORIZONS_BINS), len(KINDS), layout.LEVELS], integer=True), output="q")
    g.concat(h, memory, output="h_out")
    return _model(g, size)


def _memory(g: _Graph, memory: str, w: dict) -> str:
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


def _seen(g: _Graph, memory: str, w: dict) -> tuple[str, str, str]:
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


def _gru(g: _Graph, u: str, h: str, w: dict, hidden: int) -> str:
    """PyTorch's gates: reset, update, new; the reset gate acts on the product with the hidden state."""
    a = g.linear(u, w["gru.weight_ih_l0"], w["gru.bias_ih_l0"])
    b = g.linear(h, w["gru.weight_hh_l0"], w["gru.bias_hh_l0"])
    part = lambda name, i: g.columns(name, i * hidden, (i + 1) * hidden)  # noqa: E731
    reset = g.add("Sigmoid", g.add("Add", part(a, 0), part(b, 0)))
    update = g.add("Sigmoid", g.add("Add", part(a, 1), part(b, 1)))
    new = g.add("Tanh", g.add("Add", part(a, 2), g.add("Mul", reset, part(b, 2))))
    return g.add("Add", new, g.add("Mul", update, g.add("Sub", h, new)))


def _quantiles(g: _Graph, z: str, local: str, slow_mean: str, w: dict) -> str:
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


def _model(g: _Graph, state_size: int) -> onnx.ModelProto:
    def tensor(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    graph = helper.make_graph(
        g.nodes,
        "prescale_demand_gru",
        [tensor("x", [FEATURES]), tensor("h", [state_size])],
        [tensor("q", [len(HORIZONS_BINS), len(KINDS), layout.LEVELS]), tensor("h_out", [state_size])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="prescale_training")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model
