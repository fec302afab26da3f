"""Times calls of a model with onnxruntime on one thread, for `step.rs`, which starts it and tells it when.

Each line on standard input is `ROWS SECONDS`: it calls the model on so many rows for so long, a stateful one with
carried state, and answers with the seconds that the fastest call took. Needs numpy and onnxruntime.
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def wave(rows: int, width: int) -> np.ndarray:
    """Numbers in -1 .. 1 from a formula, the same as in step.rs."""
    i = np.arange(rows * width, dtype=np.uint64)
    values = (i * np.uint64(2_654_435_761) % np.uint64(1000)).astype(np.float32) / np.float32(500) - np.float32(1)
    return values.reshape(rows, width)


def fastest_call_s(session: onnxruntime.InferenceSession, rows: int, seconds: float) -> float:
    width = {i.name: i.shape[1] for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    inputs = {name: wave(rows, size) for name, size in width.items() if name != "h"}
    if "h" in width:
        inputs["h"] = np.zeros((rows, width["h"]), dtype=np.float32)
    fastest, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        call = time.perf_counter()
        results = session.run(outputs, inputs)
        fastest = min(fastest, time.perf_counter() - call)
        if "h" in width:
            inputs["h"] = results[outputs.index("h_out")]
    return fastest


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = Path(sys.argv[1]) / "model.onnx"
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        rows, seconds = line.split()
        print(fastest_call_s(session, int(rows), float(seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
