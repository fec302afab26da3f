"""Rows a second through one step of a stateful model with onnxruntime on one thread, to compare with `step.rs`.

Usage: python time_onnxruntime.py MODEL_FOLDER     (needs numpy and onnxruntime)
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

ROWS = (1, 16, 256, 4096)
AT_LEAST_S = 2.0


def wave(rows: int, width: int) -> np.ndarray:
    """Numbers in -1 .. 1 from a formula, the same as in step.rs."""
    i = np.arange(rows * width, dtype=np.uint64)
    values = (i * np.uint64(2_654_435_761) % np.uint64(1000)).astype(np.float32) / np.float32(500) - np.float32(1)
    return values.reshape(rows, width)


def rows_per_s(session: onnxruntime.InferenceSession, rows: int) -> tuple[float, float]:
    """Steps with carried state for at least AT_LEAST_S: rows a second over all calls, and of the fastest call."""
    width = {i.name: i.shape[1] for i in session.get_inputs()}
    x, h = wave(rows, width["x"]), np.zeros((rows, width["h"]), dtype=np.float32)
    calls, fastest = 0, float("inf")
    began = time.perf_counter()
    while time.perf_counter() - began < AT_LEAST_S:
        call = time.perf_counter()
        _, h = session.run(["q", "h_out"], {"x": x, "h": h})
        fastest = min(fastest, time.perf_counter() - call)
        calls += 1
    return calls * rows / (time.perf_counter() - began), rows / fastest


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = Path(sys.argv[1]) / "model.onnx"
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    print(f"onnxruntime {onnxruntime.__version__}, one thread")
    for rows in ROWS:
        over_all, fastest = rows_per_s(session, rows)
        print(f"{rows:>5} rows a call: {over_all:>9.0f} rows/s, fastest call {fastest:>9.0f} rows/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
