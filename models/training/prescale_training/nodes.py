"""A small ONNX graph builder: plain operators of the default domain only, float32, rows first."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class Graph:
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

    def table(self, array: np.ndarray) -> str:
        """A constant of whole numbers: int8 where given so, else int32."""
        array = np.ascontiguousarray(array, dtype=np.int8 if array.dtype == np.int8 else np.int32)
        name = f"t{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def index(self, name: str) -> str:
        """Whole numbers as int32: tract takes int64 for sizes that may be symbols, and is slow with them."""
        return self.add("Cast", name, to=TensorProto.INT32)

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

    def model(self, name: str, inputs: dict[str, int], outputs: dict[str, list[int]]) -> onnx.ModelProto:
        """The checked model; `inputs` by name their width, `outputs` by name their shape without the rows."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [_tensor(i, [width]) for i, width in inputs.items()],
            [_tensor(o, shape) for o, shape in outputs.items()],
            self.constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="prescale_training")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def _tensor(name: str, shape: list[int]):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
